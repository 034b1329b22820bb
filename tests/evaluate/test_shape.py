"""Figures of shapes, on made-up faces whose figures are known."""

from __future__ import annotations

import pytest
import torch

from facekit.evaluate.shape import (
    AT_1,
    INTENSITIES,
    LOWER_LIDS,
    UPPER_LIDS,
    autoencoder_figures,
    expression_figures,
    largest_distance,
    lid_gaps,
    mean_distance,
    turned_triangles,
)

SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
ALL = torch.ones(4, dtype=torch.bool)


def figures(response, wanted=None):
    """Two people whose square moves along +X by ``response`` of the intensity."""
    neutral = SQUARE.expand(2, 4, 3)
    way = torch.tensor([3.0, 0.0, 0.0]).expand(2, 4, 3)
    moved = [response(k) * way for k in INTENSITIES]
    return expression_figures(neutral, moved, way if wanted is None else wanted, FACES, ALL)


def test_a_steady_expression():
    found = figures(lambda k: k)
    assert found.size_mm == pytest.approx(3.0)
    assert found.error_mm == pytest.approx(0.0, abs=1e-6)
    assert found.monotone == 1.0
    assert found.flipped_at_1 == found.flipped_at_end == 0.0


def test_size_and_error_look_at_intensity_1_and_at_the_face_alone():
    neutral, face = SQUARE[None], torch.tensor([True, True, False, False])
    moved = [k * torch.tensor([[[2.0, 0, 0], [2, 0, 0], [50, 0, 0], [50, 0, 0]]]) for k in INTENSITIES]
    wanted = torch.tensor([[[2.0, 1, 0], [2, 1, 0], [0, 0, 0], [0, 0, 0]]])
    found = expression_figures(neutral, moved, wanted, FACES, face)
    assert found.size_mm == pytest.approx(2.0)
    assert found.error_mm == pytest.approx(1.0)


def test_a_step_back_is_seen_a_small_one_forgiven():
    assert figures(lambda k: k if k < 1.2 else 2.4 - k).monotone == 0.0
    assert figures(lambda k: k if k < 1.45 else k - 0.105).monotone == 1.0  # back by 0.005


def test_triangles_that_turn_over_are_counted_per_person():
    neutral = SQUARE.expand(2, 4, 3)
    folded = torch.zeros(2, 4, 3)
    folded[0, 2] = torch.tensor([-2.0, -2.0, 0.0])  # one person's corner goes through the diagonal: both turn over
    moved = [folded if k == AT_1 else torch.zeros(2, 4, 3) for k in range(len(INTENSITIES))]
    found = expression_figures(neutral, moved, folded, FACES, ALL)
    assert found.flipped_at_1 == 1.0
    assert found.flipped_at_end == 0.0
    turned = turned_triangles(neutral, neutral + folded, FACES)
    assert turned.tolist() == [[True, True], [False, False]]


def test_distances():
    a = torch.zeros(2, 4, 3)
    b = a.clone()
    b[1, 0, 2] = 4.0
    assert largest_distance(a, b) == 4.0
    assert mean_distance(a, b, ALL) == pytest.approx(0.5)
    assert mean_distance(a, b, ~ALL | torch.tensor([False, True, True, True])) == 0.0


def test_lid_gaps_are_heights_over_the_lower_lid():
    verts = torch.zeros(1, 68, 3)
    for k, (upper, lower) in enumerate(zip(UPPER_LIDS, LOWER_LIDS, strict=True)):
        verts[0, upper, 1], verts[0, lower, 1] = 10.0 + k, 10.0
    assert lid_gaps(verts, torch.arange(68)).tolist() == [[0.0, 1.0, 2.0, 3.0]]
    assert lid_gaps(verts[:, torch.arange(67, -1, -1)], torch.arange(67, -1, -1)).tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_the_autoencoder_is_measured_in_millimetres():
    shape = torch.zeros(1, 4, 3)
    shape[..., 0] = 6.0
    rebuilt = shape.clone()
    rebuilt[0, 0, 1] = 2.0
    found = autoencoder_figures(rebuilt, shape, torch.tensor([True, True, False, False]))
    assert found.reconstruction_mm == pytest.approx(0.5)
    assert found.reconstruction_face_mm == pytest.approx(1.0)
    assert found.variation_mm == pytest.approx(6.0)
