"""Coverage of the scalp by hair and ambient occlusion by hair, estimated from points on its cards."""

from __future__ import annotations

import numpy as np

from facekit.geometry.angles import fibonacci_sphere
from facekit.train.hair.sampling import areas, on_triangles

#: Number of points on a style's cards; coverage from which on a point counts as hair.
POINTS, _SOLID = 80_000, 0.4
#: Cylinder along a scalp vertex's normal in which hair counts as covering it: range of heights, mm, and radius, mm.
_REACH, _RADIUS = (-3.0, 26.0), 5.0
#: Number of light directions; cell size of their depth maps, mm; depth bias, mm.
_DIRECTIONS, _CELL, _OFF = 96, 3.0, 4.0


def card_points(
    verts: np.ndarray, faces: np.ndarray, uvs: np.ndarray, faces_uvs: np.ndarray, cover: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Sample points (N, 3) mm on cards where they have strands; also return the area in mm² per point."""
    points, solid = covered_points(verts, faces, uvs, faces_uvs, cover, POINTS, np.random.default_rng(seed))
    return points[solid > _SOLID], float(areas(verts[faces]).sum() / POINTS)


def covered_points(
    verts: np.ndarray,
    faces: np.ndarray,
    uvs: np.ndarray,
    faces_uvs: np.ndarray,
    cover: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw points on cards, uniformly by area. Returns points (count, 3) mm and the coverage (count,) there."""
    face, share = on_triangles(areas(verts[faces]), count, rng)
    points = (verts[faces[face]] * share[..., None]).sum(1)
    u, v = (uvs[faces_uvs[face]] * share[..., None]).sum(1).T
    high, wide = cover.shape
    x = np.clip((u * wide).astype(int), 0, wide - 1)
    y = np.clip(((1 - v) * high).astype(int), 0, high - 1)
    return points, cover[y, x]


def covered(verts: np.ndarray, normals: np.ndarray, points: np.ndarray, each: float) -> np.ndarray:
    """Return the coverage of each head vertex by hair, (V,) in [0, 1]: the area of cards in the cylinder above it,
    relative to the cylinder's base.

    ``each`` is the area in mm² per point.
    """
    from scipy.spatial import KDTree

    # Count points in balls along the cylinder's axis, one radius apart.
    tree, low, high = KDTree(points), *_REACH
    steps = np.arange(low + _RADIUS / 2, high, _RADIUS)
    total = np.zeros(len(verts))
    for step in steps:
        total += tree.query_ball_point(verts + normals * step, _RADIUS, return_length=True)
    # Since the balls overlap, they count a sheet across the cylinder 1.33 times on average.
    return np.clip(total * each / (1.33 * np.pi * _RADIUS**2), 0, 1)


def openness(verts: np.ndarray, normals: np.ndarray | None, points: np.ndarray, off: float = _OFF) -> np.ndarray:
    """Return the fraction of ambient light (V,) in [0, 1] that points do not occlude.

    Directions are weighted by the cosine to the normal; with ``normals`` None all count. ``off`` is the depth bias, mm.
    """
    free, total = np.zeros(len(verts)), np.zeros(len(verts))
    for direction in fibonacci_sphere(_DIRECTIONS).numpy().astype(np.float64):
        side = np.cross(direction, [0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
        side /= np.linalg.norm(side)
        frame = np.stack((side, np.cross(direction, side)), 1)
        cells = np.floor(points @ frame / _CELL).astype(int)
        low = cells.min(0) - 1
        size = cells.max(0) - low + 2
        depth = np.full(size, -1e9)
        np.maximum.at(depth, tuple((cells - low).T), points @ direction)
        at = np.floor(verts @ frame / _CELL).astype(int) - low
        inside = ((at >= 0) & (at < size)).all(1)
        at = np.clip(at, 0, size - 1)
        dark = inside & (depth[at[:, 0], at[:, 1]] > verts @ direction + off)
        # More light comes from above.
        weight = 1.0 + 0.5 * direction[1]
        cosine = weight * (np.ones(len(verts)) if normals is None else np.clip(normals @ direction, 0, None))
        free += cosine * ~dark
        total += cosine
    return free / np.maximum(total, 1e-9)


def smoothed(values: np.ndarray, faces: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Return values (V,) after Laplacian smoothing on the mesh: each round goes half way to the neighbours' mean."""
    count = np.zeros(len(values))
    np.add.at(count, faces.reshape(-1), 2)
    for _ in range(rounds):
        total = np.zeros(len(values))
        for k in range(3):
            np.add.at(total, faces[:, k], values[faces[:, (k + 1) % 3]] + values[faces[:, (k + 2) % 3]])
        values = np.where(count > 0, 0.5 * values + 0.5 * total / np.maximum(count, 1), values)
    return values


def closed(values: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    """Return values (V,) after a morphological closing on the mesh, ``rounds`` of dilation and as many of erosion.

    It fills holes that are narrower than 2 * ``rounds`` edges.
    """
    for sign in (1, -1):
        for _ in range(rounds):
            most = (sign * values)[faces].max(1)
            after = sign * values
            for k in range(3):
                np.maximum.at(after, faces[:, k], most)
            values = sign * after
    return values


def relaxed(verts: np.ndarray, faces: np.ndarray, rounds: int, below: float) -> np.ndarray:
    """Return vertices (N, 3) mm after Laplacian smoothing below the height ``below``, mm.

    Vertices on the border of cards are only averaged along it. Higher up cards lie close to each other, and smoothing
    would make them intersect.
    """
    free = np.clip((below - verts[:, 1:2]) / 20, 0, 1)
    ends = np.sort(np.concatenate((faces[:, :2], faces[:, 1:], faces[:, ::2])), axis=1)
    sides, times = np.unique(ends, axis=0, return_counts=True)
    rim = np.zeros(len(verts), bool)
    rim[sides[times == 1]] = True
    kept = (times == 1) | ~(rim[sides[:, 0]] | rim[sides[:, 1]])
    one_way = ~kept  # edges that pass values from the border inward only
    for _ in range(rounds):
        total, count = np.zeros_like(verts), np.zeros(len(verts))
        for a, b in ((0, 1), (1, 0)):
            heard = kept | one_way & ~rim[sides[:, b]]
            np.add.at(total, sides[heard, b], verts[sides[heard, a]])
            np.add.at(count, sides[heard, b], 1)
        mean = total / np.maximum(count, 1)[:, None]
        verts = np.where(count[:, None] > 0, verts + 0.5 * free * (mean - verts), verts)
    return verts
