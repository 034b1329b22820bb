"""Brows and beards: roots and directions of their tufts on the mean head, and the texture of their hairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facekit.conventions import PARTS
from facekit.geometry.charts import vertex_uvs
from facekit.models.facial_hair import BEARD_PICTURE, BROW_PICTURE, CHIN, JAW, MOUSTACHE, NECK
from facekit.template import Template
from facekit.train.hair.clearance import head_normals
from facekit.train.hair.light import smoothed
from facekit.train.hair.sampling import apart, areas, on_triangles
from facekit.train.skin import marks
from facekit.train.skin.photographs import load_chart

#: Size of the texture of tufts (height, width) in texels, and the supersampling factor of its drawing.
SIZE, _FINE = (128, 512), 4
#: Number of hairs per tuft of brows and of beards.
_BROW_HAIRS, _BEARD_HAIRS = 4, 20
#: Number of tufts of one brow, and indices of the points on a hair's path where its card has rows.
_BROW_COUNT, _PATH = 170, [0, 3, 6]
#: Density of the beard from which on it has tufts; below it there is only the skin's painted stubble.
_SPARSE = 0.25
#: Number of random points that the roots are chosen from.
_DARTS = 30_000
#: Per zone, mm: distance between neighbouring tufts, length of the hair, and half the width of a card.
_SPACINGS, _LENGTHS, _HALVES = (2.0, 2.9, 3.4, 3.8), (9.0, 13.0, 9.5, 6.5), (1.6, 2.7, 3.2, 3.1)
#: Angle between card and skin at the root, radians; weight, in the outer half, of the direction along the skin and
#: down; standard deviation of the direction, radians.
_LEAN, _FALL, _UNRULY = 0.62, 0.45, 0.30
#: Gain and offset that steepen the edge of the painted zone, which is as wide as a moustache.
_GAIN, _OFF = 1.9, 0.2
#: Distance from the lips, mm, over which the density of the beard rises from zero.
_BARE = 1.5
#: Bounds of the sideburns in x, y and z, mm, and half width of their soft edge, mm.
_BURNS, _SOFT = ((60.0, 90.0), (-30.0, 33.0), (20.0, 40.0)), 4.0
#: Resolution of the zone map on the face tile.
_MAP = 512


def brow_arrays(pack: Path) -> dict[str, np.ndarray]:
    """Build the brows on the face tile, in the format of :class:`facekit.models.facial_hair.FacialHair`.

    Returns
    -------
    dict
        ``brows/rows`` (L, N, 3, 2) uint16: tile coordinates (x, y down) of each tuft's root, middle and tip in steps of
        1/65535, for L growth patterns; ``brows/rank`` (L, N) uint8: position of each tuft between the brow's core, 0,
        and its fringe, 255.
    """
    centre = marks.brow_guides(pack).mean(0)
    rows, ranks = [], []
    for seed, (upright, long, unruly, _) in enumerate(marks.BROW_GROWTH):
        rng = np.random.default_rng(70 + seed)
        sides, order = [], []
        for mirrored in (False, True):
            hairs, rank = marks.brow_hairs(centre, _BROW_COUNT, 1.0, rng, upright, long, unruly)
            path = np.array(hairs)[:, _PATH]
            if mirrored:
                path = path * [-1, 1] + [1, 0]
            sides.append(path)
            order.append(rank)
        rows.append(np.concatenate(sides))
        ranks.append(np.concatenate(order))
    return {
        "brows/rows": np.round(np.clip(np.stack(rows), 0, 1) * 65535).astype(np.uint16),
        "brows/rank": np.round(np.stack(ranks).clip(0, 1) * 255).astype(np.uint8),
    }


def beard_arrays(pack: Path, template: Template) -> dict[str, np.ndarray]:
    """Build a full beard on the mean head; every other style is a subset of its zones.

    Returns
    -------
    dict
        ``beard/face`` (N,) uint16 and ``beard/share`` (N, 3) float16: triangle and barycentric coordinates of each
        tuft's root; ``beard/ways`` (N, 2, 3) int8: vectors from the root to the middle and to the tip, in fifths of a
        millimetre; ``beard/side`` (N, 3) int8: vector of half the card's width, in twentieths of a millimetre;
        ``beard/zone`` (N,) uint8; ``beard/cap`` (4, V) uint8: density of each zone at each head vertex.
    """
    verts, faces = template.verts.numpy().astype(np.float64), template.faces.numpy()
    normals = head_normals(template)
    density = _density(pack, template)
    rng = np.random.default_rng(90)
    of_vertex = _zones(verts, normals, template)
    face, share = _scattered(verts, faces, density, of_vertex, rng)
    root = (verts[faces[face]] * share[..., None]).sum(1)
    normal = (normals[faces[face]] * share[..., None]).sum(1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    local = (density[faces[face]] * share).sum(1)
    zone = _zones(root, normal, template)
    ways, side = _ways(root, normal, zone, local, rng)
    # Only skin is tinted by the beard, not the lips.
    skin = template.parts.numpy() == PARTS.index("skin")
    caps = np.stack([smoothed(density * (of_vertex == k), faces, 2) * density * skin for k in range(4)])
    return {
        "beard/face": face.astype(np.uint16),
        "beard/share": share.astype(np.float16),
        "beard/ways": np.round(np.clip(ways * 5, -127, 127)).astype(np.int8),
        "beard/side": np.round(np.clip(side * 20, -127, 127)).astype(np.int8),
        "beard/zone": zone.astype(np.uint8),
        "beard/cap": np.round(255 * caps.clip(0, 1)).astype(np.uint8),
    }


def tuft_picture(seed: int = 6) -> np.ndarray:
    """Draw the texture of tufts, grey and coverage (2, H, W) float32 in [0, 1].

    Each tuft has its own column with the roots at the bottom: brows on the left, beards on the right.
    """
    high, wide = SIZE[0] * _FINE, SIZE[1] * _FINE
    cover, grey = Image.new("L", (wide, high), 0), Image.new("L", (wide, high), 110)
    pens, rng = (ImageDraw.Draw(cover), ImageDraw.Draw(grey)), np.random.default_rng(seed)
    for first, last, count, hairs, thick, spread in (
        (*BROW_PICTURE, _BROW_HAIRS, 2.4, 0.40),
        (*BEARD_PICTURE, _BEARD_HAIRS, 2.2, 0.42),
    ):
        column = (last - first) * wide / count
        for k in range(count):
            middle = first * wide + (k + 0.5) * column
            for _ in range(hairs):
                x, reach = rng.uniform(-spread, spread), rng.uniform(0.62, 0.97)
                tip, wave = x + rng.normal(0, 0.07), rng.normal(0, 0.035)
                steps = np.linspace(0, 1, 26)
                px = middle + column * np.clip(x + (tip - x) * steps + wave * np.sin(np.pi * steps), -0.46, 0.46)
                py = high * (1 - 0.02 - reach * steps)
                tone = int(rng.uniform(62, 165))
                for j, step in enumerate(steps[:-1]):
                    # Hairs taper toward both root and tip.
                    width = max(1, round(_FINE * thick * (0.55 + 0.45 * min(1, 6 * step)) * (1 - 0.85 * step**1.6)))
                    ends = [(px[j], py[j]), (px[j + 1], py[j + 1])]
                    pens[0].line(ends, fill=255, width=width)
                    pens[1].line(ends, fill=tone, width=width + _FINE)
    small = [p.resize((SIZE[1], SIZE[0]), Image.Resampling.BOX) for p in (grey, cover)]
    return np.stack([np.asarray(p, np.float32) / 255 for p in small])


def _density(pack: Path, template: Template) -> np.ndarray:
    """Return the density of a beard at each vertex, (V,) in [0, 1], from the zone of the skin's painted stubble."""
    from scipy.spatial import KDTree

    zone = marks.zones(_MAP, load_chart(pack, _MAP).openings)["beard"]
    u0, v0, u1, v1 = template.tile_rect
    uvs = vertex_uvs(template).numpy()
    x, y = (uvs[:, 0] - u0) / (u1 - u0), (v1 - uvs[:, 1]) / (v1 - v0)
    column, row = (np.clip((t * _MAP).astype(int), 0, _MAP - 1) for t in (x, y))
    on_tile = (x > 0) & (x < 1) & (y > 0) & (y < 1) & (template.parts.numpy() == PARTS.index("skin"))
    zone = np.clip(_GAIN * zone[row, column] - _OFF, 0, 1)
    # The stubble ends below the ears; a full beard has sideburns, too.
    verts = template.verts.numpy()
    low, high = np.array(_BURNS).T
    folded = verts.astype(np.float64) * np.where(verts[:, :1] < 0, [-1, 1, 1], 1)
    depth = np.minimum(folded - low, high - folded)  # inside of the bounds
    burns = np.clip((depth + _SOFT) / (2 * _SOFT), 0, 1).prod(1)
    lips = verts[template.parts.numpy() == PARTS.index("lips")]
    bare = np.clip(KDTree(lips).query(verts)[0] / _BARE, 0, 1) ** 2
    return np.where(on_tile, np.maximum(zone, burns) * bare, 0.0)


