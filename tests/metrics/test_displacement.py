"""Figures of displacement, on maps whose figures are known."""

from __future__ import annotations

import pytest
import torch

from facekit.evaluate.shape import AT_1, INTENSITIES
from facekit.metrics.displacement import DisplacementTally, wrinkle_figures


def tally(made: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor | None = None):
    found = DisplacementTally(torch.ones(made.shape[-2:]) if weight is None else weight)
    for one, other in zip(made.split(1), wanted.split(1), strict=True):
        found.add(one, other)
    return found.figures()


def test_half_of_the_relief_explains_three_quarters_of_its_energy():
    wanted = torch.full((2, 1, 4, 4), 0.2)
    found = tally(wanted / 2, wanted)
    assert found.energy == pytest.approx(0.75)
    assert found.coarse_mm == pytest.approx(0.2)
    assert found.fine_mm == pytest.approx(0.1)
    assert found.worse == 0.0


def test_batches_do_not_matter():
    made, wanted = (torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    whole = DisplacementTally(torch.ones(8, 8))
    whole.add(made, wanted)
    assert vars(whole.figures()) == pytest.approx(vars(tally(made, wanted)))


def test_texels_count_by_their_weight():
    wanted, weight = torch.ones(1, 1, 2, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    made = torch.tensor([[1.0, 1.0], [9.0, 9.0]])[None, None]
    found = tally(made, wanted, weight)
    assert found.energy == 1.0
    assert found.fine_mm == 0.0
    assert found.coarse_mm == pytest.approx(1.0)


def test_faces_that_get_worse_are_counted():
    wanted = torch.full((4, 1, 2, 2), 0.1)
    made = torch.tensor([0.1, 0.05, -0.1, 0.3])[:, None, None, None].expand(4, 1, 2, 2)
    assert tally(made, wanted).worse == 0.5


def sweep(response, depth: float) -> torch.Tensor:
    """A furrow of ``depth`` mm at intensity 1, beside a low bulge."""
    maps = torch.zeros(len(INTENSITIES), 1, 4, 4)
    for row, k in zip(maps, INTENSITIES, strict=True):
        row[0, 1, 1], row[0, 2, 2] = -depth * response(k), 0.1 * depth * response(k)
    return maps


def test_depths_and_steadiness_over_people():
    steady, back = sweep(lambda k: k, 0.4), sweep(lambda k: k if k < 1.2 else 2.4 - k, 0.8)
    found = wrinkle_figures(iter([steady, back]), AT_1)
    assert found.monotone == 0.5
    assert found.depth_mm == pytest.approx(0.6)
    assert found.depth_at_end_mm == pytest.approx((0.6 + 0.72) / 2)
