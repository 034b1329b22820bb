"""Metrics of generators, on cases with known results."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import InputError
from facekit.metrics.generation import (
    diversity,
    expression_leak,
    identity_leak,
    rebuilding_error,
    retrieval_rank,
    specificity,
    steadiness,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_known_shift_is_the_error():
    faces = noise(3, 50, 3)
    shifted = faces + torch.tensor([3.0, 0.0, 4.0])
    torch.testing.assert_close(rebuilding_error(shifted, faces), torch.full((3,), 5.0))


def test_specificity_is_the_way_to_the_nearest():
    data = noise(70, 20, 3)
    made = data[[66, 2]] + torch.tensor([0.0, 0.5, 0.0])
    torch.testing.assert_close(specificity(made, data), torch.full((2,), 0.5))


def test_diversity_of_equals_is_zero_and_grows():
    face = noise(1, 20, 3)
    assert float(diversity(face.expand(4, -1, -1)).max()) == 0
    pair = torch.cat((face, face + torch.tensor([2.0, 0.0, 0.0])))
    torch.testing.assert_close(diversity(pair), torch.full((2,), 2.0))
    with pytest.raises(InputError, match="two faces"):
        diversity(face)


def test_what_everybody_does_alike_leaks_nothing():
    neutral, movement = noise(5, 30, 3), noise(1, 30, 3, seed=1)
    assert float(identity_leak(neutral, neutral + movement).max()) < 1e-5
    assert float(expression_leak(neutral, neutral + movement).max()) < 1e-5
    own = 0.5 * noise(5, 30, 3, seed=2)
    leak = identity_leak(neutral, neutral + movement + own)
    torch.testing.assert_close(leak, (own - own.mean(0)).norm(dim=-1).mean(1))
    some = torch.tensor([3, 4])
    assert float(identity_leak(neutral, neutral + movement, some).max()) < 1e-5


def test_steadiness_of_lines_curves_and_steps_back():
    way = torch.linspace(0, 1, 7)[:, None, None, None]
    movement = noise(1, 1, 10, 3)
    monotone, linear = steadiness(way * movement)
    assert bool(monotone.all()) and float(linear.min()) > 0.9999
    monotone, linear = steadiness(way**3 * movement)
    assert bool(monotone.all()) and float(linear.max()) < 0.9
    back = way.clone()
    back[3] = 0.1
    assert not bool(steadiness(back * movement)[0].any())


def test_a_skin_that_follows_the_shape_is_found():
    shapes = noise(60, 6)
    skins = shapes @ noise(6, 5, seed=1) + 0.05 * noise(60, 5, seed=2)
    assert float(retrieval_rank(shapes, skins).mean()) < 0.05
    assert 0.35 < float(retrieval_rank(shapes, noise(60, 5, seed=3)).mean()) < 0.65
    with pytest.raises(InputError, match="eight people"):
        retrieval_rank(shapes[:4], skins[:4])
