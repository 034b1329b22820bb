"""Random points on triangles, and subsets of points that keep a distance from each other."""

from __future__ import annotations

import numpy as np


def areas(corner: np.ndarray) -> np.ndarray:
    """Return the areas (F,) of triangles (F, 3, 3)."""
    return np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2


def on_triangles(weight: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw points on F triangles, with probabilities proportional to weights (F,).

    Returns triangles (count,) and barycentric coordinates (count, 3).
    """
    face = rng.choice(len(weight), count, p=weight / weight.sum())
    a, b = rng.random((2, count))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    return face, np.stack((1 - a - b, a, b), 1)


def apart(points: np.ndarray, radius: float | np.ndarray, free: np.ndarray) -> np.ndarray:
    """Choose points (N, 3) in their order, none within the radius, (N,) or one for all, of one chosen before.

    ``free`` (N,) bool: the points to choose from. Returns indices (n,) (dart throwing).
    """
    from scipy.spatial import KDTree

    near, free, kept = KDTree(points).query_ball_point(points, radius), free.copy(), []
    for k in range(len(points)):
        if free[k]:
            kept.append(k)
            free[near[k]] = False
    return np.array(kept, np.int64)
