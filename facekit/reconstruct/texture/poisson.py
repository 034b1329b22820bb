"""Screened Poisson equation by multigrid: pictures from gradients.

Minimises ``sum w (d - t)² + sum |grad d - g|²`` over d (Pérez, Gangnet and Blake, *Poisson image editing*, SIGGRAPH
2003; with the data term of Bhat et al., *GradientShop*, 2010): away from constrained pixels d keeps the given
gradients, and no seam shows where their sources meet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

#: Number of damped Jacobi sweeps before and after each coarser grid, and the damping.
_SWEEPS, _DAMPING = 3, 0.8
#: Side of the coarsest grid; number of sweeps there; sides are padded to multiples of the last number.
_COARSEST, _LAST_SWEEPS, _EVEN = 6, 60, 32


def solve(
    target: torch.Tensor, weight: torch.Tensor, across: torch.Tensor, down: torch.Tensor, cycles: int = 1
) -> torch.Tensor:
    """Solve with no flow across the border.

    Parameters
    ----------
    target:
        (C, H, W) float32: t.
    weight:
        (1, H, W) float32: w, non-negative, positive somewhere.
    across, down:
        (C, H, W - 1) and (C, H - 1, W) float32: g, differences between neighbours along rows and along columns.
    cycles:
        Number of V-cycles on each grid, from the coarsest to the finest (full multigrid).

    Returns
    -------
    torch.Tensor
        (C, H, W) float32.
    """
    height, width = target.shape[1:]
    # Pad to sides that halve evenly; zero gradients in the padding leave the solution unchanged.
    wide, tall = -width % _EVEN, -height % _EVEN
    across = F.pad(F.pad(across[None], (0, 0, 0, tall), mode="replicate"), (0, wide))[0]
    down = F.pad(F.pad(down[None], (0, wide, 0, 0), mode="replicate"), (0, 0, 0, tall))[0]
    pinned, weight = (F.pad(t, (0, wide, 0, tall)) for t in (weight * target, weight))
    right = pinned - _divergence(across, down)
    return _nested(right[None], weight[None], 1.0, cycles)[0, :, :height, :width]


def _nested(right: torch.Tensor, weight: torch.Tensor, stiffness: float, cycles: int) -> torch.Tensor:
    """Solve on a coarser grid first for an initial value."""
    if min(right.shape[2:]) <= _COARSEST:
        start = right.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1e-12)
        return _smoothed(start.expand_as(right), right, weight, stiffness, _LAST_SWEEPS)
    coarse, light = (F.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in (right, weight))
    d = _enlarged(_nested(coarse, light, stiffness / 4, cycles), right.shape[2:])
    for _ in range(cycles):
        d = _cycle(d, right, weight, stiffness)
    return d


def _enlarged(coarse: torch.Tensor, size: torch.Size) -> torch.Tensor:
    fine = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return fine[..., : size[0], : size[1]]


def _divergence(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return F.pad(across, (0, 1)) - F.pad(across, (1, 0)) + F.pad(down, (0, 0, 0, 1)) - F.pad(down, (0, 0, 1, 0))


def _neighbours(d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum of the up to four neighbours, and their number."""
    wide, ones = F.pad(d, (1, 1, 1, 1)), F.pad(torch.ones_like(d[:1, :1]), (1, 1, 1, 1))
    total, count = (t[..., 1:-1, :-2] + t[..., 1:-1, 2:] + t[..., :-2, 1:-1] + t[..., 2:, 1:-1] for t in (wide, ones))
    return total, count


def _smoothed(
    d: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, stiffness: float, sweeps: int
) -> torch.Tensor:
    for _ in range(sweeps):
        total, count = _neighbours(d)
        d = torch.lerp(d, (right + stiffness * total) / (weight + stiffness * count), _DAMPING)
    return d


def _cycle(d: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, stiffness: float) -> torch.Tensor:
    """Run one V-cycle for (w - stiffness * Laplace) d = right, (1, C, H, W)."""
    if min(d.shape[2:]) <= _COARSEST:
        return _smoothed(d, right, weight, stiffness, _LAST_SWEEPS)
    d = _smoothed(d, right, weight, stiffness, _SWEEPS)
    total, count = _neighbours(d)
    residual = right - (weight + stiffness * count) * d + stiffness * total
    coarse, light = (F.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in (residual, weight))
    step = _cycle(torch.zeros_like(coarse), coarse, light, stiffness / 4)
    return _smoothed(d + _enlarged(step, d.shape[2:]), right, weight, stiffness, _SWEEPS)
