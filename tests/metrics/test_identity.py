"""Proportions and skin tone: constant for one person, different between people."""

from __future__ import annotations

import pytest
import torch

from facekit import FaceLatents
from facekit.errors import InputError
from facekit.metrics.identity import STILL, identity_distance, proportions, skin_tone


@pytest.fixture(scope="module")
def points(default_pipeline):
    verts = default_pipeline.decode_shape(FaceLatents.sample(40, count=6, intensity=0.0))
    return verts[:, default_pipeline.template.landmarks]


def test_place_turn_and_size_do_not_matter(points):
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))
    other = 1.7 * points @ turn + torch.tensor([30.0, -4.0, 9.0])
    assert float(identity_distance(proportions(points), proportions(other)).max()) < 1e-2


def test_people_differ_by_percents(points):
    own = proportions(points)
    distance = torch.stack([identity_distance(own, one) for one in own])
    assert torch.allclose(distance, distance.t(), atol=1e-4)
    assert float(distance.diagonal().max()) == 0
    apart = distance[~torch.eye(6, dtype=torch.bool)]
    assert float(apart.min()) > 1
    assert float(apart.max()) < 20


def test_only_the_still_landmarks_count(points):
    other = points.clone()
    moving = [k for k in range(68) if k not in STILL]
    other[:, moving] += 20
    assert torch.equal(proportions(other), proportions(points))
    other[:, 30] += 5
    assert float(identity_distance(proportions(other), proportions(points)).min()) > 0.5


def test_a_wider_face_is_another(points):
    wide = points * torch.tensor([1.1, 1.0, 1.0])
    assert 2 < float(identity_distance(proportions(points), proportions(wide)).mean()) < 6


def test_skin_tone_is_the_median(points):
    texture = torch.full((1, 3, 20, 20), 0.5)
    texture[..., :6, :] = torch.tensor([1.0, 0.2, 0.2])[:, None, None]  # a blush on less than half of it
    skin = torch.ones(20, 20, dtype=torch.bool)
    assert torch.allclose(skin_tone(texture, skin)[0], torch.tensor([53.39, 0.0, 0.0]), atol=0.05)
    assert float(skin_tone(texture * 0.5, skin)[0, 0]) < 30


def test_bad_input_is_refused(points):
    with pytest.raises(InputError, match="landmarks"):
        proportions(points[:, :60])
    with pytest.raises(InputError, match="mask"):
        skin_tone(torch.rand(1, 3, 8, 8), torch.ones(4, 4, dtype=torch.bool))
