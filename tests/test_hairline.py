"""Hairlines: partial coverage becomes single hairs."""

from __future__ import annotations

import torch

from facekit.hairline import CAP_SHADE, edge_tone, hairs, thinned

CPU = torch.device("cpu")


def test_bare_and_covered_skin_stay() -> None:
    drawn = torch.tensor([-1.0, 0.0, 1.0])
    assert torch.equal(thinned(torch.zeros(3), drawn), torch.zeros(3))
    assert torch.equal(thinned(torch.ones(3), drawn), torch.ones(3))


def test_partial_coverage_becomes_hairs_and_gaps() -> None:
    drawn = hairs(256, 256, CPU).image[0, 0]
    cover = thinned(torch.full_like(drawn, 0.25), drawn)
    assert (cover < 0.1).float().mean() > 0.15
    assert (cover > 0.8).float().mean() > 0.15
    assert 0.3 < float(cover.mean()) < 0.5


def test_hairs_are_longer_than_wide_and_always_the_same() -> None:
    drawn = hairs(512, 512, CPU).image[0, 0]
    across, along = ((drawn - drawn.roll(2, axis)).square().mean() for axis in (1, 0))
    assert across > 1.5 * along
    hairs.cache_clear()
    assert torch.equal(drawn, hairs(512, 512, CPU).image[0, 0])
    assert drawn.abs().max() <= 1


def test_hair_is_lighter_where_it_thins_out() -> None:
    tone, whole, none = torch.tensor([0.2, 0.1, 0.05]), torch.tensor(1.0), torch.tensor(0.0)
    assert torch.allclose(edge_tone(tone, whole, none), tone)
    assert torch.allclose(edge_tone(tone, none, none), tone / CAP_SHADE)


def test_dense_hair_has_lighter_and_darker_hairs() -> None:
    tone, whole = torch.tensor([0.2, 0.1, 0.05]), torch.tensor(1.0)
    dark, light = (edge_tone(tone, whole, torch.tensor(hair)) for hair in (-1.0, 1.0))
    assert (dark < tone).all() and (tone < light).all() and torch.allclose((dark + light) / 2, tone)
    assert light.max() < 0.3
