"""The detail module: its maps, its answer to strain, and its file."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import WeightsError
from facekit.models.config import DetailConfig
from facekit.models.detail import DetailHome, DetailModel, pack_detail, unpack_detail

CONFIG = DetailConfig(size=16, static=5, compressed=4, stretched=3, hidden=8, field=6)


@pytest.fixture
def model() -> DetailModel:
    torch.manual_seed(0)
    model = DetailModel(CONFIG)
    for value in (*model.mean, *model.basis):
        torch.nn.init.normal_(value, std=0.1)
    model.furrows.normal_()
    return model.requires_grad_(False)


def test_maps_are_mean_plus_basis_times_coefficients(model):
    codes = model.coefficients(torch.randn(2, 20))
    assert [c.shape for c in codes] == [(2, 5), (2, 4), (2, 3)]
    for k, found in enumerate(model.maps(codes)):
        wanted = model.mean[k] + codes[k] @ model.basis[k]
        torch.testing.assert_close(found, wanted.view(2, 1, 16, 16))


def test_coefficients_hang_on_identity_alone(model):
    identity = torch.randn(3, 20)
    assert torch.equal(model.coefficients(identity).static, model.coefficients(identity.clone()).static)
    assert not torch.equal(*model.coefficients(identity).static[:2])


def test_weights_rise_with_strain_and_rest_at_zero(model):
    strain = torch.linspace(-3, 3, 61)
    compress, stretch = model.weights(strain)
    for weight in (compress, stretch.flip(0)):
        assert bool((weight.diff() >= 0).all())
        assert float(weight.max()) == 1
        assert float(weight[:31].max()) == 0
    # Even where training pushed the thresholds below zero.
    model.response.copy_(torch.tensor([1.0, -0.5, 1.0, -0.5]))
    assert [float(w) for w in model.weights(torch.zeros(1))] == [0, 0]


def test_packed_and_unpacked(model):
    arrays = pack_detail(model, DetailHome(77, (0.0, 0.25, 0.75, 1.0)))
    assert arrays["basis.0"].dtype == torch.int8
    found, home = unpack_detail(arrays)
    assert home == (77, (0.0, 0.25, 0.75, 1.0))
    assert found.config == CONFIG
    identity = torch.randn(4, 20)
    for mine, theirs in zip(
        model.maps(model.coefficients(identity)), found.maps(found.coefficients(identity)), strict=True
    ):
        error = (mine - theirs).square().mean().sqrt() / mine.square().mean().sqrt()
        assert float(error) < 0.06


@pytest.mark.parametrize("broken", ["missing", "cut", "foreign"])
def test_damaged_files_are_named(model, broken):
    arrays = pack_detail(model, DetailHome(77, (0.0, 0.0, 1.0, 1.0)))
    if broken == "missing":
        del arrays["regress_static.fc0.0.weight"]
    elif broken == "cut":
        arrays["basis.1"] = arrays["basis.1"][:, :-3]
    else:
        arrays = {"verts": torch.zeros(3)}
    with pytest.raises(WeightsError, match="arrays of a detail module"):
        unpack_detail(arrays)
