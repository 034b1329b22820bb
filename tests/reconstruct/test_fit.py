"""The fit recovers the parameters that points were generated from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from facekit.conventions import BLENDSHAPES
from facekit.reconstruct.fit import fit
from facekit.reconstruct.unknowns import rotation_of
from tests.reconstruct.conftest import shot, weights_of

SMILE = weights_of(mouthSmileLeft=0.7, mouthSmileRight=0.7, jawOpen=0.2)
CLOSED = weights_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)


@pytest.fixture(scope="module")
def identity(photo_model) -> np.ndarray:
    return np.random.default_rng(5).normal(size=len(photo_model.modes)).clip(-2, 2)


def apart(model, found: np.ndarray, true: np.ndarray) -> float:
    """Mean mm between two people at rest, after they are laid over each other with scale."""
    a, b = (p - p.mean(axis=0) for p in (model.points.neutral(found), model.points.neutral(true)))
    return float(np.linalg.norm(a / np.linalg.norm(a) * np.linalg.norm(b) - b, axis=1).mean())


def test_it_comes_nearer_than_the_mean_face_and_than_a_fit_without_the_response(photo_model):
    """The bias is what makes people differ: without it the same points make people nearer to the mean."""
    errors = []
    for number in range(6):
        person = np.random.default_rng(number).normal(size=len(photo_model.modes)).clip(-2.5, 2.5)
        view = shot(photo_model, person, SMILE, yaw=0.1 * (number - 3), noise=1.0, seed=number).view
        found = fit(photo_model.points, photo_model.response, [view])
        control = fit(photo_model.points, photo_model.response.without(), [view])
        people = (found.identity, control.identity, np.zeros_like(person))
        errors.append([apart(photo_model, who, person) for who in people])
    ours, control, mean = np.mean(errors, axis=0)
    assert ours < 0.95 * control and ours < 0.85 * mean


def test_pose_and_expression_are_found(sharp, identity):
    seen = shot(sharp, identity, SMILE, noise=1.0)
    found = fit(sharp.points, sharp.response, [seen.view])
    assert found.blendshapes[0, BLENDSHAPES.index("mouthSmileLeft")] == pytest.approx(0.7, abs=0.25)
    turned = np.degrees(np.arccos(np.clip((np.trace(found.rotation[0].T @ seen.rotation) - 1) / 2, -1, 1)))
    assert turned < 3


def test_several_photographs_tell_more_than_one(photo_model, identity):
    shots = [shot(photo_model, identity, SMILE * k / 4, yaw=0.2 * (k - 2), noise=1.0, seed=k) for k in range(5)]
    one = [fit(photo_model.points, photo_model.response, [s.view]) for s in shots]
    five = fit(photo_model.points, photo_model.response, [s.view for s in shots])
    alone = np.mean([apart(photo_model, f.identity, identity) for f in one])
    assert apart(photo_model, five.identity, identity) < alone
    assert np.trace(five.covariance) < np.trace(one[0].covariance)


def test_closed_eyes_come_out_closed(sharp, identity):
    found = fit(sharp.points, sharp.response, [shot(sharp, identity, CLOSED, noise=0.4).view])
    for side in ("Left", "Right"):
        assert found.blendshapes[0, BLENDSHAPES.index(f"eyeBlink{side}")] > 0.7


def test_gaze_is_found_and_both_eyes_look_together(sharp, identity):
    aside = weights_of(eyeLookOutLeft=0.5, eyeLookInRight=0.5)
    found = fit(sharp.points, sharp.response, [shot(sharp, identity, aside, noise=0.3).view])
    out, inward = (found.blendshapes[0, BLENDSHAPES.index(n)] for n in ("eyeLookOutLeft", "eyeLookInRight"))
    assert out > 0.25 and inward > 0.25 and abs(out - inward) < 0.2


def test_a_larger_picture_is_the_same_person(photo_model, identity):
    small = shot(photo_model, identity, SMILE, noise=0.4)
    view = small.view
    large = dataclasses.replace(
        view, points=view.points * 3, principal=view.principal * 3, size=(view.size[0] * 3, view.size[1] * 3)
    )
    first, second = (fit(photo_model.points, photo_model.response, [v]) for v in (view, large))
    np.testing.assert_allclose(first.identity, second.identity, atol=1e-3)
    assert second.focal[0] == pytest.approx(3 * first.focal[0], rel=1e-3)


def test_a_focal_length_that_is_told_is_kept(photo_model, identity):
    seen = shot(photo_model, identity, SMILE, noise=0.4)
    view = dataclasses.replace(seen.view, focal=(float(np.log(seen.focal)), 0.02))
    found = fit(photo_model.points, photo_model.response, [view])
    assert found.focal[0] == pytest.approx(seen.focal, rel=0.05)


def test_a_known_person_stays(photo_model, identity):
    found = fit(photo_model.points, photo_model.response, [shot(photo_model, identity, SMILE).view], known=identity)
    np.testing.assert_array_equal(found.identity, identity)
    assert np.linalg.norm(found.predicted[0] - shot(photo_model, identity, SMILE).view.points, axis=1).mean() < 1.0


def test_a_hand_over_the_chin_moves_little(photo_model, identity):
    seen = shot(photo_model, identity, np.zeros(52), noise=0.3).view
    covered = seen.points.copy()
    chin = [152, 148, 176, 377, 400, 199, 175]
    covered[chin] += (60, 40)
    clean, dirty = (
        fit(photo_model.points, photo_model.response, [dataclasses.replace(seen, points=p)]).identity
        for p in (seen.points, covered)
    )
    assert apart(photo_model, dirty, clean) < 1.5


def test_rotations_about_a_vector():
    np.testing.assert_allclose(rotation_of(np.zeros(3)), np.eye(3))
    np.testing.assert_allclose(rotation_of(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
