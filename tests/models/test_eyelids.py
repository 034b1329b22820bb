"""Eyelids in close-up: margins, caruncles, roots of lashes and creases, people's own and of no expression."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.eyelids import Eyelids

SIZE = 768


@pytest.fixture(scope="module")
def lids(default_pipeline) -> Eyelids:
    return Eyelids(default_pipeline.template, default_pipeline.template.tile_uvs, SIZE)


def _traits(count: int, **values: float) -> dict[str, torch.Tensor]:
    return {name: torch.full((count,), values.get(name, 0.0)) for name in ("melanin", "lashes", "masculinity")}


def test_the_lids_are_painted_and_little_else(lids):
    grey = torch.full((1, 3, *lids.margin.shape), 0.5)
    changed = (lids.painted(grey, torch.zeros(1, 128), _traits(1)) - 0.5).abs().amax(dim=1) > 0.01
    assert 0.02 < float(changed.float().mean()) < 0.5
    rows, columns = lids.box
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < 0.08 * SIZE * SIZE


def test_both_sides_are_painted_alike(lids):
    """The template is symmetric to a fraction of a texel."""
    width = lids.margin.shape[1] // 3
    for name in ("margin", "flesh", "roots", "window"):
        value = getattr(lids, name)
        left, right = value[:, :width].sum(), value[:, -width:].sum()
        assert float(left) > 1 and float((left - right).abs() / left) < 0.1, name


def test_caruncles_are_redder_than_skin_and_margins_lighter(lids):
    skin = torch.tensor([0.62, 0.46, 0.38])[None, :, None, None].expand(1, 3, *lids.margin.shape)
    region = lids.painted(skin, torch.zeros(1, 128), _traits(1))[0]
    flesh, margin = region[:, lids.flesh > 0.9].mean(1), region[:, (lids.margin > 0.9) & (lids.flesh < 0.1)].mean(1)
    assert float(flesh[0] / flesh[1]) > 0.62 / 0.46 + 0.05 and float(margin.mean()) > float(skin[0, :, 0, 0].mean())


def test_creases_are_people_own(lids):
    noise = torch.randn(40, 128, generator=torch.Generator().manual_seed(1))
    relief = lids.relief(noise)
    depth = -relief.amin(dim=(1, 2, 3))
    assert float(depth.max()) < 0.6 and float(depth.median()) > 0.2 and float(depth.min()) < 0.5 * float(depth.max())
    deep = relief.clamp_max(0).sum(dim=3)[:, 0]
    centre = (deep * torch.arange(relief.shape[2])).sum(1) / deep.sum(1)
    assert float(centre.std()) > 1.0, "texels: heights differ"


def test_creases_come_with_static_detail(default_pipeline):
    person = FaceLatents.sample(7)
    plain, closed = (
        default_pipeline(latents=person.with_expression(name, 1.0), detail="static", hair=None).displacement
        for name in ("neutral", "eye_closed")
    )
    torch.testing.assert_close(plain, closed)
    box = default_pipeline.detail_layer.charts.full_box
    assert float(-plain[(..., *box)].min()) > 0.1


def test_a_head_without_eyeballs_keeps_its_skin(default_pipeline):
    template = default_pipeline.template
    parts = torch.where(template.parts == PARTS.index("eyes"), PARTS.index("skin"), template.parts)
    bare = Eyelids(dataclasses.replace(template, parts=parts), template.tile_uvs, SIZE)
    tile = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert bare.painted(tile[(..., *bare.box)], torch.zeros(1, 128), _traits(1)).numel() == 0
    assert bare.relief(torch.zeros(1, 128)).numel() == 0
