"""Nearest neighbours by cells against all distances."""

from __future__ import annotations

import pytest
import torch

from facekit.geometry.nearest import Cloud


@pytest.mark.parametrize(("count", "reach"), [(1, 200.0), (10, 30.0), (10, 5.0)])
def test_neighbours_are_those_of_all_distances(count, reach):
    generator = torch.Generator().manual_seed(3)
    points = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=1) * 90
    queries = torch.nn.functional.normalize(torch.randn(700, 3, generator=generator), dim=1)
    queries = queries * (80 + 80 * torch.rand(700, 1, generator=generator)) + 3
    place, index = Cloud(points).near(queries, count, reach)
    distance, wanted = (queries[:, None] - points).norm(dim=2).sort(dim=1)
    assert torch.equal(place, (distance[:, 0] < reach).nonzero()[:, 0])
    assert torch.equal(index, wanted[place, :count])


def test_nothing_near_is_nothing():
    place, index = Cloud(torch.rand(50, 3)).near(torch.rand(7, 3) + 500, 4, 20.0)
    assert place.shape == (0,) and index.shape == (0, 4)
