"""A training pack made in code: a coarse head in the form of the real one, with two skins and two brows.

Everything that training reads is there, at the places in millimetres and in the tile where the real head has it: a
face with openings for eyes and mouth, the back of the head, sockets, gums and a tongue, sixteen teeth, eyeballs, random
smooth identity modes and the real names of all expression shapes. Nobody would call it pretty.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from facekit.train.pack import PACK_PARTS

MODES = 30
# Lines of the face's grid: columns by their distance from the middle, rows from the top, in the tile's units.
_COLUMNS = (0.02, 0.04, 0.06, 0.08, 0.10, 0.12, 0.14, 0.165, 0.19, 0.22, 0.26, 0.31, 0.37, 0.43, 0.49)
_ROWS = (
    *(0.01, 0.05, 0.09, 0.13, 0.16, 0.19, 0.215, 0.235, 0.255, 0.269, 0.283, 0.297, 0.312, 0.335, 0.36, 0.393, 0.425),
    *(0.459, 0.475, 0.49, 0.507, 0.524, 0.54, 0.556, 0.57, 0.584, 0.6, 0.617, 0.64, 0.66, 0.685, 0.717, 0.75, 0.79),
    *(0.84, 0.9, 0.95, 0.99),
)
# Openings: centre and half size in the tile.
_MOUTH = (0.5, 0.57, 0.08, 0.014)
_EYES = ((0.355, 0.283, 0.045, 0.014), (0.645, 0.283, 0.045, 0.014))
# The iBUG landmarks of the subject's right half and of the middle, and which of the other half mirrors which.
_LANDMARKS = {
    0: (0.14, 0.289),
    1: (0.16, 0.385),
    2: (0.173, 0.466),
    3: (0.182, 0.544),
    4: (0.209, 0.632),
    5: (0.276, 0.703),
    6: (0.346, 0.725),
    7: (0.433, 0.715),
    8: (0.5, 0.717),
    17: (0.243, 0.204),
    18: (0.298, 0.186),
    19: (0.353, 0.186),
    20: (0.415, 0.191),
    21: (0.46, 0.198),
    27: (0.5, 0.277),
    28: (0.5, 0.32),
    29: (0.5, 0.35),
    30: (0.5, 0.393),
    31: (0.433, 0.457),
    32: (0.47, 0.459),
    33: (0.5, 0.459),
    36: (0.315, 0.281),
    37: (0.339, 0.277),
    38: (0.368, 0.278),
    39: (0.401, 0.286),
    40: (0.368, 0.288),
    41: (0.33, 0.288),
    48: (0.388, 0.558),
    49: (0.424, 0.507),
    50: (0.469, 0.49),
    51: (0.5, 0.49),
    57: (0.5, 0.641),
    58: (0.444, 0.637),
    59: (0.406, 0.615),
    60: (0.411, 0.566),
    61: (0.455, 0.534),
    62: (0.5, 0.531),
    66: (0.5, 0.609),
    67: (0.444, 0.605),
}
_MIRRORED = {
    **{16 - k: k for k in range(8)},
    **{26 - k: 17 + k for k in range(5)},
    35: 31,
    34: 32,
    42: 39,
    43: 38,
    44: 37,
    45: 36,
    46: 41,
    47: 40,
    54: 48,
    53: 49,
    52: 50,
    55: 59,
    56: 58,
    64: 60,
    63: 61,
    65: 67,
}
# Expression shapes of the skin: name -> centre (x, y) mm, radius mm, movement (x, y, z) mm. Those of the subject's
# right ("_R") mirror those of the left.
_SIDED = {
    "browDown": ((28, 60), 16, (-1, -6, 0)),
    "browInnerUp": ((12, 60), 14, (0, 6, 0)),
    "browOuterUp": ((48, 56), 14, (0, 6, 0)),
    "cheekPuff": ((45, -20), 20, (3, 0, 6)),
    "cheekRaiser": ((42, 8), 18, (0, 3, 1)),
    "cheekSquint": ((40, 18), 12, (0, 3, 1)),
    "eyeBlink": ((32, 41), 8, (0, -6.5, 1)),
    "eyeLookDown": ((32, 40), 8, (0, -2, 0)),
    "eyeLookIn": ((32, 34), 8, (-0.5, 0, 0)),
    "eyeLookOut": ((32, 34), 8, (0.5, 0, 0)),
    "eyeLookUp": ((32, 40), 8, (0, 1.5, 0)),
    "eyeSquint": ((32, 28), 8, (0, 1.5, 0)),
    "eyeWide": ((32, 41), 8, (0, 1.5, 0)),
    "mouthDimple": ((28, -35), 12, (2, 1, -3)),
    "mouthFrown": ((26, -38), 12, (0, -5, 0)),
    "mouthLowerDown": ((10, -46), 12, (0, -7, 0)),
    "mouthPress": ((12, -36), 12, (0, 0, -2)),
    "mouthSmile": ((27, -34), 18, (4, 7, -2)),
    "mouthStretch": ((27, -36), 14, (6, 0, -2)),
    "mouthUpperUp": ((10, -25), 12, (0, 5, 0)),
    "noseSneer": ((14, 0), 12, (0, 4, 0)),
    "PupilDilate": ((32, 34), 1, (0, 0, 0)),
}
_MIDDLE = {
    "mouthClose": ((0, -44), 16, (0, 4, 0)),
    "mouthFunnel": ((0, -36), 22, (0, 0, 6)),
    "mouthLeft": ((0, -36), 26, (6, 0, 0)),
    "mouthRight": ((0, -36), 26, (-6, 0, 0)),
    "mouthPucker": ((0, -36), 22, (0, 0, 5)),
    "mouthRollLower": ((0, -43), 12, (0, 3, -4)),
    "mouthRollUpper": ((0, -27), 12, (0, -3, -4)),
    "mouthShrugLower": ((0, -48), 14, (0, 5, 0)),
    "mouthShrugUpper": ((0, -25), 14, (0, 3, 0)),
}
_JAW = {"jawForward": (0, 0, 8), "jawLeft": (8, 0, 0), "jawOpen": (0, -16, -4), "jawRight": (-8, 0, 0)}


class _Mesh:
    """Collects patches of quads, part after part."""

    def __init__(self) -> None:
        self.verts: list[np.ndarray] = []
        self.uvs: list[np.ndarray] = []
        self.quads: list[np.ndarray] = []
        self.quads_uv: list[np.ndarray] = []
        self.materials: list[np.ndarray] = []
        self.ends: list[int] = []

    def add(self, verts: np.ndarray) -> np.ndarray:
        """Numbers of new vertices (N, 3)."""
        start = sum(map(len, self.verts))
        self.verts.append(verts)
        return start + np.arange(len(verts))

    def weave(self, index: np.ndarray, uv: np.ndarray, material: int, skip: np.ndarray | None = None) -> None:
        """Quads over a grid of vertex numbers (R, C) with UVs (R, C, 2), but for the cells of ``skip`` (R-1, C-1)."""
        start = sum(map(len, self.uvs))
        self.uvs.append(uv.reshape(-1, 2))
        number = start + np.arange(index.size).reshape(index.shape)
        keep = np.ones(np.array(index.shape) - 1, bool) if skip is None else ~skip
        for grid, into in ((index, self.quads), (number, self.quads_uv)):
            corners = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], -1)
            into.append(corners[keep])
        self.materials.append(np.full(int(keep.sum()), material))

    def end_part(self) -> None:
        self.ends.append(sum(map(len, self.verts)))


def make_pack(folder: Path, skin_size: int = 64) -> Path:
    """Write the pack to ``folder``: the same bytes every time, about 2 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh, landmarks = _head()
    verts = np.concatenate(mesh.verts)
    names, shapes = _shapes(verts, mesh.ends)
    np.savez_compressed(
        folder / "ict_light.npz",
        vertices=(verts / 10).astype(np.float32),
        uvs=np.concatenate(mesh.uvs).astype(np.float32),
        quads=np.concatenate(mesh.quads).astype(np.int32),
        quads_uv=np.concatenate(mesh.quads_uv).astype(np.int32),
        identity_modes=(_modes(verts) / 10).astype(np.float16),
        expression_shapes=(shapes / 10).astype(np.float16),
        expression_names=np.array(names),
        material_names=np.array(["M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_Eyes"]),
        material_of_quad=np.concatenate(mesh.materials).astype(np.uint8),
    )
    (folder / "ict_vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": landmarks}))
    layout = {"part_ends": mesh.ends, "refined_quads": 240, "lid_rings": 2, "lid_margin_ring": 1, "lip_contour_ring": 2}
    (folder / "layout.json").write_text(json.dumps(layout))
    _pictures(folder, skin_size)
    return folder


