"""How hair covers the scalp, and how much light it leaves to the head and to itself, told by points on its cards."""

from __future__ import annotations

import numpy as np

from facekit.geometry.angles import fibonacci_sphere

#: Points on a style's cards; the coverage from which on there is hair.
POINTS, _SOLID = 80_000, 0.4
#: Hair this high above the scalp, mm, hides it: the column's reach and radius.
_REACH, _RADIUS = (-3.0, 26.0), 5.0
#: Directions of light, the cells of its depth maps, and what is no shadow, mm.
_DIRECTIONS, _CELL, _OFF = 96, 3.0, 4.0


def card_points(
    verts: np.ndarray, faces: np.ndarray, uvs: np.ndarray, faces_uvs: np.ndarray, cover: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Points (N, 3) where cards have strands, and the area in mm² that each stands for."""
    rng = np.random.default_rng(seed)
    corner = verts[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    face = rng.choice(len(faces), POINTS, p=area / area.sum())
    a, b = rng.random((2, POINTS, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    points = corner[face, 0] * (1 - a - b) + corner[face, 1] * a + corner[face, 2] * b
    chart = uvs[faces_uvs[face]]
    uv = chart[:, 0] * (1 - a - b) + chart[:, 1] * a + chart[:, 2] * b
    high, wide = cover.shape
    x = np.clip((uv[:, 0] * wide).astype(int), 0, wide - 1)
    y = np.clip(((1 - uv[:, 1]) * high).astype(int), 0, high - 1)
    return points[cover[y, x] > _SOLID], float(area.sum() / POINTS)


def covered(verts: np.ndarray, normals: np.ndarray, points: np.ndarray, each: float) -> np.ndarray:
    """How much hair lies above each vertex of the head, (V,) in [0, 1]: its area over a disc on the skin."""
    from scipy.spatial import KDTree

    # Along the column in steps of its radius: whoever has points around one of these is covered.
    tree, low, high = KDTree(points), *_REACH
    steps = np.arange(low + _RADIUS / 2, high, _RADIUS)
    total = np.zeros(len(verts))
    for step in steps:
        total += tree.query_ball_point(verts + normals * step, _RADIUS, return_length=True)
    # Balls that overlap count a sheet across the column about once and a third.
    return np.clip(total * each / (1.33 * np.pi * _RADIUS**2), 0, 1)


def openness(verts: np.ndarray, normals: np.ndarray | None, points: np.ndarray, off: float = _OFF) -> np.ndarray:
    """Share of the sky (V,) that points leave free, weighted by the cosine; of all directions without normals."""
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
    """Values (V,) averaged with their neighbours."""
    count = np.zeros(len(values))
    np.add.at(count, faces.reshape(-1), 2)
    for _ in range(rounds):
        total = np.zeros(len(values))
        for k in range(3):
            np.add.at(total, faces[:, k], values[faces[:, (k + 1) % 3]] + values[faces[:, (k + 2) % 3]])
        values = np.where(count > 0, 0.5 * values + 0.5 * total / np.maximum(count, 1), values)
    return values


def closed(values: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    """Values (V,) with holes filled that are narrower than twice so many edges: the greatest around, then the least."""
    for sign in (1, -1):
        for _ in range(rounds):
            most = (sign * values)[faces].max(1)
            after = sign * values
            for k in range(3):
                np.maximum.at(after, faces[:, k], most)
            values = sign * after
    return values


def relaxed(verts: np.ndarray, faces: np.ndarray, rounds: int, below: float) -> np.ndarray:
    """Vertices (N, 3) with corners taken out below a height, mm: each half the way to the mean of its neighbours.

    Ends of cards stay ends. Above, where cards lie close on each other, they would pass through each other.
    """
    free = np.clip((below - verts[:, 1:2]) / 20, 0, 1)
    ends = np.sort(np.concatenate((faces[:, :2], faces[:, 1:], faces[:, ::2])), axis=1)
    sides, times = np.unique(ends, axis=0, return_counts=True)
    rim = np.zeros(len(verts), bool)
    rim[sides[times == 1]] = True
    kept = (times == 1) | ~(rim[sides[:, 0]] | rim[sides[:, 1]])
    one_way = ~kept  # from a rim to what is inside
    for _ in range(rounds):
        total, count = np.zeros_like(verts), np.zeros(len(verts))
        for a, b in ((0, 1), (1, 0)):
            heard = kept | one_way & ~rim[sides[:, b]]
            np.add.at(total, sides[heard, b], verts[sides[heard, a]])
            np.add.at(count, sides[heard, b], 1)
        mean = total / np.maximum(count, 1)[:, None]
        verts = np.where(count[:, None] > 0, verts + 0.5 * free * (mean - verts), verts)
    return verts
