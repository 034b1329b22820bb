"""Directions from angles, directions spread evenly over the sphere, and rotations about a vector."""

from __future__ import annotations

import math

import numpy as np
import torch

#: The golden angle of the sunflower spiral, in radians.
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def direction(azimuth: torch.Tensor, elevation: torch.Tensor) -> torch.Tensor:
    """Return unit vectors (N, 3) from degrees (N,): azimuth 0 is +Z, 90 is +X; elevation 90 is +Y."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    return torch.stack((torch.sin(a) * torch.cos(e), torch.sin(e), torch.cos(a) * torch.cos(e)), dim=-1)


def fibonacci_sphere(count: int) -> torch.Tensor:
    """Return unit vectors (count, 3) float64 on a Fibonacci sphere, spread evenly, +Z first."""
    k = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * k / count
    turn = GOLDEN_ANGLE * k
    ring = (1 - z.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=-1)


def rotation_of(vector: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) about a vector (3,) by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