def _scattered(
    verts: np.ndarray, faces: np.ndarray, density: np.ndarray, zone: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sample roots on the surface by dart throwing, at larger distances where the beard's density is low.

    Returns triangles (N,) and barycentric coordinates (N, 3).
    """
    face, share = on_triangles(areas(verts[faces]) * density[faces].mean(1), _DARTS, rng)
    point = (verts[faces[face]] * share[..., None]).sum(1)
    local = (density[faces[face]] * share).sum(1)
    radius = np.array(_SPACINGS)[zone[faces[face, 0]]] / local.clip(_SPARSE, 1) ** 0.25
    kept = apart(point, radius, local > _SPARSE)
    return face[kept], share[kept]


def _zones(point: np.ndarray, normal: np.ndarray, template: Template) -> np.ndarray:
    """Return the beard zone (N,) of points (N, 3) mm on the head with unit normals (N, 3)."""
    marks68 = template.verts[template.landmarks].numpy()
    mouth, corner, chin = marks68[48, 1], abs(marks68[48, 0]), marks68[8, 1]
    x, y = np.abs(point[:, 0]), point[:, 1]
    zone = np.full(len(point), JAW)
    zone[(normal[:, 1] < -0.72) & (y < 0.35 * mouth + 0.65 * chin)] = NECK
    around = x < np.interp(y, [chin, 0.5 * (chin + mouth), mouth], [0.75 * corner, 1.05 * corner, 1.42 * corner])
    zone[around & (y < mouth + 4) & (zone != NECK)] = CHIN
    # A moustache extends a little beyond the mouth corners.
    zone[(y >= mouth + 2) & (x < 1.30 * corner)] = MOUSTACHE
    return zone


def _ways(
    root: np.ndarray, normal: np.ndarray, zone: np.ndarray, local: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors from each root to the middle and the tip of its card, (N, 2, 3) mm, and half of the card's width
    as a vector, (N, 3) mm.
    """
    count, x = len(root), root[:, 0]
    flow = np.zeros((count, 3))
    flow[:, 0] = np.select(
        [zone == MOUSTACHE, zone == CHIN], [1.1 * np.clip(x / 14, -1, 1), 0.2 * np.clip(x / 20, -1, 1)]
    )
    flow[:, 1] = np.select([zone == NECK, zone == MOUSTACHE], [-0.45, -0.8], -1.0)
    flow[:, 2] = np.select([zone == NECK, zone == JAW], [0.8, 0.35], 0.1)
    flow -= normal * (flow * normal).sum(1, keepdims=True)
    flow /= np.linalg.norm(flow, axis=1, keepdims=True)
    across = np.cross(normal, flow)
    turn = rng.normal(0, _UNRULY, count)[:, None]
    along = np.cos(turn) * flow + np.sin(turn) * across
    lean = (_LEAN * rng.uniform(0.7, 1.2, count))[:, None]
    first = np.cos(lean) * along + np.sin(lean) * normal
    second = (1 - _FALL) * first + _FALL * (0.8 * along + np.array([0.0, -0.5, 0.0]))
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    # Hair is shorter toward the edge of the beard.
    length = np.array(_LENGTHS)[zone] * rng.uniform(0.75, 1.15, count) * (0.4 + 0.6 * local)
    middle = 0.5 * length[:, None] * first
    tip = middle + 0.5 * length[:, None] * second
    # Rotate cards about their length, so that some face the viewer at the silhouette, too.
    roll = rng.normal(0, 0.5, count)[:, None]
    plane = np.cross(first, normal)
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    up = np.cross(plane, first)
    side = np.cos(roll) * plane + np.sin(roll) * up
    ways = np.stack((middle, tip), 1)
    half = np.array(_HALVES)[zone] * (0.35 + 0.65 * local)
    return ways, half[:, None] * side


def facial_arrays(pack: Path, template: Template) -> dict[str, np.ndarray]:
    """Build all arrays of brows and beards, with their texture ``tufts/strands`` (2, H, W) uint8."""
    strands = np.round(255 * tuft_picture()).astype(np.uint8)
    return {**brow_arrays(pack), **beard_arrays(pack, template), "tufts/strands": strands}