def _head() -> tuple[_Mesh, list[int]]:
    mesh = _Mesh()
    x, y = np.meshgrid([0.5 - c for c in _COLUMNS[::-1]] + [0.5] + [0.5 + c for c in _COLUMNS], _ROWS)
    openings = [_cells(x, y, *hole) for hole in (_MOUTH, *_EYES)]
    tile = np.stack([x, y], -1)
    for hole in (_MOUTH, *_EYES):
        tile = _rounded(tile, *hole)
    index = mesh.add(_surface(tile).reshape(-1, 3)).reshape(x.shape)
    mesh.weave(index, tile * [1, -1] + [0, 1], 0, np.logical_or.reduce(openings))
    mesh.end_part()

    border = np.concatenate([index[::-1, 0], index[0, 1:-1], index[:, -1]])
    rows = [border]
    front = _surface(tile).reshape(-1, 3)[border]
    for t in (0.2, 0.4, 0.6, 0.8, 1.0):
        round_ = 1 + 0.6 * t * (1 - 0.8 * t)
        rows.append(
            mesh.add(np.stack([front[:, 0] * round_, front[:, 1] + 12 * t, front[:, 2] * (1 - t) - 80 * t], -1))
        )
    s, t = np.meshgrid(np.linspace(0, 1, len(border)), np.linspace(0, 1, len(rows)), indexing="ij")
    mesh.weave(np.stack(rows, 1), np.stack([1.05 + 0.9 * s, 0.05 + 0.9 * t], -1), 1)
    mesh.end_part()

    verts = np.concatenate(mesh.verts)
    mouth_rings = ((1.0, 1.6, -8), (1.15, 4.0, -20), (1.15, 4.5, -40), (0.8, 3.0, -60))
    _socket(mesh, verts, _rim(index, openings[0]), mouth_rings, (1.13, 0.85), 0.1)
    mesh.end_part()
    for hole, centre in zip(openings[1:], ((1.79, 0.9), (1.92, 0.9)), strict=True):
        _socket(mesh, verts, _rim(index, hole), ((1.05, 1.5, -3), (1.1, 3.0, -8), (1.0, 3.0, -14)), centre, 0.05)
    mesh.end_part()
    _mouth_parts(mesh)
    _eyeballs(mesh)
    used = np.isin(np.arange(index.size), np.concatenate(mesh.quads))  # within the openings nothing is
    return mesh, _landmark_vertices(tile.reshape(-1, 2), used)


