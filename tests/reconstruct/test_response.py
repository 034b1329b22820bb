"""The landmarker's response: its slopes, its noise, its file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import BLENDSHAPES
from facekit.errors import WeightsError
from facekit.reconstruct.response import Response, seen_from, upright
from facekit.reconstruct.unknowns import rotation_of


def test_slopes_are_those_of_the_bias(photo_model):
    response, rng, step = photo_model.response, np.random.default_rng(0), 1e-5
    identity, weights = rng.normal(size=80), rng.uniform(0, 0.5, 52)
    by_shapes, by_people = response.slopes(0.4, 80)
    base = response.bias(0.4, 0.1, 700.0, weights, identity)
    for k in (3, 25, 44):
        more = response.bias(0.4, 0.1, 700.0, weights + step * np.eye(52)[k], identity)
        np.testing.assert_allclose((more - base) / step, by_shapes[..., k], atol=1e-6)
    for k in (0, 30, 79):
        more = response.bias(0.4, 0.1, 700.0, weights, identity + step * np.eye(80)[k])
        np.testing.assert_allclose((more - base) / step, by_people[..., k], atol=1e-6)
    far = response.bias(0.4, 0.1, 700.0 * np.exp(step), weights, identity)
    np.testing.assert_allclose((far - base) / step, response.distance_slope(0.4, 0.1, 700.0), atol=1e-3)


def test_whitening_makes_the_noise_independent(photo_model):
    response = photo_model.response
    correlation = response.factor @ response.factor.T + np.diag(response.own)
    white = response.whitening @ correlation @ response.whitening.T
    np.testing.assert_allclose(white, np.eye(len(white)), atol=1e-6)


def test_a_person_is_reported_with_less_than_is_there(photo_model):
    """The landmarker's gain is below 1: differences between people are partly compensated by opposite offsets."""
    _, by_people = photo_model.response.slopes(0.0, 80)
    there = photo_model.points.modes[:, :2, 1:20]  # the first is size, which is seen
    assert (by_people[..., 1:20] * there).sum() < -0.1 * (there * there).sum()


def test_points_are_less_sure_at_the_silhouette(photo_model):
    response = photo_model.response
    assert (response.spread(np.full(478, -0.2)) > response.spread(np.full(478, 0.9))).all()


def test_scores_let_smiles_expect(photo_model):
    expected = photo_model.response.expected({"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9})
    rest = photo_model.response.expected({})
    k = BLENDSHAPES.index("mouthSmileLeft")
    assert expected[k] > rest[k] + 0.2 and expected.min() >= 0 and expected.max() <= 1


def test_what_is_ruled_out_stays(photo_model):
    root = photo_model.response.certainty(1.0, ruled_out=(51,))
    off = np.zeros(52)
    off[51] = 0.1
    assert np.linalg.norm(root @ off) > 50


def test_upright_and_place_of_the_camera():
    for roll in (-0.6, 0.0, 0.4):
        rotation = rotation_of(np.array([0.0, 0.0, roll]))
        np.testing.assert_allclose(upright(rotation) @ rotation[:2, 1], [0, 1], atol=1e-9)
    # A head that is turned to the image left shows the subject's left side.
    yaw, pitch, distance = seen_from(rotation_of(np.array([0.0, -0.5, 0.0])), np.array([0.0, 0.0, -900.0]))
    assert yaw == pytest.approx(0.5, abs=0.05) and abs(pitch) < 0.05 and distance == 900


def test_its_file(photo_model):
    packed = {name: torch.from_numpy(value) for name, value in photo_model.response.pack().items()}
    again = Response.unpack(packed)
    np.testing.assert_allclose(again.weights, photo_model.response.weights, atol=2e-3)
    del packed["response.own"]
    with pytest.raises(WeightsError):
        Response.unpack(packed)


def test_the_control_has_no_bias(photo_model):
    control = photo_model.response.without()
    assert not control.bias(0.3, 0.1, 600.0, np.ones(52), np.ones(80)).any()
    assert (control.sigma == photo_model.response.sigma).all()


def test_damped_halves_what_pose_alone_does(photo_model):
    response = photo_model.response
    half, place, nobody = response.damped(0.5), (0.3, 0.1, 600.0), (np.zeros(52), np.zeros(80))
    someone = np.linspace(0, 1, 52), np.linspace(-1, 1, 80)
    np.testing.assert_allclose(half.bias(*place, *nobody), response.bias(*place, *nobody) / 2)
    own = response.bias(*place, *someone) - response.bias(*place, *nobody)
    np.testing.assert_allclose(half.bias(*place, *someone) - half.bias(*place, *nobody), own, atol=1e-12)
    assert np.abs(own).max() > 1
