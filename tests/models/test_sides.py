"""Left and right: sides are measured from displacements, never guessed."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import InputError
from facekit.models.sides import measured_sides
from tests.models.composers.facemask import facemask


@pytest.mark.parametrize(("shift", "side"), [(4.0, "left"), (-4.0, "right")])
def test_sides_are_measured(shift, side):
    template = facemask(60)
    lower = (template.verts[:, 1] < 0).float()
    displacement = torch.zeros_like(template.verts)
    displacement[:, 0] = shift * lower - 7.0  # the head as a whole moved, too
    assert measured_sides(displacement, template) == side


def test_sides_of_what_does_not_move_aside_are_not_guessed():
    template = facemask(60)
    with pytest.raises(InputError, match="sideways"):
        measured_sides(torch.zeros_like(template.verts), template)
    with pytest.raises(InputError, match="sideways"):
        measured_sides(torch.full_like(template.verts, torch.nan), template)
    with pytest.raises(InputError, match="displacements"):
        measured_sides(torch.zeros(3, 3), template)
