"""The micro layer, with the shipped asset."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import facekit.models.composers.micro as micro
from facekit.errors import FacekitError
from facekit.files.readers import load_arrays
from facekit.metrics.texture import high_frequency_energy
from facekit.traits import TRAITS, set_traits, to_networks, trait_axes

ASSET = Path(micro.__file__).parents[2] / "assets" / "micro.npz"


@pytest.fixture(scope="module")
def layer():
    return micro.MicroLayer(load_arrays(ASSET))


@pytest.fixture
def codes():
    generator = torch.Generator().manual_seed(3)
    tile = torch.full((2, 3, 512, 512), 0.6)
    tile[:, 1:] = 0.45
    identity = to_networks(torch.randn(2, 20, generator=generator))
    return tile, identity, torch.randn(2, 128, generator=generator)


def test_shape_range_and_determinism(layer, codes):
    out = layer(*codes)
    assert out.shape == (2, 3, 768, 768)
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(out, micro.MicroLayer(load_arrays(ASSET))(*codes))


def test_hair_greys_with_age():
    traits = {name: torch.randn(500, generator=torch.Generator().manual_seed(k)) for k, name in enumerate(TRAITS)}
    row, grey, white = trait_axes()[TRAITS.index("age")], {}, {}
    for years in (40, 58, 75):
        traits["age"] = to_networks(set_traits(torch.zeros(1, 20), age=float(years))) @ row
        traits["age"] = traits["age"].expand(500)
        weights = micro.hair_weights(traits)
        grey[years] = float((weights[:, -2:].sum(1) > 0.5).float().mean())
        white[years] = float((weights[:, -1] > 0.5).float().mean())
    assert grey[40] < 0.05 and 0.3 < grey[58] < 0.7 and grey[75] > 0.9
    assert white[40] == 0 and white[58] < 0.05 and 0.15 < white[75] < 0.4


def test_dark_skin_has_dark_hair_whatever_the_shade():
    traits = dict.fromkeys(TRAITS, torch.zeros(2)) | {"hair_colour": torch.full((2,), 2.5)}
    traits |= {"melanin": torch.tensor([-1.5, 1.5]), "age": torch.full((2,), -1.0)}
    light, dark = micro.hair_weights(traits)
    assert float(light[3]) > 0.5, "light skin: blond"
    assert float(dark[:3].sum()) > 0.9 and float(dark[3]) < 0.03


def test_batch_equals_single(layer, codes):
    alone = torch.cat([layer(*(c[i : i + 1] for c in codes)) for i in range(2)])
    assert torch.allclose(layer(*codes), alone, atol=1e-5)


def test_keeps_the_tone_and_adds_grain(layer, codes):
    tile, identity, noise = codes
    out = layer(*codes)
    cheek = out[:, :, 300:380, 170:250]
    assert (cheek.mean((2, 3)) - tile[:, :, 0, 0]).abs().max() < 0.03
    energy = high_frequency_energy(out)
    assert (energy > 2e-5).all()
    assert (energy < 5e-4).all()


def test_lips_stay_smooth(layer, codes):
    out = layer(*codes)
    assert out[:, :, 420:440, 360:410].std((2, 3)).max() < 0.25 * out[:, :, 300:380, 170:250].std((2, 3)).max()


def test_noise_changes_the_grain_only_slightly(layer, codes):
    tile, identity, noise = codes
    change = (layer(tile, identity, noise + 1e-3) - layer(*codes)).abs().max()
    assert 0 < change < 2e-3


def test_brow_becomes_strands(layer, codes):
    """A blurred dark bar in place of the brows gains contrast across the hairs."""
    tile, identity, noise = codes
    tile = tile.clone()
    tile[:, :, 100:116, 130:220] *= 0.4
    out = layer(tile, identity, noise)
    rows, columns = slice(154, 170), slice(210, 320)
    assert out[:, 0, rows, columns].std() > 1.5 * layer(*codes)[:, 0, rows, columns].std()


def test_hair(layer):
    identity = torch.randn(500, 20, generator=torch.Generator().manual_seed(0))
    strength, colour = layer.hair_strength(identity), layer.hair_colour(identity)
    assert strength.shape == (500,)
    assert 0.35 < (strength == 0).float().mean() < 0.65
    assert colour.shape == (500, 3)
    assert colour.min() > 0
    assert colour.max() < 0.85


def test_gradient_reaches_the_tile(layer, codes):
    tile, identity, noise = codes
    tile.requires_grad_(True)
    layer(tile, identity, noise).mean().backward()
    assert tile.grad.abs().sum() > 0


def test_asset_is_small():
    assert ASSET.stat().st_size < 1_500_000


def test_arrays_that_are_missing_are_named():
    with pytest.raises(FacekitError, match="amplitude, directions"):
        micro.MicroLayer({"layers": torch.zeros(5, 768, 768)})
