"""The complexion, with the shipped asset."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import facekit.models.composers.complexion as complexion
from facekit.errors import FacekitError
from facekit.files.readers import load_arrays
from facekit.metrics.texture import delta_e, high_frequency_energy, lab
from facekit.traits import TRAITS, set_traits, trait_axes

ASSET = Path(complexion.__file__).parents[2] / "assets" / "complexion.npz"
CHEEK = (..., slice(180, 260), slice(100, 170))


@pytest.fixture(scope="module")
def layer():
    return complexion.Complexion(load_arrays(ASSET))


@pytest.fixture
def codes():
    generator = torch.Generator().manual_seed(3)
    tile = torch.tensor([0.72, 0.55, 0.46])[:, None, None].expand(2, 3, 512, 512)
    return tile, torch.randn(2, 20, generator=generator), torch.randn(2, 128, generator=generator)


def traits(identity):
    return dict(zip(TRAITS, (identity @ trait_axes().T).unbind(-1), strict=True))


def test_range_batch_and_determinism(layer, codes):
    tile, identity, noise = codes
    out = layer(tile, identity, noise, traits(identity))
    assert out.shape == tile.shape
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    alone = torch.cat(
        [layer(tile[:1], i[None], n[None], traits(i[None])) for i, n in zip(identity, noise, strict=True)]
    )
    torch.testing.assert_close(out, alone, atol=1e-5, rtol=0)


def test_skin_gets_structure_and_keeps_its_tone(layer, codes):
    tile, identity, noise = codes
    out = layer(tile, identity, noise, traits(identity))
    assert float((out[CHEEK].mean((2, 3)) - tile[CHEEK].mean((2, 3))).abs().max()) < 0.05
    for band in ((1 / 32, 1 / 16), (1 / 16, 1 / 8), (1 / 8, 1 / 4)):
        assert bool((high_frequency_energy(out, band=band) > 3e-5).all())
        assert float(high_frequency_energy(tile, band=band).max()) < 1e-9
    # Skin differs between people, between draws of one person, and between the halves of a face.
    other = layer(tile, identity, noise.flip(0), traits(identity))
    assert float(delta_e(out, other)[:, 100:400, 100:400].mean()) > 1.2
    assert float(delta_e(out, out.flip(-1))[:, 100:400, 100:400].mean()) > 1.2


def test_the_border_keeps_its_tone(layer, codes):
    tile, identity, noise = codes
    out = layer(tile, identity, noise, traits(identity))
    for edge in (out[:, :, :4], out[:, :, -4:], out[..., :4], out[..., -4:]):
        assert float((edge - tile[:, :, :1, :1]).abs().max()) < 0.02


def test_moles_are_dark_spots_of_the_noise(layer, codes):
    tile, identity, noise = codes
    plain, marked = noise.clone(), noise.clone()
    plain[:, complexion._MOLES] = -3
    marked[:, complexion._MOLES] = -3
    marked[:, complexion._MOLES.start + 4] = 3
    change = layer(tile, identity, marked, traits(identity)) - layer(tile, identity, plain, traits(identity))
    row, column = layer.corners[4]
    patch = change[:, :, row : row + 24, column : column + 24]
    assert float(patch.amin()) < -0.08
    changed = (change.abs() > 1e-4).any(1)
    assert int(changed.sum()) <= 2 * 24 * 24


def test_gradients_reach_codes_and_tile(layer, codes):
    tile, identity, noise = (t.clone().requires_grad_() for t in codes)
    layer(tile, identity, noise, traits(identity)).square().mean().backward()
    for value in (tile, identity, noise):
        assert value.grad is not None and float(value.grad.abs().max()) > 0


def test_old_skin_has_more_of_it(layer, codes):
    tile, identity, noise = codes
    energies = []
    for age in (20, 78):
        codes_of = set_traits(identity, age=age)
        energies.append(high_frequency_energy(layer(tile, codes_of, noise, traits(codes_of)), band=(1 / 16, 1 / 8)))
    assert bool((energies[1] > energies[0]).all())


def test_missing_arrays_are_told():
    with pytest.raises(FacekitError, match="moles"):
        complexion.Complexion({"structure": torch.zeros(1, 4, 4)})


@pytest.mark.parametrize("male", [0.05, 0.95])
def test_lips_are_darker_and_redder_than_the_network_painted_them(layer, codes, male):
    tile, identity, noise = codes
    identity = set_traits(identity, masculinity=male)
    made = lab(layer(tile, identity, noise, traits(identity)))
    lips, skin = (layer.lips[0, 0] > 0.9), (layer.lips[0, 0] == 0) & (torch.arange(512)[:, None] > 330)
    light, red = ((made[:, k, lips].mean(1) - made[:, k, skin].mean(1)).mean() for k in (0, 1))
    assert float(light) < -0.5 and float(red) > 0.5
