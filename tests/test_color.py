"""Conversion between sRGB and linear light."""

from __future__ import annotations

import torch

from facekit.color import linear_to_srgb, scaled, srgb_to_linear


def test_there_and_back():
    srgb = torch.linspace(0, 1, 1001)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(srgb)), srgb, atol=1e-5, rtol=0)


def test_scaling_is_that_of_linear_light():
    srgb, log = torch.linspace(0.06, 0.9, 300)[:, None], torch.tensor([-0.3, -0.05, 0.0, 0.1, 0.2])
    plain = linear_to_srgb(srgb_to_linear(srgb) * log.exp())
    torch.testing.assert_close(scaled(srgb, log), plain, atol=2e-5, rtol=0)


def test_scaling_of_the_darkest_colours_is_close():
    srgb, log = torch.linspace(0, 0.06, 61)[:, None], torch.tensor([-0.3, 0.3])
    off = scaled(srgb, log) - linear_to_srgb(srgb_to_linear(srgb) * log.exp())
    assert (off.abs() <= 0.03 * (log.exp() - 1).abs()).all()
