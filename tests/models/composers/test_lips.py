"""Tone of lips by identity."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.models.composers.lips import LipTone

SIZE = 64


@pytest.fixture(scope="module")
def tone() -> LipTone:
    parts = torch.full((SIZE, SIZE), PARTS.index("skin"), dtype=torch.uint8)
    parts[40:50, 20:44] = PARTS.index("lips")
    return LipTone(parts)


def painted(tone: LipTone, depth: float, colour: float, melanin: float = 0.0) -> torch.Tensor:
    given = {"lip_depth": depth, "lip_colour": colour, "melanin": melanin}
    traits = {name: torch.tensor([value]) for name, value in given.items()}
    return tone.painted(torch.full((1, 3, *tone.cover.shape[1:]), 0.5), traits)[0]


def test_skin_far_from_lips_stays(tone):
    rows, columns = tone.box
    assert rows.start > 0 and rows.stop < SIZE and columns.start > 0 and columns.stop < SIZE
    assert (painted(tone, 2.0, 2.0)[:, 0, 0] - 0.5).abs().max() < 0.01


def test_deep_lips_are_darker_and_coloured_ones_redder(tone):
    middle = tone.cover.shape[1] // 2, tone.cover.shape[2] // 2
    pale, deep, red = (
        painted(tone, *of)[(slice(None), *middle)] for of in ((-1.0, 0.0, -1.0), (1.0, 0.0, -1.0), (-1.0, 2.0, -1.0))
    )
    assert (deep < 0.9 * pale).all()
    assert red[0] / red[1] > 1.1 * pale[0] / pale[1]


def test_rare_traits_are_bounded(tone):
    assert (painted(tone, 3.0, 0.0) - painted(tone, 9.0, 0.0)).abs().max() < 0.03


def test_lips_of_dark_people_are_lighter_than_their_skin_and_all_are_less_yellow(tone):
    rows = (tone.cover[0] > 0.99).nonzero()[:, 0]
    column = tone.cover.shape[2] // 2
    for melanin in (-2.0, 0.0, 2.0):
        lips = painted(tone, 0.0, 0.0, melanin)[:, rows.min() : rows.max(), column].mean(1)
        assert lips[2] > 1.02 * lips[1]
        assert (lips.mean() > 0.55) == (melanin > 1)


def test_the_lower_lip_of_light_people_is_darker_than_the_upper_one(tone):
    rows = (tone.cover[0] > 0.99).nonzero()[:, 0]
    lips = painted(tone, 0.0, 0.0, -2.0)[:, :, tone.cover.shape[2] // 2].mean(0)
    assert lips[rows.max()] < 0.99 * lips[rows.min()]