def _surface(tile: np.ndarray) -> np.ndarray:
    """Return the face's point, mm, for each position (..., 2) on the tile, close to that of the real head."""
    x, y = tile[..., 0], tile[..., 1]
    turn = 2.9 * (x - 0.5)
    z = 15 + 95 * np.cos(turn) - 30 * (y - 0.45) ** 2
    z = z + 18 * np.exp(-(((x - 0.5) / 0.05) ** 2) - ((y - 0.39) / 0.05) ** 2)
    for cx, cy, _, _ in _EYES:
        z = z - 8 * np.exp(-(((x - cx) / 0.06) ** 2) - ((y - cy) / 0.03) ** 2)
    return np.stack([78 * np.sin(turn), 102.7 - 243 * y, z], -1)


def _cells(x: np.ndarray, y: np.ndarray, cx: float, cy: float, a: float, b: float) -> np.ndarray:
    """Cells of the grid that an opening takes."""
    middle = [(t[:-1, :-1] + t[1:, 1:]) / 2 for t in (x, y)]
    return (np.abs(middle[0] - cx) < a) & (np.abs(middle[1] - cy) < b)


def _rounded(tile: np.ndarray, cx: float, cy: float, a: float, b: float) -> np.ndarray:
    """The grid bent so that an opening, a rectangle of cells, becomes an ellipse."""
    p = (tile - [cx, cy]) / [a, b]
    square, circle = np.abs(p).max(-1), np.maximum(np.linalg.norm(p, axis=-1), 1e-9)
    t = np.clip((square - 1.2) / 1.8, 0, 1)
    near = 1 - t * t * (3 - 2 * t)
    return p * (1 - near * (1 - square / circle))[..., None] * [a, b] + [cx, cy]


