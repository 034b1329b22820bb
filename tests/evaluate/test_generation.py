"""Methods of the generation experiment on cases with known results, and the experiment on a few people."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.data.faceset import FaceSet
from facekit.errors import FileError, InputError
from facekit.evaluate import generation as experiment
from facekit.evaluate.generators import (
    Autoencoder,
    BilinearModel,
    BlindSkin,
    LinearModel,
    MeanFace,
    NetworkModel,
    UpstreamWay,
)
from facekit.evaluate.people import modes_people
from facekit.evaluate.skins import BLIND, TILE, SkinControls, skin_ranks
from facekit.latents import FaceLatents

NAMES = ("neutral", "smile", "anger")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def face_set(verts: torch.Tensor) -> FaceSet:
    people = tuple(f"p{k}" for k in range(len(verts)))
    return FaceSet("made up", people, NAMES, verts, torch.tensor([[0, 1, 2]]))


@pytest.fixture(scope="module")
def bilinear() -> FaceSet:
    """People of four, expressions of three dimensions, multiplied."""
    core = noise(4, 3, 60, seed=1)
    kinds = torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]])
    verts = torch.einsum("pi,ek,ikd->ped", noise(30, 4), kinds, core)
    return face_set(verts.unflatten(2, (20, 3)))


@pytest.fixture(scope="module")
def linear() -> FaceSet:
    """The same displacement for everybody."""
    people, moves = noise(30, 5) @ noise(5, 60, seed=1), torch.cat((torch.zeros(1, 60), noise(2, 60, seed=2)))
    return face_set((people[:, None] + moves).unflatten(2, (20, 3)))


def test_a_bilinear_model_is_exact_on_bilinear_data(bilinear):
    train, test = bilinear.split(6)
    model = BilinearModel(train)
    faces = test.points().flatten(0, 1)
    assert float((model.rebuild(faces) - faces).norm(dim=-1).max()) < 0.02
    assert float((MeanFace(train).rebuild(faces) - faces).norm(dim=-1).mean()) > 1


def test_a_linear_model_is_exact_on_linear_data(linear):
    train, test = linear.split(6)
    model = LinearModel(train)
    faces = test.points().flatten(0, 1)
    assert float((model.rebuild(faces) - faces).norm(dim=-1).max()) < 1e-3
    moved = model.faces([1, 2], "smile", 1.0) - model.faces([1, 2], "smile", 0.0)
    torch.testing.assert_close(moved[0], moved[1])
    torch.testing.assert_close(moved[0], (train.points()[:, 1] - train.points()[:, 0]).mean(0), atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="an expression of the set"):
        model.faces([1], "grin", 1.0)


def test_people_generated_have_the_datas_variety(linear):
    train = linear.split(2)[0]
    made = LinearModel(train).faces(range(400), "neutral", 0.0)
    wanted = train.points()[:, 0].var(0).sum()
    assert float(made.var(0).sum() / wanted) == pytest.approx(1, abs=0.2)


def test_bilinear_people_move_as_differently_as_the_datas():
    """Displacements that are nearly the same for everybody stay so, though identities vary as much."""
    core, kinds = noise(4, 2, 60, seed=1), torch.tensor([[1.0, 0], [1, 1], [1, 2]])
    people = torch.cat([noise(60, 3), 1 + 0.05 * noise(60, 1, seed=2)], dim=1)
    core[:3, 1] = 0  # those three weights move nothing
    train = face_set(torch.einsum("pi,ek,ikd->ped", people, kinds, core).unflatten(2, (20, 3)))
    model, points = BilinearModel(train), train.points()
    moved = model.faces(range(400), "anger", 1.0) - model.faces(range(400), "neutral", 0.0)
    wanted = (points[:, 2] - points[:, 0]).var(0).sum()
    assert float(moved.var(0).sum() / wanted) == pytest.approx(1, abs=0.25)


@pytest.fixture(scope="module")
def people(default_pipeline) -> FaceSet:
    return modes_people(default_pipeline, 10, NAMES, seed=77)


def test_people_differ_and_are_the_same_again(default_pipeline, people):
    again = modes_people(default_pipeline, 2, NAMES, seed=78)
    torch.testing.assert_close(again.verts[0], people.verts[1])
    assert float((people.points()[0, 0] - people.points()[1, 0]).norm(dim=-1).mean()) > 2
    assert float((people.points()[:, 1] - people.points()[:, 0]).norm(dim=-1).mean()) > 0.5


def test_a_network_finds_the_codes_of_its_own_faces(default_pipeline, people):
    model = NetworkModel(default_pipeline, people.measured)
    faces = model.faces([3], "smile", 0.8)
    found = model.rebuild(faces)
    mean = default_pipeline.template.verts[people.measured]
    assert float((found - faces).norm(dim=-1).mean()) < 0.35 * float((mean - faces).norm(dim=-1).mean())


def test_upstreams_way_changes_the_person_with_the_expression(default_pipeline, people):
    ours, theirs = (kind(default_pipeline, people.measured) for kind in (NetworkModel, UpstreamWay))
    assert torch.equal(ours.latents([5], "smile", 1.0).style, ours.latents([5], "anger", 1.0).style)
    assert not torch.equal(theirs.latents([5], "smile", 1.0).style, theirs.latents([5], "anger", 1.0).style)
    assert torch.equal(theirs.faces([5], "smile", 1.0), theirs.faces([5], "smile", 1.0))


def test_a_blind_network_paints_skins_of_nobody(default_pipeline, people, tmp_path):
    """The shipped network's weights without the identity input."""
    from safetensors.torch import save_file

    save_file(
        {name: value.contiguous() for name, value in default_pipeline.texture.state_dict().items()}, tmp_path / BLIND
    )
    with pytest.raises(FileError, match="--stages controls"):
        SkinControls.load(tmp_path)
    SkinControls(tmp_path, noise(8, 3, TILE, TILE).sigmoid(), 100, 0.1).save()
    controls = SkinControls.load(tmp_path)
    assert "for 100 steps, 10% of" in controls.note() and controls.painted.shape == (8, 3, TILE, TILE)
    model = BlindSkin(controls.network(default_pipeline, BLIND), people.measured)
    codes = model.latents([5], "smile", 1.0)
    assert not codes.identity.any() and torch.equal(codes.texture_noise, FaceLatents.sample(5).texture_noise)
    told = default_pipeline.decode_texture(codes)
    torch.testing.assert_close(model.pipe.decode_texture(codes), told, atol=1e-4, rtol=0)
    assert model.pipe is not default_pipeline and model.pipe.texture is not default_pipeline.texture


