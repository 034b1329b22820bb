"""Sphere fitting."""

from __future__ import annotations

import torch


def fit_sphere(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return centre (3,) and radius () of the best-fit sphere of points (N, 3), by linear least squares.

    Minimises the error of ``|p|² = 2 p . c + (r² - |c|²)``, which is exact for points on a sphere.
    """
    p = points.double()
    system = torch.cat((2 * p, torch.ones_like(p[:, :1])), dim=1)
    solution = torch.linalg.lstsq(system, p.square().sum(1, keepdim=True)).solution[:, 0]
    centre = solution[:3]
    return centre.to(points), (solution[3] + centre.square().sum()).sqrt().to(points)
