"""The closest place on a triangle, against a dense sample of each."""

from __future__ import annotations

import torch

from facekit.geometry.closest import closest_of


def test_no_sampled_place_is_closer():
    generator = torch.Generator().manual_seed(0)
    corners = torch.randn(200, 5, 3, 3, generator=generator)
    corners[:20, :, 2] = 0.5 * (corners[:20, :, 0] + corners[:20, :, 1])  # flat ones
    points = 1.5 * torch.randn(200, 3, generator=generator)
    places, weights, best = closest_of(points, corners)
    own = corners[torch.arange(200), best]
    assert torch.allclose((weights[..., None] * own).sum(dim=1), places)
    assert bool((weights > -1e-6).all()) and torch.allclose(weights.sum(dim=1), torch.ones(200))
    s, t = torch.meshgrid(torch.linspace(0, 1, 41), torch.linspace(0, 1, 41), indexing="ij")
    s, t = s[s + t <= 1], t[s + t <= 1]
    sampled = torch.einsum("nw,pkwc->pknc", torch.stack((1 - s - t, s, t), dim=1), corners)
    least = (sampled - points[:, None, None]).norm(dim=-1).amin(dim=(1, 2))
    distance = (places - points).norm(dim=-1)
    assert bool((distance <= least + 1e-5).all()), "nothing is closer"
    assert bool((distance >= least - 0.06).all()), "and the place is on a triangle"
