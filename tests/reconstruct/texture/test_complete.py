"""Fusion of several pictures, and completion of what they do not show."""

from __future__ import annotations

import math

import pytest
import torch

from facekit.reconstruct.texture.complete import Fused, complete, fuse, membrane, without_stains
from facekit.reconstruct.texture.grid import TileGrid


@pytest.fixture(scope="module")
def grid(default_pipeline) -> TileGrid:
    return TileGrid.of(default_pipeline.template, 96)


@pytest.fixture(scope="module")
def skin() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    return torch.stack((0.5 + 0.1 * x.abs(), 0.35 + 0.05 * y, 0.25 + 0.0 * x))


def shaven(albedo: torch.Tensor, weight: torch.Tensor) -> Fused:
    return Fused(albedo, weight, torch.zeros_like(weight))


def test_the_better_picture_wins():
    one, other = torch.full((3, 2), 0.2), torch.full((3, 2), 0.6)
    weights = [torch.tensor([0.9, 0.3]), torch.tensor([0.3, 0.9])]
    found = fuse([one, other], weights, [torch.ones(2), torch.ones(2)], [torch.zeros(2)] * 2)
    assert float(found.albedo[0, 0]) == pytest.approx(0.2, abs=0.01)
    assert float(found.albedo[0, 1]) == pytest.approx(0.6, abs=0.01)
    sharper = fuse([one, other], [torch.ones(2)] * 2, [torch.full((2,), 0.3), torch.ones(2)], [torch.zeros(2)] * 2)
    assert float(sharper.albedo[0, 0]) > 0.59
    unseen = fuse([one, other], [torch.zeros(2)] * 2, [torch.ones(2)] * 2, [torch.zeros(2)] * 2)
    assert float(unseen.weight.abs().max()) == 0.0
    assert bool(unseen.albedo.isfinite().all())


def test_what_is_seen_stays_and_the_rest_follows_its_tone(grid, skin):
    """The network's skin is darker and has no mole: the tone is mended everywhere, the mole is there."""
    truth = skin.clone()
    truth[:, 40:44, 60:64] *= 0.3
    seen = torch.zeros(1, 96, 96)
    seen[..., 16:80, 30:80] = 1.0
    fused = shaven(grid.gather(truth), grid.gather(seen)[0])
    made = complete(grid, fused, 0.8 * skin)
    assert float((made - truth)[:, 20:76, 34:76].abs().mean()) < 0.01
    assert float((made - skin)[:, 10:86, 10:86].abs().mean()) < 0.03
    assert float(made[:, 41:43, 61:63].mean()) < 0.5 * float(skin[:, 41:43, 61:63].mean())


def test_the_other_half_serves_where_one_is_hidden(grid, skin):
    truth = skin.clone()
    truth[:, 40:46, 66:72] *= 0.4
    seen = torch.zeros(1, 96, 96)
    seen[..., 8:88, 44:] = 1.0
    fused = shaven(grid.gather(truth), grid.gather(seen)[0])
    with_it, without = (complete(grid, fused, skin, mirror=m) for m in (True, False))
    assert float((with_it[:, 41:45, 25:29] / truth[:, 41:45, 67:71]).mean()) == pytest.approx(1.0, abs=0.15)
    assert float((without[:, 41:45, 25:29] / skin[:, 41:45, 25:29]).mean()) == pytest.approx(1.0, abs=0.1)


def test_stains_go_and_details_stay(default_pipeline):
    """A picture darker than the network's skin, with a green stain, a pale one, and a mole."""
    grid = TileGrid.of(default_pipeline.template, 192)
    y, x = torch.meshgrid(*2 * (torch.linspace(0, 1, 192),), indexing="ij")
    skin = torch.tensor([0.5, 0.35, 0.25])[:, None, None].expand(3, 192, 192)
    green, pale = (torch.exp(-((x - cx) ** 2 + (y - 0.5) ** 2) / 0.01) for cx in (0.3, 0.7))
    seen = 0.8 * skin * torch.exp(green * torch.tensor([0.0, 0.3, 0.0])[:, None, None] + 0.5 * pale)
    seen[:, 120:123, 94:97] *= 0.4
    found = grid.spread(without_stains(grid, shaven(grid.gather(seen), torch.ones(len(grid.inside))), skin).albedo)
    ratio = (found / skin).log()
    assert abs(float(ratio[:, 60:130, 85:107].median()) - math.log(0.8)) < 0.06, "the tone is the picture's"
    tint = ratio - ratio.mean(0)
    assert float(tint[1, 96, 57]) < 0.1, "of 0.2"
    assert float(ratio[0, 96, 134] - ratio[0, 96, 96]) < 0.25, "of 0.5"
    assert float(found[:, 121, 95].mean()) < 0.5 * float(found[:, 121, 105].mean()), "the mole"


def test_beards_are_no_stains(grid, skin):
    """A dark area is lightened as a shadow, and stays as a beard."""
    beard = torch.zeros(1, 96, 96)
    beard[:, 60:85, 20:76] = 1.0
    seen, grown, everywhere = grid.gather(skin * (1 - 0.7 * beard)), grid.gather(beard)[0], torch.ones(len(grid.inside))
    as_shadow, as_beard = (
        grid.spread(without_stains(grid, Fused(seen, everywhere, found), skin).albedo)[:, 66:80, 28:68]
        for found in (torch.zeros_like(grown), grown)
    )
    torch.testing.assert_close(as_beard, (0.3 * skin)[:, 66:80, 28:68], atol=2e-3, rtol=1e-2)
    assert float((as_shadow / as_beard).mean()) > 1.5


def test_nothing_seen_leaves_the_network_as_it_is(grid, skin):
    nothing = shaven(torch.full((3, len(grid.inside)), 0.9), torch.zeros(len(grid.inside)))
    torch.testing.assert_close(complete(grid, nothing, skin), skin, atol=1e-3, rtol=1e-3)


def test_the_membrane_stays_within_what_is_seen(grid, skin):
    seen = torch.zeros(1, 96, 96)
    seen[..., 30:60, 30:60] = 1.0
    made = membrane(grid, shaven(grid.gather(skin), grid.gather(seen)[0]))
    patch = skin[:, 30:60, 30:60].flatten(1)
    low, high = patch.amin(1) - 0.03, patch.amax(1) + 0.03
    assert bool((made.flatten(1) >= low[:, None]).all() and (made.flatten(1) <= high[:, None]).all())
