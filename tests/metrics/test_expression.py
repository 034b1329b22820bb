"""Flicker: none for steady changes, high for jumps."""

from __future__ import annotations

import math

import pytest
import torch

from facekit.errors import InputError
from facekit.metrics.expression import flicker


def noise(frames: int) -> torch.Tensor:
    return torch.randn(frames, 3, 4000, generator=torch.Generator().manual_seed(3))


def test_steady_change_does_not_flicker():
    ramp = torch.linspace(0, 1, 8)[:, None, None] * noise(1)
    assert flicker(ramp)[0] < 1e-6
    assert flicker(ramp)[1] < 1e-6
    assert flicker(noise(1).expand(5, -1, -1)) == (0.0, 0.0)


def test_back_and_forth_is_one():
    frames = torch.zeros(6, 3, 10)
    frames[1::2, 0] = 4.0
    assert flicker(frames) == pytest.approx((1.0, 4.0))


def test_noise_drawn_anew_is_the_root_of_three_quarters():
    share, size = flicker(noise(30))
    assert share == pytest.approx(math.sqrt(0.75), abs=0.01)
    assert size == pytest.approx(math.sqrt(6) * math.sqrt(8 / math.pi) / 2, rel=0.02)


def test_what_hardly_changes_hardly_counts():
    ramp = torch.linspace(0, 50, 10)[:, None, None].expand(10, 3, 4000)
    assert flicker(ramp + 1e-3 * noise(10))[0] < 1e-3


def test_more_noise_more_flicker():
    ramp = torch.linspace(0, 5, 10)[:, None, None].expand(10, 3, 4000)
    shares = [flicker(ramp + level * noise(10))[0] for level in (0.0, 0.1, 0.5, 2.0)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.7


@pytest.mark.parametrize("shape", [(2, 3, 10), (5, 30)])
def test_too_few_frames_are_refused(shape):
    with pytest.raises(InputError, match="three or more frames"):
        flicker(torch.zeros(shape))
