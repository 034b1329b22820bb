"""Figures of displacement: the share that is explained, what it gains over the smooth mesh, wrinkles over intensity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

# A share of the strongest relief: less is no step back.
_STEP_BACK = 0.01


@dataclass(frozen=True)
class DisplacementErrors:
    """Errors of displacement maps, a number a face.

    Parameters
    ----------
    fine, coarse:
        (B,) mm, mean distance along the normal from the reference's surface, of the displaced mesh and of the smooth
        one.
    left, total:
        (B,) mm², mean energy of what the map misses and of the reference.
    """

    fine: Tensor
    coarse: Tensor
    left: Tensor
    total: Tensor


def displacement_errors(made: Tensor, wanted: Tensor, weight: Tensor) -> DisplacementErrors:
    """Compare displacement (B, 1, S, S) mm with the reference's; ``weight`` (S, S) says how much a texel counts."""
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
        Share of the reference's energy that is explained; 1 is all.
    coarse_mm, fine_mm:
        Mean distance along the normal from the reference's surface, of the smooth mesh and of the displaced one.
    worse:
        Share of faces that the displacement takes further away.
    """

    energy: float
    coarse_mm: float
    fine_mm: float
    worse: float


class DisplacementTally:
    """Adds up over batches what :class:`DisplacementFigures` are made of.

    Parameters
    ----------
    weight:
        (S, S) float, how much each texel counts.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self._found: list[DisplacementErrors] = []

    def add(self, made: Tensor, wanted: Tensor) -> None:
        """Take in faces: displacement (B, 1, S, S) mm and the reference's."""
        self._found.append(displacement_errors(made, wanted, self.weight))

    def figures(self) -> DisplacementFigures:
        """The figures of all faces so far."""
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
    """Tell whether relief (root mean square) never steps back through a sweep (K, 1, H, W) mm of rising intensity."""
    relief = sweep.square().mean(dim=(1, 2, 3)).sqrt()
    return bool((relief.diff() >= -_STEP_BACK * relief.max()).all())


@dataclass(frozen=True)
class WrinkleFigures:
    """Answer of one expression's furrows to intensity.

    Parameters
    ----------
    monotone:
        Share of people whose relief never steps back as intensity rises, see :func:`relief_rises`.
    depth_mm, depth_at_end_mm:
        Mean depth of the deepest furrow at intensity 1 and at the end of the sweep.
    """

    monotone: float
    depth_mm: float
    depth_at_end_mm: float


def wrinkle_figures(sweeps: Iterable[Tensor], at_1: int) -> WrinkleFigures:
    """Measure dynamic displacement of several people.

    Each sweep is (K, 1, H, W) mm, one map for each intensity; ``at_1`` is the place of intensity 1 among them.
    """
    rising, depth, deepest = [], [], []
    for sweep in sweeps:
        rising.append(relief_rises(sweep))
        depth.append(-float(sweep[at_1].min()))
        deepest.append(-float(sweep[-1].min()))
    people = len(rising)
    return WrinkleFigures(sum(rising) / people, sum(depth) / people, sum(deepest) / people)
