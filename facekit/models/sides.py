"""Whose left: whether a model's expressions to the left go to the subject's left, measured on what it makes."""

from __future__ import annotations

import torch

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.template import Template
from facekit.weights.facts import measured_sides

#: The expressions that go to one side, with the one that goes to the other.
SIDED: tuple[tuple[str, str], ...] = (("jaw_left", "jaw_right"), ("mouth_left", "mouth_right"))

# A face moves chin and lips and holds its crown still: by this factor at least. Weights for which that is not so are
# no face's (a test's, for instance), and say nothing about sides.
_CROWN_STILL = 3.0


def mirrored(to_left: torch.Tensor, to_right: torch.Tensor, template: Template) -> bool:
    """Whether two expressions carry each other's names: the one called left goes to the subject's right.

    Parameters
    ----------
    to_left, to_right:
        (V, 3) float32 mm, displacements from the neutral face of the expressions that the model calls so.
    template:
        Says where chin, lips and crown are.
    """
    crown = template.parts == PARTS.index("back_of_head")
    lower = template.landmarks[[6, 7, 8, 9, 10, *range(48, 68)]]
    for moved in (to_left, to_right):
        size = moved.norm(dim=-1)
        if not crown.any() or not float(size[lower].mean()) > _CROWN_STILL * float(size[crown].mean()):
            return False
    try:
        return (measured_sides(to_left, template), measured_sides(to_right, template)) == ("right", "left")
    except InputError:  # too little movement to tell
        return False
