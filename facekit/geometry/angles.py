"""Directions in space: from angles, and spread evenly over the sphere."""

from __future__ import annotations

import math

import torch

#: The angle of the sunflower: no two turns by it ever meet.
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def direction(azimuth: torch.Tensor, elevation: torch.Tensor) -> torch.Tensor:
    """Unit vectors (N, 3) from degrees (N,): azimuth 0 is +Z, 90 is +X; elevation 90 is +Y."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    return torch.stack((torch.sin(a) * torch.cos(e), torch.sin(e), torch.cos(a) * torch.cos(e)), dim=-1)


def fibonacci_sphere(count: int) -> torch.Tensor:
    """Unit vectors (count, 3) float64, spread evenly over the sphere (Fibonacci's spiral), +Z first."""
    k = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * k / count
    turn = GOLDEN_ANGLE * k
    ring = (1 - z.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=-1)
