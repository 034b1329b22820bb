"""Displacement measures: explained energy, gain over the smooth mesh, wrinkles over intensity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

# Tolerance of the monotony test, as a fraction of the strongest relief.
_STEP_BACK = 0.01


@dataclass(frozen=True)
class DisplacementErrors:
    """Errors of displacement maps, one number per face.

    Parameters
    ----------
    fine, coarse:
        (B,) mm: mean distance along the normal to the reference surface, of the displaced and of the smooth mesh.
    left, total:
        (B,) mm²: mean energy of the residual and of the reference.
    """

    fine: Tensor
    coarse: Tensor
    left: Tensor
    total: Tensor


def displacement_errors(made: Tensor, wanted: Tensor, weight: Tensor) -> DisplacementErrors:
    """Compare displacement (B, 1, S, S) mm with the reference; ``weight`` (S, S) weighs the texels."""
    error, area = made - wanted, weight.sum().clamp_min(1e-12)

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum(dim=(1, 2, 3)) / area

    return DisplacementErrors(mean(error.abs()), mean(wanted.abs()), mean(error.square()), mean(wanted.square()))


@dataclass(frozen=True)
class DisplacementFigures:
    """Fidelity of displacement maps.

    Parameters
    ----------
    energy:
        Fraction of the reference's energy that is explained; 1 is all.
    coarse_mm, fine_mm:
        Mean distance along the normal to the reference surface, of the smooth and of the displaced mesh.
    worse:
        Fraction of faces with a larger error after displacement.
    """

    energy: float
    coarse_mm: float
    fine_mm: float
    worse: float


class DisplacementTally:
    """Accumulates the statistics of :class:`DisplacementFigures` over batches.

    Parameters
    ----------
    weight:
        (S, S) float: weight of each texel.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self._found: list[DisplacementErrors] = []

    def add(self, made: Tensor, wanted: Tensor) -> None:
        """Add faces: displacement (B, 1, S, S) mm and the reference."""
        self._found.append(displacement_errors(made, wanted, self.weight))

    def figures(self) -> DisplacementFigures:
        """Return the figures of all faces so far."""
        fine, coarse, left, total = (
            torch.cat([getattr(found, name) for found in self._found]).double()
            for name in ("fine", "coarse", "left", "total")
        )
        return DisplacementFigures(
            energy=1 - float(left.sum() / total.sum()),
            coarse_mm=float(coarse.mean()),
            fine_mm=float(fine.mean()),
            worse=float((fine > coarse).double().mean()),
        )


def relief_rises(sweep: Tensor) -> bool:
    """Return True if the relief (root mean square) of a sweep (K, 1, H, W) mm increases monotonically with
    intensity.
    """
    relief = sweep.square().mean(dim=(1, 2, 3)).sqrt()
    return bool((relief.diff() >= -_STEP_BACK * relief.max()).all())


@dataclass(frozen=True)
class WrinkleFigures:
    """Response of one expression's wrinkles to intensity.

    Parameters
    ----------
    monotone:
        Fraction of people whose relief increases monotonically, see :func:`relief_rises`.
    depth_mm, depth_at_end_mm:
        Mean depth of the deepest furrow at intensity 1 and at the end of the sweep.
    """

    monotone: float
    depth_mm: float
    depth_at_end_mm: float


def wrinkle_figures(sweeps: Iterable[Tensor], at_1: int) -> WrinkleFigures:
    """Measure dynamic displacement of several people.

    Each sweep is (K, 1, H, W) mm, one map per intensity; ``at_1`` is the index of intensity 1.
    """
    rising, depth, deepest = [], [], []
    for sweep in sweeps:
        rising.append(relief_rises(sweep))
        depth.append(-float(sweep[at_1].min()))
        deepest.append(-float(sweep[-1].min()))
    people = len(rising)
    return WrinkleFigures(sum(rising) / people, sum(depth) / people, sum(deepest) / people)
