"""The atlas: the tile in its place, the rest in the same tone, both independent of the expression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from facekit import FaceLatents
from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.weights import verified


@pytest.fixture(scope="module")
def composer(default_pipeline):
    return default_pipeline.composer


@pytest.fixture(scope="module")
def parts():
    return torch.from_numpy(np.asarray(Image.open(verified("default", "parts"))).copy())


def flat_tile(colour):
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, 512, 512).clone()


def compose(composer, tile, seed=7):
    latents = FaceLatents.sample(seed, count=len(tile))
    with torch.inference_mode():
        return composer(tile, latents.identity, latents.texture_noise)


def test_atlas_is_a_picture(composer, parts):
    atlas = compose(composer, torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(0)))
    assert atlas.shape == (2, 3, *parts.shape)
    assert atlas.dtype == torch.float32
    assert 0 <= float(atlas.min()) <= float(atlas.max()) <= 1


def test_tile_lands_in_its_rectangle(composer, default_pipeline):
    red, blue = flat_tile((0.8, 0.2, 0.2)), flat_tile((0.2, 0.2, 0.8))
    height, width = compose(composer, red).shape[-2:]
    u0, v0, u1, v1 = default_pipeline.template.tile_rect
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[round((1 - v1) * height) : round((1 - v0) * height), round(u0 * width) : round(u1 * width)] = True
    difference = (compose(composer, red) - compose(composer, blue)).abs().amax(dim=(0, 1))
    # Hair and freckles cover some of the tile for this person, most of it is the tile's own colour.
    assert float((difference[inside] > 0.3).float().mean()) > 0.8


def test_eyes_and_mouth_do_not_take_the_skin_tone(composer, parts):
    pale, dark = compose(composer, flat_tile((0.9, 0.8, 0.75))), compose(composer, flat_tile((0.3, 0.2, 0.15)))
    for name in ("eyes", "teeth", "mouth"):
        mask = parts == PARTS.index(name)
        assert bool(mask.any()), name
        outside = mask & (composer.outside[0] == 0)
        outside[composer.rows, composer.columns] = False
        assert torch.equal(pale[0, :, outside], dark[0, :, outside]), name


def test_skin_outside_the_tile_takes_the_border_tone(composer, parts):
    colour = (0.6, 0.4, 0.3)
    # A person without scalp hair, so that the back of the head is skin.
    seed = next(s for s in range(50) if float(composer.micro.hair_strength(FaceLatents.sample(s).identity)) == 0)
    atlas = compose(composer, flat_tile(colour), seed)
    mask = (composer.outside[0] > 0) & (composer.neck.cover[0] == 0)
    assert bool(mask.any())
    assert float((atlas[0, :, mask] - torch.tensor(colour)[:, None]).abs().max()) < 1e-5


def test_nothing_depends_on_the_rest_of_the_batch(composer):
    tile = torch.rand(3, 3, 512, 512, generator=torch.Generator().manual_seed(1))
    latents = FaceLatents.sample(7, count=3)
    with torch.inference_mode():
        together = composer(tile, latents.identity, latents.texture_noise)
        alone = composer(tile[1:2], latents.identity[1:2], latents.texture_noise[1:2])
    # The brows are resampled: in noise, float error of the places shows.
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)


def test_irises_belong_to_the_person(composer):
    colours = composer.iris_colour(FaceLatents.sample(0, count=60).identity)
    assert colours.shape == (60, 3)
    assert 0 <= float(colours.min()) <= float(colours.max()) <= 1
    assert float(colours.std(dim=0).max()) > 0.03, "people differ in their eyes"
    assert torch.equal(colours[7], composer.iris_colour(FaceLatents.sample(7).identity)[0])


def test_wrong_tile_is_told(composer):
    latents = FaceLatents.sample(7)
    with pytest.raises(InputError, match=r"tile \(B, 3, S, S\)"):
        composer(torch.zeros(3, 512, 512), latents.identity, latents.texture_noise)
