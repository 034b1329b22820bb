"""Figures of displacement: the share that is explained, what it gains over the smooth mesh, wrinkles over intensity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from facekit.evaluate.shape import AT_1, AT_END

# A share of the strongest relief: less is no step back.
_STEP_BACK = 0.01


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
        self.faces = self.worse = 0
        self.left = self.total = self.near = self.far = 0.0

    def add(self, made: Tensor, wanted: Tensor) -> None:
        """Take in faces: displacement (B, 1, S, S) mm and the reference's."""
        error = made - wanted
        near, far = ((t.abs() * self.weight).sum(dim=(1, 2, 3)) for t in (error, wanted))
        self.faces += len(made)
        self.worse += int((near > far).sum())
        self.near += float(near.sum())
        self.far += float(far.sum())
        self.left += float((error.square() * self.weight).sum())
        self.total += float((wanted.square() * self.weight).sum())

    def figures(self) -> DisplacementFigures:
        """The figures of all faces so far."""
        area = float(self.weight.sum()) * self.faces
        return DisplacementFigures(
            energy=1 - self.left / self.total,
            coarse_mm=self.far / area,
            fine_mm=self.near / area,
            worse=self.worse / self.faces,
        )


@dataclass(frozen=True)
class WrinkleFigures:
    """Answer of one expression's furrows to intensity.

    Parameters
    ----------
    monotone:
        Share of people whose relief (root mean square) never steps back as intensity rises.
    depth_mm, depth_at_end_mm:
        Mean depth of the deepest furrow at intensity 1 and at the end of the sweep.
    """

    monotone: float
    depth_mm: float
    depth_at_end_mm: float


def wrinkle_figures(sweeps: Iterable[Tensor]) -> WrinkleFigures:
    """Measure dynamic displacement of several people.

    Each sweep is (K, 1, H, W) mm, one map for each of :data:`facekit.evaluate.shape.INTENSITIES`.
    """
    rising, depth, deepest = [], [], []
    for sweep in sweeps:
        relief = sweep.square().mean(dim=(1, 2, 3)).sqrt()
        rising.append(bool((relief.diff() > -_STEP_BACK * relief.max()).all()))
        depth.append(-float(sweep[AT_1].min()))
        deepest.append(-float(sweep[AT_END].min()))
    people = len(rising)
    return WrinkleFigures(sum(rising) / people, sum(depth) / people, sum(deepest) / people)