def _rim(index: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Vertices around an opening, counter-clockwise seen from the front."""
    (r0, r1), (c0, c1) = ((k.min(), k.max() + 1) for k in np.nonzero(cells))
    down, right = index[r0:r1, c0], index[r1, c0:c1]
    up, left = index[r1:r0:-1, c1], index[r0, c1:c0:-1]
    return np.concatenate([down, right, up, left])


def _socket(mesh: _Mesh, verts: np.ndarray, rim: np.ndarray, rings: tuple, centre: tuple, radius: float) -> None:
    """A funnel behind an opening; each ring has factors across and up, and a depth in mm."""
    edge = verts[rim]
    middle = edge.mean(0)
    columns = [rim] + [mesh.add((edge - middle) * [sx, sy, 1] + middle + [0, 0, dz]) for sx, sy, dz in rings]
    index = np.stack(columns, 1)
    turn = np.linspace(0, 2 * np.pi, len(rim) + 1)
    size = radius * (1 - 0.2 * np.arange(len(columns)))
    uv = np.stack([np.outer(np.cos(turn), size), np.outer(np.sin(turn), size)], -1) + centre
    mesh.weave(np.concatenate([index, index[:1]]), uv, 1)


def _patch(mesh: _Mesh, points: np.ndarray, corner: tuple[float, float], side: float, material: int) -> None:
    rows, columns = points.shape[:2]
    v, u = np.meshgrid(np.linspace(side, 0, rows), np.linspace(0, side, columns), indexing="ij")
    mesh.weave(mesh.add(points.reshape(-1, 3)).reshape(rows, columns), np.stack([u, v], -1) + corner, material)


def _mouth_parts(mesh: _Mesh) -> None:
    """Two gums, a tongue, two rows of eight teeth."""
    turn, drop = np.meshgrid(np.linspace(-1.1, 1.1, 11), np.linspace(0, 1, 4))
    for top, corner in ((-18.0, (2.05, 0.05)), (-45.0, (2.05, 0.55))):
        _patch(mesh, np.stack([24 * np.sin(turn), top - 9 * drop, 76 + 24 * np.cos(turn)], -1), corner, 0.4, 2)
    x, z = np.meshgrid(np.linspace(-12, 12, 5), np.linspace(55, 92, 5))
    _patch(mesh, np.stack([x, -35 - 0.01 * x**2, z], -1), (2.55, 0.05), 0.4, 2)
    mesh.end_part()
    a, b = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))
    for row, height in enumerate((-30.0, -41.0)):
        for k, phi in enumerate(np.linspace(-0.8, 0.8, 8)):
            out, along = np.array([np.sin(phi), 0, np.cos(phi)]), np.array([np.cos(phi), 0, -np.sin(phi)])
            bulge = (2 - a**2 - b**2)[..., None] * out
            points = [0, height, 76] + 25 * out + 2.6 * a[..., None] * along + bulge
            points[..., 1] -= 5 * b
            _patch(mesh, points, (3.02 + 0.12 * k, 0.1 + 0.4 * row), 0.1, 3)
    mesh.end_part()


def _eyeballs(mesh: _Mesh) -> None:
    """For each eye a ball and, within it, the iris."""
    theta, phi = np.meshgrid(np.linspace(0.05, np.pi - 0.05, 8), np.linspace(0, 2 * np.pi, 11)[:-1], indexing="ij")
    ball = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    x, y = np.meshgrid(np.linspace(-4, 4, 3), np.linspace(4, -4, 3))
    for cx, cy, _, _ in _EYES:
        front = _surface(np.array([cx, cy]))
        centre = front - [0, 0, 13.5]
        index = mesh.add((centre + 12.5 * ball).reshape(-1, 3)).reshape(theta.shape)
        v, u = np.meshgrid(np.linspace(1, 0, 8), np.linspace(0, 1, 11), indexing="ij")
        mesh.weave(np.concatenate([index, index[:, :1]], 1), np.stack([u, v], -1), 4)
        _patch(mesh, centre + np.stack([x, y, np.full_like(x, 9.0)], -1), (0.0, 0.0), 1.0, 4)
    mesh.end_part()


def _landmark_vertices(tile: np.ndarray, used: np.ndarray) -> list[int]:
    """The free vertex of the face nearest to each landmark's place."""
    found: dict[int, int] = {}
    free = used & (tile[:, 0] < 0.5 + 1e-6)
    for mark, place in _LANDMARKS.items():
        nearest = np.linalg.norm(tile - place, axis=1).argsort()
        found[mark] = next(int(k) for k in nearest if free[k])
        free[found[mark]] = False
    for mark, other in _MIRRORED.items():
        found[mark] = int(np.linalg.norm(tile - [1, 0] - tile[found[other]] * [-1, 1], axis=1).argmin())
    return [found[k] for k in range(68)]


def _modes(verts: np.ndarray) -> np.ndarray:
    """Smooth random fields (MODES, N, 3) mm of decreasing amplitude."""
    rng = np.random.default_rng(1)
    modes = []
    for k in range(MODES):
        wave = rng.normal(0, 0.02, (3, 3))
        modes.append(3 / np.sqrt(k + 1) * np.sin(verts @ wave + rng.uniform(0, 6, 3)))
    return np.stack(modes)


def _shapes(verts: np.ndarray, ends: list[int]) -> tuple[list[str], np.ndarray]:
    """Names and displacements (57, N, 3) mm of the expression shapes."""
    skin = np.arange(len(verts)) < ends[PACK_PARTS.index("eye_socket")]

    def bump(centre: tuple, radius: float, move: tuple) -> np.ndarray:
        square = ((verts[:, :2] - centre) ** 2).sum(1) / radius**2
        return (np.exp(-square) * skin * (verts[:, 2] > 20))[:, None] * np.array(move, float)

    found = {name: bump(*what) for name, what in _MIDDLE.items()}
    for name, (centre, radius, move) in _SIDED.items():
        found[f"{name}_L"] = bump(centre, radius, move)
        found[f"{name}_R"] = bump((-centre[0], centre[1]), radius, (-move[0], move[1], move[2]))
    below = np.clip((-35.0 - verts[:, 1]) / 4.0, 0, 1) * np.clip((verts[:, 1] + 110) / 30, 0, 1) * (verts[:, 2] > 20)
    found.update({name: below[:, None] * np.array(move, float) for name, move in _JAW.items()})
    names = sorted(found)
    return names, np.stack([found[name] for name in names])


def _pictures(folder: Path, size: int) -> None:
    """Two skins, their mask, and two pairs of brows."""
    for name in ("skins_uv", "brows_uv"):
        (folder / name).mkdir(exist_ok=True)
    rng = np.random.default_rng(2)
    x, y = np.meshgrid(*2 * ((np.arange(size) + 0.5) / size,))
    for name, tone in (("young_lightskinned_female", (224, 180, 155)), ("old_darkskinned_male", (120, 80, 58))):
        grain = (
            rng.normal(0, 6, (size, size, 1))
            + 10 * np.sin(9 * x + 4 * y)[..., None]
            + rng.normal(0, 2, (size, size, 3))
        )
        picture = np.clip(np.array(tone) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "skins_uv" / f"{name}_diffuse.png")
    inside = np.hypot((x - 0.5) / 0.45, (y - 0.45) / 0.5) < 1
    Image.fromarray((255 * inside).astype(np.uint8)).save(folder / "skin_mask_uv.png")
    across = np.abs(x - 0.5)
    for k, height in enumerate((0.19, 0.20)):
        arch = height + 3.0 * (across - 0.15) ** 2
        brow = np.exp(-(((y - arch) / 0.012) ** 2)) * ((across > 0.04) & (across < 0.26))
        Image.fromarray((255 * brow).astype(np.uint8)).save(folder / "brows_uv" / f"{k + 1:02d}.png")
