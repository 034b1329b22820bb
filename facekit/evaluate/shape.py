"""Shape measures: expressions over intensity, lid closure, autoencoder errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Intensities of a sweep, 0 to 1.5 in steps of 0.1; indices of intensity 1 and of the last.
INTENSITIES = tuple(0.1 * k for k in range(16))
AT_1, AT_END = 10, 15
#: iBUG landmarks on the upper lids, and those below them on the lower lids.
UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
# Tolerance of the monotony test, as a fraction of the full displacement.
_STEP_BACK = 0.01


@dataclass(frozen=True)
class ExpressionFigures:
    """Measures of one expression over several people.

    Parameters
    ----------
    size_mm:
        Mean displacement of the face's vertices at intensity 1.
    error_mm:
        Their mean distance from the reference pose at intensity 1.
    monotone:
        Fraction of people whose displacement grows monotonically with intensity.
    flipped_at_1, flipped_at_end:
        Mean number of triangles per person that turn by over 90 degrees, at intensity 1 and at the end of the sweep.
    """

    size_mm: float
    error_mm: float
    monotone: float
    flipped_at_1: float
    flipped_at_end: float


@dataclass(frozen=True)
class AutoencoderFigures:
    """Mean vertex errors in mm: of all vertices, and of the face; and the mean distance of faces from the mean."""

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
        (B, V, 3) float mm: neutral faces.
    moved:
        Displacements (B, V, 3) mm, one per intensity in :data:`INTENSITIES`.
    wanted:
        (B, V, 3) mm: reference displacements at intensity 1.
    faces:
        (F, 3) int64.
    face:
        (V,) bool: vertices over which size and error are averaged.
    """
    posed = moved[AT_1]
    # Projection on the direction of the full expression: monotone if it hardly ever decreases.
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
    """Return the triangles (B, F) bool that turn by over 90 degrees between vertices (B, V, 3) before and after."""
    a, b = (
        torch.linalg.cross(v[:, faces[:, 1]] - v[:, faces[:, 0]], v[:, faces[:, 2]] - v[:, faces[:, 0]])
        for v in (before, after)
    )
    return (a * b).sum(dim=-1) < 0


def mean_distance(a: Tensor, b: Tensor, vertices: Tensor) -> float:
    """Return the mean distance in mm between vertices (B, V, 3) of two sets of faces, over a mask (V,) bool."""
    return float((a - b).norm(dim=-1)[:, vertices].mean())


def largest_distance(a: Tensor, b: Tensor) -> float:
    """Return the largest distance in mm between vertices (B, V, 3) of two sets of faces."""
    return float((a - b).norm(dim=-1).max())


def lid_gaps(verts: Tensor, landmarks: Tensor) -> Tensor:
    """Return the heights (B, 4) in mm of the upper lids over the lower ones, at two points per eye; negative for
    overlap.

    ``verts`` (B, V, 3) mm; ``landmarks`` (68,) int64, vertices in iBUG order.
    """
    upper, lower = (verts[:, landmarks[list(lids)], 1] for lids in (UPPER_LIDS, LOWER_LIDS))
    return upper - lower


def autoencoder_figures(rebuilt: Tensor, shape: Tensor, face: Tensor) -> AutoencoderFigures:
    """Compare reconstructed with given displacements (B, V, 3) mm from the mean face; ``face`` (V,) bool."""
    error = (rebuilt - shape).norm(dim=-1)
    return AutoencoderFigures(
        reconstruction_mm=float(error.mean()),
        reconstruction_face_mm=float(error[:, face].mean()),
        variation_mm=float(shape.norm(dim=-1).mean()),
    )
