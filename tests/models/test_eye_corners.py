"""Corners of the eyes: as far apart as people's, on the eyeballs, alike on both lids."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.resting_lids import rims


@pytest.fixture(scope="module")
def neutral(default_pipeline) -> torch.Tensor:
    people = FaceLatents.cat([FaceLatents.sample(seed) for seed in range(900, 908)])
    return default_pipeline.decode_shape(default_pipeline.to_model_codes(people).at_rest())


def test_eyes_are_as_wide_as_peoples(default_pipeline, neutral):
    marks = neutral[:, default_pipeline.template.landmarks]
    wide = (marks[:, [36, 42]] - marks[:, [39, 45]]).norm(dim=2).mean(dim=1)
    eyes = default_pipeline.resting_lids.eyes
    apart = (eyes[0].centre(neutral) - eyes[1].centre(neutral)).norm(dim=2)[:, 0]
    assert 0.42 < float((wide / apart).median()) < 0.48, "the palpebral fissure over the pupils' distance"


def test_the_corners_alone_move_and_no_eyeball_does(default_pipeline):
    template, field = default_pipeline.template, default_pipeline.eye_corners.field
    moved = field.norm(dim=1)
    corners = template.landmarks[[36, 39, 42, 45]]
    assert 0.8 < float(moved[corners].min()) < float(moved[corners].max()) < 2.0
    outward = template.verts[corners, 0].sign() * field[corners, 0]
    assert bool((outward[[0, 3]] > 0).all()) and bool((outward[[1, 2]] < 0).all())
    fixed = torch.isin(template.parts, template.parts.new_tensor([PARTS.index(n) for n in ("eyes", "teeth")]))
    far = torch.cdist(template.verts, template.verts[corners]).amin(dim=1) > 25
    assert not moved[fixed].any() and not moved[far].any()


def test_both_lids_move_alike_and_stay_on_the_eye(default_pipeline):
    """Otherwise closed lids, which lie on each other point by point, would part."""
    template, field = default_pipeline.template, default_pipeline.eye_corners.field
    for side, eye in enumerate(default_pipeline.resting_lids.eyes):
        upper, lower = rims(default_pipeline.blendshapes, side)
        across = (template.verts[upper, :1] - template.verts[lower, 0]).abs().argmin(dim=1)
        assert float((field[upper, 0] - field[lower[across], 0]).abs().max()) < 0.25, "mm"
        rim = torch.cat((upper, lower))
        gap = eye.gap(template.verts + field)[rim] - eye.gap(template.verts)[rim]
        assert -0.1 < float(gap.min()) < float(gap.max()) < 0.45, "mm"
