"""Paint the static parts of the atlas: part ids, eyes, teeth, gums, tongue and sockets. Skin is made by the
pipeline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy import ndimage

from facekit.train.arrays import smoothstep
from facekit.train.head.parts import DISK_DEG, DISK_SHARE, IRIS_DEG, LIMBUS_DEG, PUPIL_DEG
from facekit.train.head.surface import ATLAS, EYES, LIPS, MOUTH, SKIN, TEETH, inside_lips, uvs_of
from facekit.train.head.topology import components

if TYPE_CHECKING:
    from facekit.train.head.stage import HeadTemplate

SIZE = 1024
UNUSED = 255
BORDER_TEXELS = 4
SEED = 20240

# sRGB, 0..1
SKIN_TONE = np.array([0.78, 0.60, 0.51])
SCLERA, SCLERA_EDGE, VEIN = (
    np.array([0.80, 0.755, 0.72]),
    np.array([0.74, 0.61, 0.565]),
    np.array([0.68, 0.34, 0.30]),
)
IRIS_GREY = 0.72
ENAMEL, ENAMEL_NECK, ENAMEL_EDGE = (
    np.array([0.91, 0.85, 0.76]),
    np.array([0.80, 0.69, 0.56]),
    np.array([0.87, 0.83, 0.78]),
)
GUM, GUM_DEEP = np.array([0.76, 0.45, 0.43]), np.array([0.42, 0.16, 0.15])
TONGUE, TONGUE_DEEP = np.array([0.74, 0.41, 0.40]), np.array([0.42, 0.16, 0.16])
CHEEK, THROAT = np.array([0.60, 0.30, 0.28]), np.array([0.06, 0.015, 0.015])
EYE_RIM, EYE_DEEP = np.array([0.80, 0.55, 0.50]), np.array([0.36, 0.15, 0.14])


def cover_texels(uvs: np.ndarray, faces_uvs: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the face under each texel centre of a ``size``² picture (row 0 is v = 1), and the barycentric position in
    it.

    Returns face ``(size, size)`` int32, -1 for none, and barycentric weights ``(size, size, 3)`` float64. On shared
    edges the last of the largest faces counts, where :func:`facekit.geometry.uv.rasterize_uv` takes the first: with
    that one the shipped atlas would change, if by one step in one texel.
    """
    owner = np.full((size, size), -1, np.int32)
    weight = np.zeros((size, size, 3))
    corner = uvs[faces_uvs] * [size, -size] + [0, size]
    low = np.maximum(np.floor(corner.min(1) - 0.5).astype(int), 0)
    high = np.minimum(np.ceil(corner.max(1) - 0.5).astype(int), size - 1)
    span = (high - low).max(1) + 1
    for width in 2 ** np.arange(1, int(np.ceil(np.log2(span.max()))) + 1):
        group = np.flatnonzero((span <= width) & (span > width // 2 if width > 2 else span > 0))
        for chunk in np.array_split(group, max(1, len(group) * width * width // 2_000_000)):
            dy, dx = np.mgrid[:width, :width].reshape(2, 1, -1)
            x, y = low[chunk, :1] + dx, low[chunk, 1:] + dy
            a, b, c = (corner[chunk, k][:, None] for k in range(3))
            px, py = x + 0.5, y + 0.5
            det = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (c[..., 0] - a[..., 0]) * (b[..., 1] - a[..., 1])
            det = np.where(np.abs(det) < 1e-12, 1e-12, det)
            wb = ((px - a[..., 0]) * (c[..., 1] - a[..., 1]) - (c[..., 0] - a[..., 0]) * (py - a[..., 1])) / det
            wc = ((b[..., 0] - a[..., 0]) * (py - a[..., 1]) - (px - a[..., 0]) * (b[..., 1] - a[..., 1])) / det
            inside = (wb >= -1e-6) & (wc >= -1e-6) & (wb + wc <= 1 + 1e-6) & (x < size) & (y < size)
            face, cell = np.nonzero(inside)
            owner[y[face, cell], x[face, cell]] = chunk[face]
            weight[y[face, cell], x[face, cell]] = np.stack([1 - wb - wc, wb, wc], -1)[face, cell]
    return owner, weight


def spread(values: np.ndarray, known: np.ndarray, reach: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """Fill texels within ``reach`` with the nearest known value; return values and the new mask."""
    distance, (row, col) = ndimage.distance_transform_edt(~known, return_indices=True)  # pyright: ignore[reportGeneralTypeIssues]
    return values[row, col], distance <= reach


def _noise(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Return smooth noise ``(size, size)`` with unit standard deviation and correlation length ``scale`` texels."""
    field = ndimage.gaussian_filter(rng.standard_normal((size, size)), scale, mode="wrap")
    return field / field.std()


def _mix(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    return a + (b - a) * t[..., None]


def _window(name: str) -> tuple[slice, slice, int]:
    u0, v0, u1, v1 = ATLAS[name]
    rows = slice(int(np.floor((1 - v1) * SIZE)), int(np.ceil((1 - v0) * SIZE)))
    cols = slice(int(np.floor(u0 * SIZE)), int(np.ceil(u1 * SIZE)))
    return rows, cols, cols.stop - cols.start


def paint_eye(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the eye chart: colours ``(H, W, 3)`` and iris mask ``(H, W)``, 0..1, in the window of the chart."""
    rows, cols, _ = _window("eyes")
    u0, v0, u1, v1 = ATLAS["eyes"]
    u = (np.arange(cols.start, cols.stop) + 0.5) / SIZE
    v = 1 - (np.arange(rows.start, rows.stop) + 0.5) / SIZE
    x, y = np.meshgrid((u - (u0 + u1) / 2) / (u1 - u0) * 2, (v - (v0 + v1) / 2) / (v1 - v0) * 2)
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    angle = radius / DISK_SHARE * DISK_DEG

    colour = _mix(SCLERA, SCLERA_EDGE, smoothstep(angle, 34, 58))
    veins = np.zeros_like(angle)
    for _ in range(70):
        # A vein runs from the rim toward the iris, meandering and fading.
        direction, start, stop = rng.uniform(-np.pi, np.pi), 60.0, rng.uniform(27, 48)
        path = np.linspace(start, stop, 160)
        wander = direction + np.cumsum(rng.normal(0, 0.010, 160)) + 0.03 * np.sin(path * rng.uniform(0.2, 0.6))
        strength = np.linspace(1.0, 0.0, 160) * rng.uniform(0.3, 1.0)
        px = ((path / DISK_DEG * DISK_SHARE * np.cos(wander) + 1) / 2 * (angle.shape[1] - 1)).astype(int)
        py = ((1 - path / DISK_DEG * DISK_SHARE * np.sin(wander)) / 2 * (angle.shape[0] - 1)).astype(int)
        np.maximum.at(veins, (py.clip(0, angle.shape[0] - 1), px.clip(0, angle.shape[1] - 1)), strength)
    veins = ndimage.gaussian_filter(veins, 0.7) * 1.6
    colour = _mix(colour, VEIN, np.clip(0.30 * veins, 0, 0.35))

    # Fibres: noise over (angle, radius), much longer along the radius than across it.
    n_turn, n_rad = 512, 32
    edges: Any = ("nearest", "wrap")  # scipy's type stubs do not allow a mode per axis
    field = ndimage.gaussian_filter(rng.standard_normal((n_rad, n_turn)), (5.0, 1.0), mode=edges)
    coarse = ndimage.gaussian_filter(rng.standard_normal((n_rad, n_turn)), (6.0, 5.0), mode=edges)
    field = field / field.std() + 0.7 * coarse / coarse.std()
    r = np.clip((angle - PUPIL_DEG) / (IRIS_DEG - PUPIL_DEG), 0, 1)
    # One more column on the right closes the ring for interpolation at angle = pi.
    fibre = ndimage.map_coordinates(
        np.c_[field, field[:, :1]], [r * (n_rad - 1), (turn + np.pi) / (2 * np.pi) * n_turn], order=1
    )
    collarette = np.exp(-(((r - 0.30 - 0.02 * fibre) / 0.10) ** 2))
    iris = IRIS_GREY + 0.075 * fibre + 0.10 * collarette - 0.10 * smoothstep(r, 0.5, 1.0)
    iris = np.clip(iris * (1 - 0.30 * np.exp(-((r / 0.10) ** 2))), 0.15, 1.0)
    ring = np.exp(-(((angle - 0.5 * (IRIS_DEG + LIMBUS_DEG)) / 1.5) ** 2))
    mask = 1 - smoothstep(angle, IRIS_DEG - 0.6, LIMBUS_DEG + 0.8)
    colour = _mix(colour, np.repeat(iris[..., None], 3, -1), mask)
    colour = colour * (1 - 0.62 * ring[..., None])
    pupil = 1 - smoothstep(angle, PUPIL_DEG - 0.6, PUPIL_DEG + 0.6)
    return _mix(colour, np.array([0.015, 0.015, 0.015]), pupil), mask * (1 - pupil)


def paint_tooth_cells(rng: np.random.Generator) -> np.ndarray:
    """Return the teeth chart ``(H, W, 3)``: each of 8 x 4 cells is one crown seen from its biting edge."""
    rows, cols, _ = _window("teeth")
    u0, v0, u1, v1 = ATLAS["teeth"]
    u = ((np.arange(cols.start, cols.stop) + 0.5) / SIZE - u0) / (u1 - u0) * 8
    v = (1 - (np.arange(rows.start, rows.stop) + 0.5) / SIZE - v0) / (v1 - v0) * 4
    cell_u, cell_v = np.floor(u).astype(int).clip(0, 7), np.floor(v).astype(int).clip(0, 3)
    x, y = np.meshgrid(2 * (u - cell_u) - 1, 2 * (v - cell_v) - 1)
    radius = np.hypot(x, y)
    colour = _mix(ENAMEL, ENAMEL_NECK, smoothstep(radius, 0.55, 0.97))
    colour = _mix(colour, ENAMEL_EDGE, 0.7 * (1 - smoothstep(radius, 0.05, 0.35)))
    tone = 1 + 0.018 * rng.standard_normal((4, 8, 1)) + 0.006 * rng.standard_normal((4, 8, 3))
    return colour * tone[cell_v[:, None], cell_u[None]]


def tongue_uvs(template: HeadTemplate) -> np.ndarray:
    """Return the mask ``(T,)`` of the tongue's UVs: the narrow, highest island of the gum chart."""
    faces = np.flatnonzero((template.parts[template.faces] == MOUTH).all(1))
    table = template.faces_uvs[faces]
    island = components(table, len(template.uvs))
    out = np.zeros(len(template.uvs), bool)
    for name in np.unique(island[table]):
        index = np.flatnonzero(island == name)
        if not (template.uvs[index].max(0) < np.array(ATLAS["gums"][2:]) + 0.005).all():
            continue
        verts = template.verts[np.unique(template.faces[faces][np.isin(table, index)])]
        narrow, wide = np.abs(verts[:, 0]).max() < 23, np.ptp(verts[:, 0]) > 20
        out[index] = narrow and wide and verts[:, 1].max() > -36
    return out


def _smooth_borders(parts: np.ndarray, used: np.ndarray, sigma: float = 2.5) -> np.ndarray:
    """Smooth the jagged borders between part ids ``(S, S)`` of the skin's charts."""
    soft = [ndimage.gaussian_filter((parts == k).astype(np.float32), sigma) for k in range(8)]
    skin = used & np.isin(parts, (0, 1, 2, 6, 7))
    return np.where(skin, np.argmax(soft, axis=0), parts).astype(np.uint8)


def paint_atlas(template: HeadTemplate) -> dict[str, np.ndarray]:
    """Return the three pictures: parts ``(S, S)`` uint8, base ``(S, S, 3)`` uint8, iris ``(S, S)`` uint8."""
    rng = np.random.default_rng(SEED)
    owner, weight = cover_texels(template.uvs, template.faces_uvs, SIZE)
    used = owner >= 0
    corners = template.faces[owner[used]]
    # Part with the largest barycentric weight, so that borders cut across faces.
    share = np.stack([(weight[used] * (template.parts[corners] == k)).sum(1) for k in range(8)], -1)
    parts = np.full((SIZE, SIZE), UNUSED, np.uint8)
    parts[used] = share.argmax(1)
    parts = _smooth_borders(parts, used)
    u = np.tile((np.arange(SIZE) + 0.5) / SIZE, (SIZE, 1))
    v = 1 - u.T
    # The border of the lips is a smooth curve, finer than the mesh.
    points = np.stack([u[used], v[used]], -1)
    outline = uvs_of(template.landmarks[48:60], template.faces, template.faces_uvs, template.uvs)
    lips, near = inside_lips(points, outline), np.isin(parts[used], (SKIN, LIPS))
    parts[used] = np.where(near, np.where(lips, LIPS, SKIN), parts[used])
    # The strips that join the sockets' charts to lids and lips belong to the sockets.
    parts[used & (u > 0.75) & (v < 0.75)] = MOUTH
    position = np.zeros((SIZE, SIZE, 3))
    position[used] = (template.verts[corners] * weight[used][..., None]).sum(1)
    on_tongue = np.zeros((SIZE, SIZE), bool)
    on_tongue[used] = tongue_uvs(template)[template.faces_uvs[owner[used], 0]]

    base = np.tile(SKIN_TONE, (SIZE, SIZE, 1))
    z, fine, coarse = position[..., 2], _noise(rng, SIZE, 1.0), _noise(rng, SIZE, 5.0)
    deep = 1 - smoothstep(z, 40, 92)
    tongue = _mix(TONGUE, TONGUE_DEEP, deep) * (1 + 0.035 * fine + 0.03 * coarse)[..., None]
    gum = _mix(GUM, GUM_DEEP, deep) * (1 + 0.02 * fine + 0.04 * coarse)[..., None]
    in_gums = (parts == MOUTH) & (u < 0.25)
    base[in_gums] = np.where(on_tongue[..., None], tongue, gum)[in_gums]
    in_socket = (parts == MOUTH) & (u > 0.75) & (v > 0.5)
    base[in_socket] = _mix(CHEEK, THROAT, 1 - smoothstep(z, 62, 104))[in_socket]
    in_eye_socket = (parts == MOUTH) & (u > 0.75) & (v < 0.5)
    base[in_eye_socket] = _mix(EYE_RIM, EYE_DEEP, 1 - smoothstep(z, 80, 90))[in_eye_socket]
    rows, cols, _ = _window("teeth")
    inside = (parts[rows, cols] == TEETH)[..., None]
    base[rows, cols] = np.where(inside, paint_tooth_cells(rng), base[rows, cols])
    base, _ = spread(base, used)

    # The eye is painted beyond its mesh, so that mip levels do not sample the gaps between charts.
    rows, cols, _ = _window("eyes")
    eye, mask = paint_eye(rng)
    base[rows, cols] = eye
    iris = np.zeros((SIZE, SIZE))
    iris[rows, cols] = mask * (parts[rows, cols] == EYES)

    parts, known = spread(parts, used, BORDER_TEXELS)
    parts[~known] = UNUSED
    return {"parts": parts, "base": to_bytes(base), "iris": to_bytes(iris)}


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Convert 0..1 to 0..255, rounded."""
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def write_atlas(template: HeadTemplate, assets: Path) -> None:
    """Write ``atlas_parts.png``, ``atlas_base.png`` and ``atlas_iris.png``."""
    for name, picture in paint_atlas(template).items():
        Image.fromarray(picture).save(Path(assets) / f"atlas_{name}.png", optimize=True)