def test_own_skins_have_a_low_rank_and_strangers_have_not():
    """Colours are a function of the faces; shuffled, they tell nothing about them. Both have all eight components that
    ranks are taken of: others would be rounding, which every machine does in its own way.
    """
    people = noise(80, 8)
    faces = (people @ noise(8, 60, seed=1)).unflatten(1, (20, 3))
    cells = (people @ noise(8, 3 * 64, seed=2)).unflatten(1, (3, 8, 8))
    tiles = torch.sigmoid(0.3 * cells).repeat_interleave(TILE // 8, 2).repeat_interleave(TILE // 8, 3)
    own, other = (torch.tensor(skin_ranks(faces, t)).mean() for t in (tiles, tiles.roll(7, 0)))
    assert float(own) < 0.05 and 0.4 < float(other) < 0.6


@pytest.mark.slow
def test_the_experiment_on_a_few_people(default_pipeline, people, monkeypatch, tmp_path):
    size = dataclasses.replace(experiment.QUICK, made=8, swept=("smile",))
    monkeypatch.setattr(experiment, "QUICK", size)
    chosen = experiment.generation(default_pipeline, people, quick=True, test=2)
    results = chosen.run(tmp_path, ["data", "default", "linear (PCA)", "mean face", "upstream's sampling"])
    assert {row.dataset for row in results} == {"modes"} and all(row.failed == 0 for row in results)
    error = {row.method: row.mean for row in results.select(metric="generalisation_mm")}
    assert error["default"] < error["mean face"] and error["linear (PCA)"] < error["mean face"]
    leak = {row.method: row.mean for row in results.select(metric="identity_leak_mm", region="smile")}
    assert leak["mean face"] < 1e-3 < leak["default"] < leak["upstream's sampling"]
    assert results.value(metric="diversity_identity_mm", method="mean face") == 0
    assert results.value(metric="monotone_share", method="default", region="smile") > 0.9


def test_an_autoencoder_draws_people_like_those_it_read(default_pipeline, people):
    model = Autoencoder(default_pipeline, people.measured, people[:4])
    made = model.faces([1, 2], "smile", 1.0)
    assert made.shape == (2, int(people.measured.sum()), 3)
    assert float((made[0] - made[1]).norm(dim=-1).mean()) > 0.5
