"""Figures of a rig: skin that folds, lids inside of eyeballs, lips inside of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facekit.metrics.contact import Contact, flipped_triangles

#: So many triangles of a face may turn over, and so much deeper than at rest may something lie in something, mm.
FLIPS, DEPTH_MM = 20, 0.3


@dataclass(frozen=True)
class RigFigures:
    """Behaviour of poses over several people.

    Parameters
    ----------
    count:
        Number of poses.
    flips, most_flips:
        Triangles turned by over 90 degrees against the neutral face: mean, and of the worst pose.
    smooth:
        Share of poses with :data:`FLIPS` of them or fewer.
    lids_mm, lips_mm:
        How much deeper than at rest the deepest vertex lies in an eyeball, or in the other lip, in the worst pose.
    clear:
        Share of poses in which neither does by more than :data:`DEPTH_MM`.
    """

    count: int
    flips: float
    most_flips: int
    smooth: float
    lids_mm: float
    lips_mm: float
    clear: float


class RigTally:
    """Collects poses of one topology, a few at a time.

    Parameters
    ----------
    measure:
        Of the topology that the poses have.
    """

    def __init__(self, measure: Contact) -> None:
        self.measure = measure
        self._found: list[Tensor] = []

    def add(self, rest: Tensor, posed: Tensor) -> None:
        """Measure faces (B, V, 3) mm against the same people at rest, (B, V, 3) or (1, V, 3)."""
        rest = rest.expand_as(posed) if len(rest) != len(posed) else rest
        flips = flipped_triangles(self.measure.template.faces, rest, posed).sum(dim=1).to(posed.dtype)
        deeper = [depth(posed) - depth(rest) for depth in (self.measure.lids, self.measure.lips)]
        self._found.append(torch.stack((flips, *(value.clamp_min(0) for value in deeper)), dim=1))

    def figures(self) -> RigFigures:
        """Summarise the poses so far; at least one is required."""
        flips, lids, lips = torch.cat(self._found).T
        return RigFigures(
            count=len(flips),
            flips=float(flips.mean()),
            most_flips=int(flips.max()),
            smooth=float((flips <= FLIPS).float().mean()),
            lids_mm=float(lids.max()),
            lips_mm=float(lips.max()),
            clear=float((torch.maximum(lids, lips) <= DEPTH_MM).float().mean()),
        )


def rows(figures: Sequence[tuple[str, RigFigures]]) -> str:
    """A Markdown table of named figures."""
    lines = [
        f"| poses | flips, mean | most | with {FLIPS} or fewer | lids deeper by, mm | lips | within {DEPTH_MM} mm |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in figures:
        lines.append(
            f"| {name} | {found.flips:.1f} | {found.most_flips} | {found.smooth:.1%} | {found.lids_mm:.2f} "
            f"| {found.lips_mm:.2f} | {found.clear:.1%} |"
        )
    return "\n".join(lines)
