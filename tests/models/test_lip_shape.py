"""Shapes of lips: what moves, and that closed lips stay closed."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.models.lip_shape import lip_shapes


@pytest.fixture(scope="module")
def shapes(default_pipeline) -> torch.Tensor:
    return lip_shapes(default_pipeline.template)


def test_borders_move_and_seam_corners_and_the_rest_of_the_head_stay(default_pipeline, shapes):
    marks = shapes[:3, default_pipeline.template.landmarks]
    upper, lower, bow = marks
    assert 1.0 < float(upper[51, 1]) < 1.6 and -1.8 < float(lower[57, 1]) < -1.1, "mm"
    assert float(bow[51, 1]) * float(bow[[50, 52], 1].max()) < 0 or float(bow[51, 1]) > float(bow[[49, 53], 1].max())
    # Along the seam, at the mouth's corners, the nose and the chin.
    still = [48, 54, 60, 61, 62, 63, 64, 65, 66, 67, 33, 8]
    assert float(marks[:, still].norm(dim=2).max()) < 0.15
    verts = default_pipeline.template.verts
    away = torch.cdist(verts, verts[default_pipeline.template.landmarks[48:60]]).amin(dim=1)
    assert not shapes[:3, away > 20].any()


def test_corners_rise_with_both_lips_and_what_is_around(default_pipeline, shapes):
    template = default_pipeline.template
    marks = shapes[3, template.landmarks]
    assert float(marks[[48, 54], 1].min()) > 0.9 and float(marks[:, 1].max()) < 1.3, "mm"
    # Points that lie on each other at the corners, those of the upper lip and those of the lower one, go together.
    torch.testing.assert_close(marks[[60, 64]], marks[[48, 54]], atol=0.15, rtol=0)
    assert float(marks[[30, 33, 8, 36, 45]].abs().max()) < 0.25 and not marks[:, [0, 2]].any()


def test_left_and_right_are_alike_and_teeth_stay(default_pipeline, shapes):
    template = default_pipeline.template
    marks = shapes[:, template.landmarks]
    for right, left in ((49, 53), (50, 52), (59, 55), (58, 56)):
        torch.testing.assert_close(marks[:, right, 1], marks[:, left, 1], atol=0.12, rtol=0)
    inner = torch.isin(template.parts, template.parts.new_tensor([PARTS.index(n) for n in ("teeth", "eyes")]))
    assert float(shapes[:, inner].abs().max()) < 0.02
