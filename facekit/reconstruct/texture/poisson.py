"""Pictures from gradients: the screened Poisson equation by multigrid.

Finds d that minimises ``sum w (d - t)² + sum |grad d - g|²`` (Pérez, Gangnet and Blake, *Poisson image editing*, SIGGRAPH
2003; with the data term of Bhat et al., *GradientShop*, 2010): away from pinned places d keeps the gradients that it is
given, and no seam shows where the sources of those meet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

#: Sweeps of damped Jacobi before and after each coarser grid, and its damping.
_SWEEPS, _DAMPING = 3, 0.8
#: No grid is coarser than this; sweeps there.
_COARSEST, _LAST_SWEEPS = 6, 60


def solve(
    target: torch.Tensor, weight: torch.Tensor, across: torch.Tensor, down: torch.Tensor, cycles: int = 12
) -> torch.Tensor:
    """Solve for pictures, with no flow over the border.

    Parameters
    ----------
    target:
        (C, H, W) float32, t.
    weight:
        (1, H, W) float32, 0 or more, w, above 0 somewhere.
    across, down:
        (C, H, W - 1) and (C, H - 1, W) float32, g: what neighbours of a row and of a column are to differ by.
    cycles:
        V-cycles.

    Returns
    -------
    torch.Tensor
        (C, H, W) float32.
    """
    right = weight * target - _divergence(across, down)
    d = (target * weight).sum((1, 2), keepdim=True) / weight.sum().clamp_min(1e-12) + torch.zeros_like(target)
    for _ in range(cycles):
        d = _cycle(d[None], right[None], weight[None], 1.0)[0]
    return d


def _divergence(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return F.pad(across, (0, 1)) - F.pad(across, (1, 0)) + F.pad(down, (0, 0, 0, 1)) - F.pad(down, (0, 0, 1, 0))


def _neighbours(d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the up to four neighbours, and their number."""
    wide, ones = F.pad(d, (1, 1, 1, 1)), F.pad(torch.ones_like(d[:1, :1]), (1, 1, 1, 1))
    total, count = (
        t[..., 1:-1, :-2] + t[..., 1:-1, 2:] + t[..., :-2, 1:-1] + t[..., 2:, 1:-1] for t in (wide, ones)
    )
    return total, count


def _smoothed(d: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, stiffness: float, sweeps: int) -> torch.Tensor:
    for _ in range(sweeps):
        total, count = _neighbours(d)
        d = torch.lerp(d, (right + stiffness * total) / (weight + stiffness * count), _DAMPING)
    return d


def _cycle(d: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, stiffness: float) -> torch.Tensor:
    """One V-cycle for (w - stiffness * Laplace) d = right, (1, C, H, W)."""
    if min(d.shape[2:]) <= _COARSEST:
        return _smoothed(d, right, weight, stiffness, _LAST_SWEEPS)
    d = _smoothed(d, right, weight, stiffness, _SWEEPS)
    total, count = _neighbours(d)
    residual = right - (weight + stiffness * count) * d + stiffness * total
    coarse, light = (F.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in (residual, weight))
    step = _cycle(torch.zeros_like(coarse), coarse, light, stiffness / 4)
    d = d + F.interpolate(step, scale_factor=2, mode="bilinear", align_corners=False)[..., : d.shape[2], : d.shape[3]]
    return _smoothed(d, right, weight, stiffness, _SWEEPS)
