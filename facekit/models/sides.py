"""Left and right: measure whether a model's expressions to the left move to the subject's left."""

from __future__ import annotations

import torch

from facekit.conventions import CHIN, LANDMARK_GROUPS, PARTS
from facekit.errors import InputError
from facekit.template import Template

#: Pairs of expressions that move to the left and to the right.
SIDED: tuple[tuple[str, str], ...] = (("jaw_left", "jaw_right"), ("mouth_left", "mouth_right"))

# A face moves chin and lips by at least this factor more than the crown. Weights that do not (those of a test, for
# instance) are not a face's, and no side can be measured.
_CROWN_STILL = 3.0
# Smallest displacement in mm of the lower face that counts as movement.
_MEASURABLE_MM = 0.2


def mirrored(to_left: torch.Tensor, to_right: torch.Tensor, template: Template) -> bool:
    """Return True if two expressions have swapped names: the one called left moves to the subject's right.

    Parameters
    ----------
    to_left, to_right:
        (V, 3) float32 mm: displacements of the expressions that the model calls left and right.
    template:
        Template with the landmarks of chin, lips and crown.
    """
    crown = template.parts == PARTS.index("back_of_head")
    lower = _lower_face(template)
    for moved in (to_left, to_right):
        size = moved.norm(dim=-1)
        if not crown.any() or not float(size[lower].mean()) > _CROWN_STILL * float(size[crown].mean()):
            return False
    try:
        return (measured_sides(to_left, template), measured_sides(to_right, template)) == ("right", "left")
    except InputError:  # too little movement to measure
        return False


def measured_sides(displacement_of_jaw_left: torch.Tensor, template: Template) -> str:
    """Return the side, ``"left"`` or ``"right"`` of the subject, to which an expression moves the lower face.

    FaceScape's names do not say whether left is the subject's or the viewer's, so the published weights are measured:
    decode ``jaw_left`` (or ``mouth_left``) and neutral with equal codes and pass the difference. "right" means that the
    code's names are mirrored, and that ``jaw_left`` must drive the code's ``jaw_right``.

    Parameters
    ----------
    displacement_of_jaw_left:
        (V, 3) float, mm, posed minus neutral.
    template:
        Template with the landmarks of chin and lips.
    """
    if displacement_of_jaw_left.shape != template.verts.shape:
        raise InputError(
            f"displacements {tuple(template.verts.shape)}",
            f"{tuple(displacement_of_jaw_left.shape)}",
            "pass one face's",
        )
    moved = displacement_of_jaw_left.detach().to(template.verts)
    # Subtract the motion of the head as a whole, measured at the bridge of the nose.
    lower = moved[_lower_face(template), 0].mean()
    shift = float(lower - moved[template.landmarks[LANDMARK_GROUPS["nose_bridge"]], 0].mean())
    if not abs(shift) >= _MEASURABLE_MM:
        raise InputError(
            f"an expression that moves chin and lips sideways by {_MEASURABLE_MM} mm or more",
            f"{shift:.3f} mm",
            "decode jaw_left or mouth_left at intensity 1 and subtract neutral",
        )
    return "left" if shift > 0 else "right"


def _lower_face(template: Template) -> torch.Tensor:
    """Return the vertices (25,) int64 of the chin's and the lips' landmarks."""
    chin = template.landmarks[CHIN - 2 : CHIN + 3]
    return torch.cat((chin, template.landmarks[LANDMARK_GROUPS["mouth"]]))
