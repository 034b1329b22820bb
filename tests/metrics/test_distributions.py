"""Distances between sets of pictures and of features."""

from __future__ import annotations

import pytest
import torch
from scipy.linalg import sqrtm

from facekit.errors import InputError
from facekit.metrics.distributions import frechet_distance, kernel_distance, sliced_wasserstein


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_two_halves_of_one_set_are_near_and_blur_shows_in_the_finest_octave():
    pictures = noise(24, 3, 128, 128)
    same = sliced_wasserstein(pictures[:12], pictures[12:])
    blurred = torch.nn.functional.avg_pool2d(pictures[12:], 3, 1, 1)
    other = sliced_wasserstein(pictures[:12], blurred)
    assert len(same) == 4 and max(same) < 100
    assert other[0] > 3 * same[0] and other[0] > other[3]
    assert sliced_wasserstein(pictures[:12], pictures[12:]) == same, "seeded"


def test_pictures_too_small_are_refused():
    with pytest.raises(InputError, match="128 pixels or more"):
        sliced_wasserstein(noise(2, 3, 64, 64), noise(2, 3, 64, 64))


def test_frechet_distance_is_the_formula():
    a, b = noise(200, 5), 1.5 * noise(150, 5, seed=1) + 0.3
    x, y = a.double().numpy(), b.double().numpy()
    import numpy as np

    cov = [np.cov(t.T) for t in (x, y)]
    formula = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov[0] + cov[1] - 2 * sqrtm(cov[0] @ cov[1]).real)
    assert frechet_distance(a, b) == pytest.approx(formula, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    same = [kernel_distance(noise(60, 8, seed=k), noise(60, 8, seed=100 + k)) for k in range(20)]
    assert abs(sum(same) / len(same)) < 0.05 and min(same) < 0 < max(same)
    assert kernel_distance(noise(60, 8), noise(60, 8, seed=1) + 1) > 0.5
    with pytest.raises(InputError, match="features"):
        kernel_distance(noise(5, 3), noise(5, 4))
