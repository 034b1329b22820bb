"""Left and right: a measurement of whether a model's expressions to the left go to the subject's left."""

from __future__ import annotations

import torch

from facekit.conventions import CHIN, LANDMARK_GROUPS, PARTS
from facekit.errors import InputError
from facekit.template import Template

#: The expressions that go to one side, with the one that goes to the other.
SIDED: tuple[tuple[str, str], ...] = (("jaw_left", "jaw_right"), ("mouth_left", "mouth_right"))

# A face moves chin and lips and holds its crown still: by this factor at least. Weights for which that is not so are
# no face's (a test's, for instance), and say nothing about sides.
_CROWN_STILL = 3.0
# Whoever moves the jaw aside moves it by millimetres; less is noise.
_MEASURABLE_MM = 0.2


def mirrored(to_left: torch.Tensor, to_right: torch.Tensor, template: Template) -> bool:
    """Tell whether two expressions carry each other's names: the one called left goes to the subject's right.

    Parameters
    ----------
    to_left, to_right:
        (V, 3) float32 mm, displacements from the neutral face of the expressions that the model calls so.
    template:
        Says where chin, lips and crown are.
    """
    crown = template.parts == PARTS.index("back_of_head")
    lower = _lower_face(template)
    for moved in (to_left, to_right):
        size = moved.norm(dim=-1)
        if not crown.any() or not float(size[lower].mean()) > _CROWN_STILL * float(size[crown].mean()):
            return False
    try:
        return (measured_sides(to_left, template), measured_sides(to_right, template)) == ("right", "left")
    except InputError:  # too little movement to tell
        return False


def measured_sides(displacement_of_jaw_left: torch.Tensor, template: Template) -> str:
    """The side to which an expression moves the lower face: ``"left"`` or ``"right"``, the subject's.

    FaceScape's names say left and right without saying whose. The published weights decide: decode ``jaw_left`` (or
    ``mouth_left``) and neutral with equal codes and pass the difference. "right" means that the code's names are
    mirrored, and that ``jaw_left`` must drive the code's ``jaw_right``.

    Parameters
    ----------
    displacement_of_jaw_left:
        (V, 3) float, mm, posed minus neutral.
    template:
        Its landmarks of chin and lips are measured.
    """
    if displacement_of_jaw_left.shape != template.verts.shape:
        raise InputError(
            f"displacements {tuple(template.verts.shape)}",
            f"{tuple(displacement_of_jaw_left.shape)}",
            "pass one face's",
        )
    moved = displacement_of_jaw_left.detach().to(template.verts)
    # The head as a whole may move, too: the bridge of the nose tells by how much.
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
    """Vertices of the chin's and the lips' landmarks, (25,) int64."""
    chin = template.landmarks[CHIN - 2 : CHIN + 3]
    return torch.cat((chin, template.landmarks[LANDMARK_GROUPS["mouth"]]))
