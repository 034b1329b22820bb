"""Scan-to-surface distances and rigid alignment, shared by the benchmarks on scans."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from facekit.errors import InputError, optional_import
from facekit.geometry.angles import rotation_of
from facekit.geometry.correspond import similarity

#: Fraction of the largest distance below which a point lies on the surface.
_TOUCHING = 1e-6


@dataclass(frozen=True)
class Surface:
    """Triangle surface to which distances are measured.

    Parameters
    ----------
    verts:
        (V, 3) float64.
    faces:
        (F, 3) int64.
    """

    verts: np.ndarray
    faces: np.ndarray
    #: The surface as created and the motion since: the search tree takes a second, so it is built once in the original
    #: position and shared by all moved copies.
    _home: _Home | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole = self.verts.ndim == 2 and self.verts.shape[1] == 3 and self.faces.ndim == 2 and self.faces.shape[1] == 3
        if not whole or not len(self.faces) or not np.isfinite(self.verts).all():
            got = f"{self.verts.shape} and {self.faces.shape}"
            raise InputError("finite verts (V, 3) and faces (F, 3)", got, "check the mesh")

    def moved(self, scale: float, rotation: np.ndarray, shift: np.ndarray) -> Surface:
        """Return the surface after ``scale * x @ rotation.T + shift``."""
        home = _Home(self, 1.0, np.eye(3), np.zeros(3)) if self._home is None else self._home
        home = _Home(
            home.surface,
            scale * home.scale,
            rotation @ home.rotation,
            scale * rotation @ home.shift + shift,
        )
        return Surface(scale * self.verts @ rotation.T + shift, self.faces, home)

    @functools.cached_property
    def mesh(self) -> Any:
        """The surface as a trimesh object with its search tree."""
        import trimesh

        return trimesh.Trimesh(self.verts, self.faces, process=False)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the closest points on the surface for points (N, 3).

        Needs the extra ``evaluate``.

        Returns
        -------
        tuple
            Closest points (N, 3), distances (N,), and triangle indices (N,) int64.
        """
        optional_import("rtree", "evaluate", "distances to surfaces")
        import trimesh

        home = self._home
        mesh = self.mesh if home is None else home.surface.mesh
        local = points if home is None else (points - home.shift) @ home.rotation / home.scale
        places, distance, triangle = (np.asarray(t) for t in trimesh.proximity.closest_point(mesh, local))
        if home is not None:
            places, distance = home.scale * places @ home.rotation.T + home.shift, home.scale * distance
        return places, distance, triangle

    def normals(self) -> np.ndarray:
        """Return unit normals (F, 3) of the triangles; zero for degenerate ones."""
        a, b, c = (self.verts[self.faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        return normal / np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)


class _Home(NamedTuple):
    """Original surface, and the motion from there: ``scale * x @ rotation.T + shift``, without reflections."""

    surface: Surface
    scale: float
    rotation: np.ndarray
    shift: np.ndarray


def aligned(points: np.ndarray, target: np.ndarray, scaled: bool = True) -> tuple[float, np.ndarray, np.ndarray]:
    """Return scale, rotation and translation that best align points (N, 3) with their counterparts (N, 3)."""
    size, turn, shift = similarity(torch.from_numpy(points), torch.from_numpy(target), scaled)
    return float(size), turn.numpy(), shift.numpy()


def refined(
    surface: Surface, points: np.ndarray, scaled: bool = True, rounds: int = 30, tolerance: float = 1e-4
) -> Surface:
    """Move a surface to minimise the sum of squared distances from points (N, 3).

    Gauss-Newton on the distances, with scale: within a triangle these are point-to-plane distances (Chen and Medioni,
    1991), at a boundary those from the edge. Stops when the mean squared distance decreases by less than the fraction
    ``tolerance``, and returns the best.
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
        off, middle = points - found, found.mean(axis=0)
        # On the surface itself the distance has no gradient; the normal is its limit.
        far = (distance > _TOUCHING * distance.max(initial=0.0))[:, None]
        along = np.where(far, off / distance.clip(1e-300)[:, None], surface.normals()[triangle])
        arm = found - middle
        columns = [np.cross(arm, along), along, (along * arm).sum(axis=1, keepdims=True)]
        system = np.concatenate(columns if scaled else columns[:2], axis=1)
        step = np.linalg.lstsq(system, (along * off).sum(axis=1), rcond=1e-6)[0]
        turn, scale = rotation_of(step[:3]), 1 + step[6] if scaled else 1.0
        surface = surface.moved(scale, turn, middle + step[3:6] - scale * turn @ middle)
    return best
