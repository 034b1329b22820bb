"""Figures of shapes: how expressions behave, whether lids meet, how well an autoencoder rebuilds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: A sweep's intensities, 0 to 1.5 by tenths, and the indices of intensity 1 and of the last.
INTENSITIES = tuple(0.1 * k for k in range(16))
AT_1, AT_END = 10, 15
#: iBUG landmarks on the upper lids, and those below each on the lower lid.
UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
# A share of the whole way: less is no step back.
_STEP_BACK = 0.01


@dataclass(frozen=True)
class ExpressionFigures:
    """Behaviour of one expression over several people.

    Parameters
    ----------
    size_mm:
        Mean movement of the face's vertices at intensity 1.
    error_mm:
        Their mean distance from the reference pose at intensity 1.
    monotone:
        Share of people whose face never steps back as intensity rises.
    flipped_at_1, flipped_at_end:
        Triangles turned by over 90 degrees, mean per person, at intensity 1 and at the end of the sweep.
    """

    size_mm: float
    error_mm: float
    monotone: float
    flipped_at_1: float
    flipped_at_end: float


@dataclass(frozen=True)
class AutoencoderFigures:
    """Mean vertex errors in mm: of all vertices, of the face alone; and how far faces are from the mean."""

    reconstruction_mm: float
    reconstruction_face_mm: float
    variation_mm: float


def expression_figures(
    neutral: Tensor, moved: Sequence[Tensor], wanted: Tensor, faces: Tensor, face: Tensor
) -> ExpressionFigures:
    """Measure one expression.

    Parameters
    ----------
    neutral:
        (B, V, 3) float mm, everybody at rest.
    moved:
        Displacements from it, (B, V, 3) mm, one for each of :data:`INTENSITIES`.
    wanted:
        (B, V, 3) mm, the reference's displacements at intensity 1.
    faces:
        (F, 3) int64.
    face:
        (V,) bool, the vertices that count for size and error.
    """
    posed = moved[AT_1]
    # Progress along the posed direction: monotone means that it hardly ever steps back.
    length = posed.square().sum(dim=(1, 2))
    progress = torch.stack([(m * posed).sum(dim=(1, 2)) / length for m in moved])
    flips = [turned_triangles(neutral, neutral + moved[k], faces).float().sum(dim=1).mean() for k in (AT_1, AT_END)]
    return ExpressionFigures(
        size_mm=float(posed.norm(dim=-1)[:, face].mean()),
        error_mm=float((posed - wanted).norm(dim=-1)[:, face].mean()),
        monotone=float((progress.diff(dim=0) > -_STEP_BACK).all(dim=0).float().mean()),
        flipped_at_1=float(flips[0]),
        flipped_at_end=float(flips[1]),
    )


def turned_triangles(before: Tensor, after: Tensor, faces: Tensor) -> Tensor:
    """Triangles (B, F) bool that turn by over 90 degrees between vertices (B, V, 3) before and after."""
    a, b = (
        torch.linalg.cross(v[:, faces[:, 1]] - v[:, faces[:, 0]], v[:, faces[:, 2]] - v[:, faces[:, 0]])
        for v in (before, after)
    )
    return (a * b).sum(dim=-1) < 0


def mean_distance(a: Tensor, b: Tensor, vertices: Tensor) -> float:
    """Mean distance in mm between vertices (B, V, 3) of two sets of faces, over those of a mask (V,) bool."""
    return float((a - b).norm(dim=-1)[:, vertices].mean())


def largest_distance(a: Tensor, b: Tensor) -> float:
    """Largest distance in mm between vertices (B, V, 3) of two sets of faces."""
    return float((a - b).norm(dim=-1).max())


def lid_gaps(verts: Tensor, landmarks: Tensor) -> Tensor:
    """Heights (B, 4) mm of the upper lids over the lower ones, two places per eye; below 0 where they overlap.

    ``verts`` (B, V, 3) mm; ``landmarks`` (68,) int64, vertices in iBUG order.
    """
    upper, lower = (verts[:, landmarks[list(lids)], 1] for lids in (UPPER_LIDS, LOWER_LIDS))
    return upper - lower


def autoencoder_figures(rebuilt: Tensor, shape: Tensor, face: Tensor) -> AutoencoderFigures:
    """Compare rebuilt with given displacements from the mean face, (B, V, 3) mm each; ``face`` (V,) bool."""
    error = (rebuilt - shape).norm(dim=-1)
    return AutoencoderFigures(
        reconstruction_mm=float(error.mean()),
        reconstruction_face_mm=float(error[:, face].mean()),
        variation_mm=float(shape.norm(dim=-1).mean()),
    )
