"""Contours on the embedded default: where they shade, how people differ, what stays."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.geometry.uv import bake, rasterize_uv
from facekit.models.composers.complexion import without_blotches
from facekit.models.composers.contours import Contours


@pytest.fixture(scope="module")
def contours(default_pipeline) -> Contours:
    return default_pipeline.composer.contours


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(24, 128, generator=torch.Generator().manual_seed(6))


def skin_of(contours: Contours, count: int) -> torch.Tensor:
    rows, columns = contours.box
    return torch.full((count, 3, rows.stop - rows.start, columns.stop - columns.start), 0.6)


def test_creases_of_the_mean_person_are_dark_and_cheeks_are_not(default_pipeline, contours):
    template = default_pipeline.template
    shaded = contours.painted(skin_of(contours, 1), torch.zeros(1, 128))[0]
    rows, columns = contours.box
    side = default_pipeline.composer.rows.stop - default_pipeline.composer.rows.start

    def at(vertex: int) -> torch.Tensor:
        corner = (template.faces == vertex).nonzero()[0]
        u, v = template.tile_uvs[template.faces_uvs[corner[0], corner[1]]].tolist()
        return shaded[:, int((1 - v) * side) - rows.start, int(u * side) - columns.start]

    for mark in (48, 54):  # corners of the mouth
        assert float(at(int(template.landmarks[mark])).mean()) < 0.56
    bridge = at(int(template.landmarks[28]))
    assert 0.6 < float(bridge.mean()) < 0.66, "the bridge of the nose is a little lighter"
    red, green, blue = (0.6 - shaded).clamp_min(0).mean((1, 2)).tolist()
    assert red < green < blue, "shade on skin is warm"
    assert float((shaded - 0.6).abs().amax(0).median()) < 0.02, "most of the box hardly changes"
    assert float(shaded.min()) > 0.2 and float(shaded.max()) < 0.7


def test_people_differ_by_noise_alone_and_within_bounds(contours, noise):
    shaded = contours.painted(skin_of(contours, len(noise)), noise)
    assert float(shaded.std(dim=0).amax()) > 0.05
    assert float(shaded.min()) > 0.15 and float(shaded.max()) < 0.8
    alone = contours.painted(skin_of(contours, 1), noise[5:6])
    torch.testing.assert_close(alone[0], shaded[5], atol=1e-6, rtol=0)
    # The two wings of a nose are shaded apart.
    assert float((shaded - shaded.flip(-1)).abs().amax()) > 0.05


def test_photographed_people_get_the_mean(contours, noise):
    plain = contours.painted(skin_of(contours, len(noise)), without_blotches(noise))
    torch.testing.assert_close(plain, plain[:1].expand_as(plain))


def test_eyes_and_teeth_are_left_alone(default_pipeline, contours):
    template = default_pipeline.template
    rows, columns = contours.box
    side = default_pipeline.composer.rows.stop - default_pipeline.composer.rows.start
    ids, weights = rasterize_uv(template.tile_uvs, template.faces_uvs, (side, side))
    inner = torch.isin(template.parts, template.parts.new_tensor([PARTS.index(n) for n in ("eyes", "teeth", "mouth")]))
    mask = bake(inner.float()[None, :, None], template.faces, ids, weights)[0, 0, rows, columns] > 0.99
    shaded = contours.painted(skin_of(contours, 1), torch.zeros(1, 128))[0]
    assert not mask.any() or float((shaded - 0.6).abs().amax(0)[mask].max()) < 0.02


def test_gradients_flow_to_skin_and_noise(contours, noise):
    skin, codes = skin_of(contours, 1).requires_grad_(), noise[:1].clone().requires_grad_()
    contours.painted(skin, codes).sum().backward()
    assert skin.grad is not None and codes.grad is not None
    assert bool(skin.grad.any()) and bool(codes.grad.any())
