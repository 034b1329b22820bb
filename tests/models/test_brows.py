"""Brows differ between people and sides; painted skin and tufts move by one rule, and the eyes' skin stays."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import WeightsError
from facekit.models.brows import BrowShape, brow_stretch, brow_thickness
from facekit.traits import TRAITS

SIZE = 512


@pytest.fixture(scope="module")
def shape(default_pipeline):
    return default_pipeline.composer.brows


def people(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, 20, generator=generator), torch.randn(count, 128, generator=generator)
    return codes, {name: torch.randn(count, generator=generator) for name in TRAITS}


def drawn_tile(shape, form, darkness=0.6):
    """Tiles of even skin with dark bars, 6 mm high before their stretch, where the network would paint the brows."""
    y = (torch.arange(SIZE) + 0.5)[:, None] / SIZE
    x = (torch.arange(SIZE) + 0.5) / SIZE
    t = (shape.columns[0] - (0.5 - (x - 0.5).abs())) / (shape.columns[0] - shape.columns[-1])
    index = (t.clamp(0, 1) * (form.line.shape[-1] - 1)).round().long()
    off = (y - form.line[:, :, index]) * 263.0 / brow_stretch(form.thickness)[:, None, None]
    bar = (off.abs() < 3.0) & (t >= 0) & (t <= 1)
    return (1 - darkness * bar.float())[:, None].expand(-1, 3, -1, -1) * 0.7


def middles(tile, columns):
    """Mean row, as a fraction of the tile, and height in mm of what is dark in some columns."""
    dark = (0.7 - tile[:, 0][:, SIZE // 8 : SIZE * 3 // 8, columns]).clamp_min(0)
    rows = (torch.arange(SIZE // 8, SIZE * 3 // 8) + 0.5)[:, None] / SIZE
    total = dark.sum(1)
    return (dark * rows).sum(1) / total, total / dark.amax(1) / SIZE * 263.0


def test_painted_brows_and_tufts_move_by_one_rule(shape):
    codes, traits = people(6)
    form = shape.form(*codes, traits)
    after = shape.painted(form, drawn_tile(shape, form))
    for side in (0, 1):
        t = torch.tensor([0.25, 0.5, 0.75])
        x = shape.columns[0] - t * (shape.columns[0] - shape.columns[-1])
        x = 1 - x if side else x
        centre = torch.lerp(shape.centre[:-1], shape.centre[1:], 0.5)[(t * 47).long()]
        ends = torch.stack((x, centre), -1).expand(6, -1, -1)
        place = shape.placed(form, ends)
        for k in range(3):
            column = (place[:, k, 0] * SIZE).long()
            found = torch.stack([middles(after[i : i + 1], column[i : i + 1])[0][0, 0] for i in range(6)])
            assert (found - place[:, k, 1]).abs().max() * 263 < 0.8


def test_thick_brows_are_narrowed_most(shape):
    codes, traits = people(4)
    traits = {name: torch.zeros(4) for name in traits} | {"brow_thickness": torch.tensor([-2.0, -0.7, 0.7, 2.0])}
    codes = codes[0][:1].expand(4, -1), torch.zeros(4, 128)
    form = shape.form(*codes, traits)
    assert (form.height[:, 0, 20].diff() < 0).all()
    tile = drawn_tile(shape, form)
    before, after = (middles(t, torch.tensor([170]))[1][:, 0] for t in (tile, shape.painted(form, tile)))
    assert (after / before).diff().max() < 0
    assert after[-1] < 0.75 * before[-1]
    expected = form.height[:, 0, 28] / brow_stretch(brow_thickness(traits))
    torch.testing.assert_close(after / before, expected, rtol=0.15, atol=0)


def test_sides_differ_but_not_where_the_noise_is_zero(shape):
    codes, traits = people(5)
    form = shape.form(*codes, traits)
    gap = (form.bow[:, 0] - form.bow[:, 1]).abs().amax(1) * 263
    assert 0.1 < gap.median() < 1.5
    level = shape.form(codes[0], torch.zeros(5, 128), traits)
    torch.testing.assert_close(level.bow[:, 0], level.bow[:, 1])
    torch.testing.assert_close(level.ends[:, 0], level.ends[:, 1])
    # People differ by more than one's sides.
    assert (form.bow.mean(1).std(0) * 263).mean() > 0.8


def test_skin_away_from_the_brows_stays(shape):
    codes, traits = people(3, seed=2)
    form = shape.form(*codes, traits)
    tile = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
    after = shape.painted(form, tile)
    far = torch.ones(SIZE, SIZE, dtype=torch.bool)
    low = int((float(form.line.min()) - 0.09) * SIZE)
    high = int((float((form.line + form.bow).max()) + 20 / 263) * SIZE)
    far[low:high] = False
    assert torch.allclose(after[:, :, far], tile[:, :, far], atol=1e-4)
    assert torch.allclose(after[:, :, :, :60], tile[:, :, :, :60], atol=1e-4)
    assert not torch.allclose(after, tile, atol=0.05)


def test_is_differentiable(shape):
    codes, traits = people(1)
    identity, noise = (c.clone().requires_grad_() for c in codes)
    form = shape.form(identity, noise, traits)
    y = torch.linspace(0, 1, SIZE)[:, None].expand(1, 3, SIZE, SIZE)
    shape.painted(form, 0.3 + 0.4 * y).mean().backward()
    assert identity.grad is not None and identity.grad.abs().max() > 0
    assert noise.grad is not None and noise.grad.abs().max() > 0


def test_missing_arrays_are_named():
    with pytest.raises(WeightsError, match="guides"):
        BrowShape({})
