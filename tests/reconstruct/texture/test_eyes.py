"""Natural colours of irises."""

from __future__ import annotations

import pytest
import torch

from facekit.reconstruct.texture.eyes import natural_iris


def test_dark_irises_that_a_photograph_has_grey_are_brown():
    red, green, blue = natural_iris(torch.tensor([0.13, 0.13, 0.14])).tolist()
    assert red == pytest.approx(0.14, abs=0.01) and red > 1.4 * green > 2 * blue


@pytest.mark.parametrize(
    "colour",
    [
        (0.27, 0.35, 0.45),
        (0.45, 0.45, 0.44),
        (0.27, 0.26, 0.26),
        (0.26, 0.15, 0.08),
        (0.31, 0.35, 0.20),
        (0.15, 0.19, 0.25),
    ],
)
def test_light_grey_and_coloured_irises_stay(colour):
    assert natural_iris(torch.tensor(colour)).tolist() == pytest.approx(colour, abs=0.005)
