"""The shape stage: networks in coordinates and in vertices agree, and a killed run ends like a straight one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.files.readers import load_tensors
from facekit.models.config import ShapeConfig
from facekit.train import loop
from facekit.train.context import Context
from facekit.train.shape import stage
from facekit.train.shape.data import ShapeBasis, ShapeTeacher
from facekit.train.shape.networks import ShapeDiscriminator, ShapeEncoder, coordinate_model, decode, fold_basis


@pytest.fixture(scope="module")
def context(tiny_head) -> Context:
    """The head is built; 8 steps of the autoencoder and 12 of the generators are to do."""
    return tiny_head[0]


@pytest.fixture(scope="module")
def basis(context) -> ShapeBasis:
    return ShapeBasis.load(context.shape_basis, context.template.parts)


def test_the_folded_model_decodes_the_same_vertices(context, basis):
    torch.manual_seed(0)
    model = coordinate_model(context.shape_config, basis)
    person, pose = torch.randn(2, 100), torch.randn(2, 30)
    full = fold_basis(model, context.shape_config, basis)
    torch.testing.assert_close(
        full.decode(person, pose), basis.vertices(decode(model, person, pose)), rtol=1e-3, atol=1e-3
    )


def test_networks_have_the_codes_sizes(context, basis):
    encoder = ShapeEncoder(context.shape_config, basis)
    person, pose = encoder(torch.randn(3, len(basis.vectors)))
    assert (person.shape, pose.shape) == ((3, 100), (3, 30))
    assert ShapeDiscriminator(7, 5)(torch.randn(3, 7), torch.randn(3, 5)).shape == (3, 1)
    assert isinstance(context.shape_config, ShapeConfig)


@pytest.mark.parametrize("call", [5, 15], ids=["in the autoencoder", "in the generators"])
def test_a_killed_stage_ends_like_a_straight_one(context, tmp_path, monkeypatch, call):
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    (tmp_path / "out").mkdir()
    (tmp_path / "shape_basis.npz").write_bytes(context.shape_basis.read_bytes())
    (tmp_path / "out" / "template.npz").write_bytes((context.out / "template.npz").read_bytes())
    killed = dataclasses.replace(context, work=tmp_path, out=tmp_path / "out")
    stage.run(context)
    sample, calls = ShapeTeacher.sample, 0

    def kill(self, *given):
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return sample(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(ShapeTeacher, "sample", kill)
        with pytest.raises(KeyboardInterrupt):
            stage.run(killed)
    assert not (killed.out / "shape.safetensors").exists()
    stage.run(killed)
    straight, resumed = (load_tensors(c.out / "shape.safetensors") for c in (context, killed))
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        torch.testing.assert_close(value, resumed[name], atol=1e-4, rtol=1e-3, msg=name)
