"""Distances from scans to surfaces, and the alignment before: what benchmarks on scans have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from facekit.errors import InputError, optional_import
from facekit.geometry.angles import rotation_of
from facekit.geometry.correspond import similarity


@dataclass(frozen=True)
class Surface:
    """Triangles to which distances are measured.

    Parameters
    ----------
    verts:
        (V, 3) float64.
    faces:
        (F, 3) int64.
    """

    verts: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        whole = self.verts.ndim == 2 and self.verts.shape[1] == 3 and self.faces.ndim == 2 and self.faces.shape[1] == 3
        if not whole or not len(self.faces) or not np.isfinite(self.verts).all():
            got = f"{self.verts.shape} and {self.faces.shape}"
            raise InputError("finite verts (V, 3) and faces (F, 3)", got, "check the mesh")

    def moved(self, scale: float, rotation: np.ndarray, shift: np.ndarray) -> Surface:
        """The same after ``scale * x @ rotation.T + shift``."""
        return Surface(scale * self.verts @ rotation.T + shift, self.faces)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find what of the surface is nearest to points (N, 3).

        Needs the extra ``evaluate``.

        Returns
        -------
        tuple
            Places (N, 3), their distances (N,), and the triangles (N,) int64 that they lie on.
        """
        optional_import("rtree", "evaluate", "distances to surfaces")
        import trimesh

        mesh: Any = trimesh.Trimesh(self.verts, self.faces, process=False)
        return tuple(np.asarray(found) for found in trimesh.proximity.closest_point(mesh, points))  # pyright: ignore[reportReturnType]

    def normals(self) -> np.ndarray:
        """Unit normals (F, 3) of the triangles; zero for those without an area."""
        a, b, c = (self.verts[self.faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        return normal / np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)


def aligned(points: np.ndarray, target: np.ndarray, scaled: bool = True) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that bring points (N, 3) nearest to their counterparts (N, 3) in the target."""
    size, turn, shift = similarity(torch.from_numpy(points), torch.from_numpy(target), scaled)
    return float(size), turn.numpy(), shift.numpy()


def refined(
    surface: Surface, points: np.ndarray, scaled: bool = True, rounds: int = 30, tolerance: float = 1e-4
) -> Surface:
    """Move a surface so that the sum of squared distances from points (N, 3) to it is least.

    Iterated closest points with distances along normals (Chen and Medioni, 1991), and with scale. Stops when the mean
    squared distance falls by less than ``tolerance`` of itself, and keeps the best.
    """
    best, least = surface, np.inf
    for _ in range(rounds):
        found, distance, triangle = surface.nearest(points)
        now = float((distance**2).mean())
        if now < least:
            best = surface
        if least - now < tolerance * least:
            break
        least = now
        normal, middle = surface.normals()[triangle], found.mean(axis=0)
        arm = found - middle
        columns = [np.cross(arm, normal), normal, (normal * arm).sum(axis=1, keepdims=True)]
        system = np.concatenate(columns if scaled else columns[:2], axis=1)
        step = np.linalg.lstsq(system, (normal * (points - found)).sum(axis=1), rcond=1e-6)[0]
        turn, scale = rotation_of(step[:3]), 1 + step[6] if scaled else 1.0
        surface = surface.moved(scale, turn, middle + step[3:6] - scale * turn @ middle)
    return best
