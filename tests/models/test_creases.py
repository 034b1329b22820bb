"""Creases of the lips differ between people and lie on the lips."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.creases import LipCreases


@pytest.fixture(scope="module")
def creases(default_pipeline) -> LipCreases:
    return default_pipeline.detail_layer.charts.creases


@pytest.fixture(scope="module")
def maps(default_pipeline) -> torch.Tensor:
    """Static relief (1, 1, S, S) of one person."""
    model = default_pipeline.detail_layer.model
    return model.maps(model.coefficients(FaceLatents.sample(4).identity))[0]


def noise(people: int) -> torch.Tensor:
    return torch.randn(people, 128, generator=torch.Generator().manual_seed(5))


def test_everyone_has_a_layout_of_their_own(creases, maps):
    both = creases(maps.expand(6, -1, -1, -1), noise(6))
    assert torch.equal(both, creases(maps.expand(6, -1, -1, -1), noise(6)))
    inner = both[(..., *creases.box)] * (creases.lips > 0.9)
    rows = inner.flatten(1)
    alike = torch.corrcoef(rows - rows.mean(dim=1, keepdim=True))
    assert float(alike[~torch.eye(6, dtype=torch.bool)].mean()) < 0.7
    depth = rows.std(dim=1) / (maps[(..., *creases.box)] * (creases.lips > 0.9)).std()
    assert float(depth.min()) > 0.5 and float(depth.max()) < 1.6, "as deep as they were learned"


def test_only_lips_change(creases, maps):
    made = creases(maps, noise(1))
    rows, columns = creases.box
    assert 20 < rows.stop - rows.start < 120 and 60 < columns.stop - columns.start < 200
    changed = made != maps
    changed[(..., *creases.box)] &= creases.lips == 0
    assert not bool(changed.any())


def test_a_topology_without_lips_keeps_the_learned_ones(default_pipeline, maps):
    template = default_pipeline.template
    bare = template.parts.masked_fill(template.parts == PARTS.index("lips"), PARTS.index("skin"))
    uvs = default_pipeline.detail_layer.tile_uvs
    plain = LipCreases(dataclasses.replace(template, parts=bare), uvs, maps.shape[-1])
    assert plain(maps, noise(1)) is maps
