"""The skin of the mean head as an obstacle, and as a surface that strands lie on."""

from __future__ import annotations

import numpy as np

from facekit.geometry.normals import vertex_normals
from facekit.template import Template

#: Number of nearest vertices that a height is a mean over, and of rounds of pushing.
_NEAREST, _ROUNDS = 6, 3


def head_normals(template: Template) -> np.ndarray:
    """Return the mean head's vertex normals (V, 3) float64."""
    return vertex_normals(template.verts[None], template.faces)[0].numpy().astype(np.float64)


class Skin:
    """The skin that hair must not enter.

    Parameters
    ----------
    verts, normals:
        (V, 3) mm and unit.
    """

    def __init__(self, verts: np.ndarray, normals: np.ndarray) -> None:
        from scipy.spatial import KDTree

        self._verts, self._normals, self._tree = verts, normals, KDTree(verts)

    def cleared(self, points: np.ndarray, least: float | np.ndarray) -> np.ndarray:
        """Push points (..., 3) mm out to at least this height above the skin, mm, one or (...) of them."""
        flat, least = points.reshape(-1, 3), np.broadcast_to(least, points.shape[:-1]).reshape(-1)
        for _ in range(_ROUNDS):
            height, normal = self._height(flat)
            flat = flat + np.maximum(least - height, 0)[:, None] * normal
        return flat.reshape(points.shape)

    def laid(self, points: np.ndarray, height: float | np.ndarray) -> np.ndarray:
        """Move points (..., 3) mm near the skin to a height above it, mm, one or (...) of them."""
        flat, height = points.reshape(-1, 3), np.broadcast_to(height, points.shape[:-1]).reshape(-1)
        for _ in range(_ROUNDS):
            now, normal = self._height(flat)
            flat = flat + (height - now)[:, None] * normal
        return flat.reshape(points.shape)

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return the height of points (n, 3) mm above the skin, (n,) mm."""
        return self._height(points)[0]

    def _height(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return heights (n,) mm above the tangent planes of the nearest vertices, and their mean normals (n, 3)."""
        distance, near = self._tree.query(points, _NEAREST)
        weight = 1 / (np.maximum(distance, 1e-3) ** 2)
        weight /= weight.sum(1, keepdims=True)
        normal = (self._normals[near] * weight[..., None]).sum(1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        away = ((points[:, None] - self._verts[near]) * weight[..., None]).sum(1)
        return (away * normal).sum(1), normal
