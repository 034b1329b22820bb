"""The texture generator has the published tensors and computes what the papers say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.models.config import PUBLISHED_TEXTURE, TextureConfig
from facekit.models.texture import TextureModel
from tests.models.plain import plain_texture

# The 48 tensors of the published checkpoint 142000_g.model, after its prefix "module.".
PUBLISHED = {
    "input_layer.0.conv.weight_orig": (168, 256, 4, 4),
    "progression_4.conv.0.conv.weight_orig": (256, 256, 3, 3),
    "progression_4.conv.2.conv.weight_orig": (256, 256, 3, 3),
    "progression_8.conv.0.conv.weight_orig": (256, 256, 3, 3),
    "progression_8.conv.2.conv.weight_orig": (256, 256, 3, 3),
    "progression_16.conv.0.conv.weight_orig": (256, 256, 3, 3),
    "progression_16.conv.2.conv.weight_orig": (256, 256, 3, 3),
    "progression_32.conv.0.conv.weight_orig": (256, 256, 3, 3),
    "progression_32.conv.2.conv.weight_orig": (256, 256, 3, 3),
    "progression_64.conv.0.conv.weight_orig": (128, 256, 3, 3),
    "progression_64.conv.2.conv.weight_orig": (128, 128, 3, 3),
    "progression_128.conv.0.conv.weight_orig": (64, 128, 3, 3),
    "progression_128.conv.2.conv.weight_orig": (64, 64, 3, 3),
    "progression_256.conv.0.conv.weight_orig": (64, 64, 3, 3),
    "progression_256.conv.2.conv.weight_orig": (64, 64, 3, 3),
    "progression_512.conv.0.conv.weight_orig": (64, 64, 3, 3),
    "progression_512.conv.2.conv.weight_orig": (64, 64, 3, 3),
    "to_rgb_8.conv.weight_orig": (3, 256, 1, 1),
    "to_rgb_16.conv.weight_orig": (3, 256, 1, 1),
    "to_rgb_32.conv.weight_orig": (3, 256, 1, 1),
    "to_rgb_64.conv.weight_orig": (3, 128, 1, 1),
    "to_rgb_128.conv.weight_orig": (3, 64, 1, 1),
    "to_rgb_256.conv.weight_orig": (3, 64, 1, 1),
    "to_rgb_512.conv.weight_orig": (3, 64, 1, 1),
}


def codes(batch):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, size, generator=generator) for size in (128, 20, 20)]


def with_biases(model):
    """Random biases: they are initialised to zero, which would hide a missing one."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias"):
                value.normal_(std=0.1)
    return model


def test_published_tensors():
    with torch.device("meta"):
        model = TextureModel(PUBLISHED_TEXTURE)
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    expected = dict(PUBLISHED)
    for name, shape in PUBLISHED.items():
        outputs = shape[1] if name.startswith("input_layer") else shape[0]
        expected[name.replace("weight_orig", "bias")] = (outputs,)
    assert len(expected) == 48
    assert found == expected
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(6.1e6, rel=0.02)


def test_published_size_agrees_with_the_reference():
    torch.manual_seed(0)
    model = with_biases(TextureModel(PUBLISHED_TEXTURE))
    with torch.inference_mode():
        out = model(*codes(1))
        expected = plain_texture(model.state_dict(), torch.cat(codes(1), 1), 512)
    assert out.shape == (1, 3, 512, 512)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    assert float(out.std()) > 0.01, "the comparison is not of zeros"


@pytest.mark.parametrize("size", [8, 16, 32])
def test_every_resolution_agrees_with_the_reference(size):
    model = with_biases(TextureModel(TextureConfig(channels=(16, 12, 8, 4))))
    expected = plain_texture(model.state_dict(), torch.cat(codes(3), 1), size)
    torch.testing.assert_close(model(*codes(3), size=size), expected, atol=1e-5, rtol=1e-5)


def test_alpha_fades_a_resolution_in():
    model = with_biases(TextureModel(TextureConfig(channels=(16, 12, 8, 4))))
    fine, coarse = model(*codes(2), size=32), model(*codes(2), size=16)
    coarse = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(*codes(2), size=32, alpha=0.3), 0.7 * coarse + 0.3 * fine, atol=1e-5, rtol=1e-5)


def test_output_is_not_clamped():
    model = TextureModel(TextureConfig(channels=(4, 4)))
    with torch.no_grad():
        model.to_rgb_8.conv.bias.fill_(5.0)
        model.to_rgb_8.conv.weight_orig.zero_()
    assert float(model(*codes(1)).detach().min()) == 5.0


@pytest.mark.parametrize("size", [4, 12, 64])
def test_unknown_resolutions_are_told(size):
    model = TextureModel(TextureConfig(channels=(4, 4, 4)))
    with pytest.raises(InputError, match=r"a size out of \(8, 16\)"):
        model(*codes(1), size=size)


def test_the_coarse_tile_is_nearly_the_average_of_the_fine_one(default_pipeline):
    latents = FaceLatents.sample(40, 2)
    codes = (latents.texture_noise, latents.identity, latents.expression)
    with torch.no_grad():
        fine = F.avg_pool2d(default_pipeline.texture(*codes), 4)
        coarse = default_pipeline.texture.coarse(*codes, size=128)
    off = (coarse - fine)[..., 8:-8, 8:-8].abs()
    assert float(off.mean()) < 0.008
    with pytest.raises(InputError, match="a size out of"):
        default_pipeline.texture.coarse(*codes, size=100)


@pytest.mark.parametrize("box", [(slice(40, 90), slice(20, 61)), (slice(1, 128), slice(0, 30))])
def test_a_part_of_the_coarse_tile_is_that_of_the_whole(default_pipeline, box):
    codes, texture = FaceLatents.sample(1), default_pipeline.texture
    with torch.inference_mode():
        whole, part = (
            texture.coarse(codes.texture_noise, codes.identity, torch.zeros(1, 20), 128, some) for some in (None, box)
        )
    assert part.shape == whole.shape
    assert torch.allclose(part[(..., *box)], whole[(..., *box)], atol=1e-5)
    assert not part[..., -20:].any()
