"""What a fit leaves at the landmarks moves the head, where landmarks are told and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import CHIN, PARTS
from facekit.reconstruct.landmarker import LEFT_IRIS, POINTS
from facekit.reconstruct.personal import BROWS, EYES, LIPS, NOSE, PersonalOffsets, Residuals
from facekit.reconstruct.unknowns import rotation_of

FRONT = np.eye(3)[:2]


def told(features, offset, rows=FRONT, spread: float = 0.3) -> Residuals:
    """Residuals of one picture in which these landmarks are displaced by an offset of the head, mm."""
    away = np.zeros((POINTS, 2))
    away[list(features)] = rows @ np.asarray(offset)
    spreads = np.full(POINTS, 2.0)
    spreads[list(features)] = spread
    return Residuals(away, rows, spreads)


def test_a_fit_that_leaves_nothing_moves_nothing(photo_model, default_pipeline):
    found = PersonalOffsets.of(photo_model.points, [told((), (0, 0, 0))])
    assert not found.on_mesh(default_pipeline.template, photo_model.points).any()


def test_high_brows_rise_and_the_chin_stays(photo_model, default_pipeline):
    found = PersonalOffsets.of(photo_model.points, [told(BROWS, (0, 2, 0))])
    moved = found.at_landmarks(photo_model.points)
    assert moved[list(BROWS), 1].min() > 1.0
    assert np.abs(moved[list(LIPS)]).max() < 0.2
    template = default_pipeline.template
    on_mesh = found.on_mesh(template, photo_model.points)
    assert on_mesh[template.landmarks[17:27], 1].min() > 0.8  # the brows of the 68
    assert on_mesh[template.landmarks[CHIN]].norm() < 0.05


def test_unsure_landmarks_move_less(photo_model):
    sure, unsure = (PersonalOffsets.of(photo_model.points, [told(LIPS, (1, 0, 0), spread=s)]) for s in (0.3, 3.0))
    a, b = (found.at_landmarks(photo_model.points)[list(LIPS), 0].mean() for found in (sure, unsure))
    assert a > 0.8 and b < 0.7 * a


def test_one_wrong_landmark_is_not_followed(photo_model):
    tip = NOSE[1]
    moved = PersonalOffsets.of(photo_model.points, [told((tip,), (20, 0, 0))]).at_landmarks(photo_model.points)
    assert np.linalg.norm(moved[tip]) < 1.0


def test_the_same_picture_again_tells_nothing_new(photo_model):
    picture = told(EYES, (0, 1, 0))
    one, three = (PersonalOffsets.of(photo_model.points, [picture] * count) for count in (1, 3))
    assert np.allclose(one.weights, three.weights, atol=1e-9)


def test_depth_is_told_by_pictures_from_two_sides(photo_model):
    sides = [rotation_of(np.array([0.0, angle, 0.0]))[:2] for angle in (-0.6, 0.6)]
    offset = (0.0, 0.0, 1.5)
    front = PersonalOffsets.of(photo_model.points, [told(NOSE, offset)])
    both = PersonalOffsets.of(photo_model.points, [told(NOSE, offset, rows) for rows in sides])
    at = list(NOSE)
    assert np.allclose(front.at_landmarks(photo_model.points)[at], 0)
    assert both.at_landmarks(photo_model.points)[at, 2].mean() > 0.5


def test_eyeballs_and_teeth_keep_their_shape(photo_model, default_pipeline):
    template = default_pipeline.template
    found = PersonalOffsets.of(photo_model.points, [told((*EYES, *LIPS), (0.5, 1.5, 0))])
    moved = found.on_mesh(template, photo_model.points)
    eyes = template.parts == PARTS.index("eyes")
    left = eyes & (template.verts[:, 0] > 0)
    assert torch.equal(moved[left].unique(dim=0), moved[left][:1])
    assert len(moved[eyes].unique(dim=0)) == 2 and len(moved[template.parts == PARTS.index("teeth")].unique(dim=0)) == 1
    iris = found.at_landmarks(photo_model.points)[list(LEFT_IRIS)].mean(axis=0)
    assert moved[left][0].numpy() == pytest.approx(iris, abs=1e-4)
