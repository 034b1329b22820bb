"""Hue of the neck in pictures."""

from __future__ import annotations

import pytest
import torch

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.neck import neck_colour, with_neck

SKIN, NECK = (0.5, 0.3, 0.2), (0.47, 0.32, 0.215)


@pytest.fixture(scope="module")
def grid(default_pipeline):
    return TileGrid.of(default_pipeline.template, 128)


def flat(size):
    return linear_to_srgb(torch.tensor(SKIN))[None, :, None, None].repeat(1, 1, size, size)


def seen(grid, rows):
    """Albedo of a face with another colour below a row of the tile, as a fraction of its side."""
    low = (grid.inside // grid.size) / grid.size > rows
    return torch.where(low, torch.tensor(NECK)[:, None], torch.tensor(SKIN)[:, None])


def test_the_neck_is_looked_for_below_the_chin(grid, default_pipeline):
    albedo, weight = seen(grid, 0.75), torch.ones(len(grid.inside))
    assert torch.equal(neck_colour(grid, default_pipeline.template, [(albedo, weight)]), torch.tensor(NECK))


def test_necks_that_are_not_seen_are_not_told(grid, default_pipeline):
    albedo = seen(grid, 0.75)
    hidden = ((grid.inside // grid.size) / grid.size < 0.7).float()
    assert neck_colour(grid, default_pipeline.template, [(albedo, hidden)]) is None
    assert neck_colour(grid, default_pipeline.template, []) is None
    # One of two pictures is enough.
    told = neck_colour(grid, default_pipeline.template, [(0.1 * albedo, hidden), (albedo, 1 - hidden)])
    assert torch.equal(told, torch.tensor(NECK))


@pytest.mark.parametrize("size", [1024, 512])
def test_an_atlas_gets_the_hue_of_the_pictures(default_pipeline, size):
    cover = default_pipeline.composer.neck.cover
    atlas = flat(size)
    made = srgb_to_linear(with_neck(cover, atlas, torch.tensor(NECK))[0])
    neck, face = made[:, int(0.7 * size), size // 3], made[:, size // 4, size // 3]
    torch.testing.assert_close(face, srgb_to_linear(atlas[0, :, 0, 0]), atol=1e-6, rtol=0)
    hue, wanted, own = (c.log() - c.log().mean() for c in (neck, torch.tensor(NECK), face))
    assert (hue - wanted).abs().max() < 0.25 * (own - wanted).abs().max(), "bounded, but mostly there"
    assert (neck.log().mean() - face.log().mean()).abs() < 0.01, "as light as before"


def test_clothes_change_little(default_pipeline):
    cover = default_pipeline.composer.neck.cover
    atlas = flat(256)
    made = srgb_to_linear(with_neck(cover, atlas, torch.tensor([0.02, 0.1, 0.6]))[0])
    ratio = (made / srgb_to_linear(atlas[0])).log()
    assert 0.08 < ratio.abs().max() < 0.13
