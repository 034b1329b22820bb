"""Traits: reading and setting them, and consistency of heads and skins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit import FaceLatents, FacePipeline
from facekit.errors import InputError
from facekit.files.readers import load_arrays
from facekit.metrics.anthropometry import MEASURES
from facekit.models.composers.micro import stubble_strength
from facekit.person import Person
from facekit.reconstruct.model import PhotoModel
from facekit.train.shape.traits import mode_axes, turn
from facekit.traits import AGES, TRAITS, age_share, dimorphic, grown, read_traits, set_traits, to_networks, trait_axes
from facekit.weights import verified


def test_axes_are_the_model_s():
    axes = trait_axes()
    torch.testing.assert_close(axes @ axes.T, torch.eye(len(TRAITS)), atol=1e-5, rtol=0)
    torch.testing.assert_close(axes, load_arrays(verified("default", "micro"))["directions"], atol=1e-6, rtol=0)


def test_what_is_set_is_read_and_nothing_else_changes():
    codes = FaceLatents.sample(5, 3)
    changed = codes.with_traits(age=60, masculinity=0.2)
    before, after = codes.traits(), changed.traits()
    torch.testing.assert_close(after["age"], torch.full((3,), 60.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(after["masculinity"], torch.full((3,), 0.2), atol=1e-5, rtol=0)
    for name in set(TRAITS) - {"age", "masculinity"}:
        torch.testing.assert_close(after[name], before[name], atol=1e-5, rtol=0)
    assert torch.equal(changed.style, changed.identity)
    sampled = FaceLatents.sample(5, 3, age=60, masculinity=0.2)
    torch.testing.assert_close(sampled.identity, changed.identity)
    assert torch.equal(sampled.texture_noise, codes.texture_noise)


def test_shares_are_spread_evenly():
    traits = read_traits(FaceLatents.sample(0, 400).identity)
    assert 45 < float(traits["age"].mean()) < 53
    assert float(traits["age"].min()) < 21 and float(traits["age"].max()) > 77
    assert 0.44 < float((traits["masculinity"] > 0.5).float().mean()) < 0.56


@pytest.mark.parametrize("wrong", [{"age": 5}, {"masculinity": 1.2}, {"beauty": 0.5}, {"age": float("nan")}])
def test_what_there_is_not_is_refused(wrong):
    with pytest.raises(InputError):
        FaceLatents.sample(0).with_traits(**wrong)
    assert torch.equal(set_traits(torch.zeros(1, 20)), torch.zeros(1, 20))


def test_a_person_has_none_to_set(default_pipeline):
    codes = FaceLatents.sample(3)
    pipe = default_pipeline.with_person(Person(default_pipeline.template.verts, codes))
    with pytest.raises(InputError, match="one person"):
        pipe(latents=codes, traits={"age": 60})
    assert default_pipeline(seed=3, traits={"age": 60}, detail=False).metadata == {"seed": 3, "traits": {"age": 60}}


def test_heads_are_as_masculine_as_their_codes(default_pipeline):
    template = default_pipeline.template
    marks = template.landmarks.numpy()
    people = FaceLatents.sample(300, 24)
    shapes = {
        share: default_pipeline.decode_shape(people.with_traits(masculinity=share)).detach().numpy()
        for share in (0.05, 0.95)
    }
    for name, (measure, male, _) in MEASURES.items():
        low, high = (np.array([measure(v[marks]) for v in shapes[share]]) for share in (0.05, 0.95))
        # Nostrils of women and men are about as far apart in photographs, relative to the eyes.
        if abs(male) >= 0.7 and name != "width of the nose":
            assert np.sign(np.median(high - low)) == np.sign(male), name
    jaw = MEASURES["width of the jaw"][0]
    assert np.median([jaw(b[marks]) - jaw(a[marks]) for a, b in zip(*shapes.values(), strict=True)]) > 6


def test_turn_is_a_rotation_that_takes_directions_there():
    rng = np.random.default_rng(3)
    verts, modes = 60 * rng.normal(size=(90, 3)), rng.normal(size=(30, 90, 3))
    axes = mode_axes(verts, np.arange(68), modes, 20)
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-9)
    matrix = turn(axes)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(20), atol=1e-5, rtol=0)
    own = trait_axes()[[TRAITS.index("masculinity"), TRAITS.index("age")]]
    torch.testing.assert_close(own @ matrix.T, torch.from_numpy(axes).float(), atol=1e-5, rtol=0)


def test_few_people_look_between_the_sexes():
    identity = torch.randn(2000, 20, generator=torch.Generator().manual_seed(1))
    drawn, looks = (read_traits(codes)["masculinity"] for codes in (identity, dimorphic(identity)))
    between = ((looks > 0.35) & (looks < 0.65)).float().mean()
    assert 0.05 < between < 0.15 < ((drawn > 0.35) & (drawn < 0.65)).float().mean()
    assert torch.equal(drawn.argsort(), looks.argsort())
    assert torch.equal(drawn > 0.5, looks > 0.5)
    others = [name for name in TRAITS if name != "masculinity"]
    before, after = read_traits(identity), read_traits(dimorphic(identity))
    for name in others:
        torch.testing.assert_close(before[name], after[name], atol=1e-4, rtol=0)


def test_the_networks_are_asked_for_the_age_of_people():
    identity = FaceLatents.sample(0, 300).identity
    asked, row = grown(identity), trait_axes()[TRAITS.index("age")]
    years = read_traits(identity)["age"]
    torch.testing.assert_close(AGES[0] + (AGES[1] - AGES[0]) * age_share(asked @ row), years, atol=1e-2, rtol=0)
    # The networks' own ages are normal: people of sixty are rarer among them than one in ten.
    sixty, asked_for = (set_traits(identity, age=60.0) @ row, grown(set_traits(identity, age=60.0)) @ row)
    assert float(sixty.max()) < 0.5 < 1.3 < float(asked_for.min())
    torch.testing.assert_close(to_networks(identity) @ row, asked @ row, atol=1e-4, rtol=0)
    away = asked - identity
    torch.testing.assert_close(away, (away @ row)[:, None] * row, atol=1e-5, rtol=0)


def test_women_have_no_stubble(default_pipeline):
    codes = default_pipeline.to_model_codes(FaceLatents.sample(0, 400, masculinity=0.4))
    assert stubble_strength(default_pipeline.composer.micro.projections(codes.identity)).max() < 0.05


def test_masculine_measures_are_called_a_mans():
    pipe = FacePipeline.from_pretrained(device="cpu")
    photo = PhotoModel.of(pipe)
    verts, modes = pipe.template.verts.numpy().astype(float), photo.modes.deltas.numpy().astype(float)
    axis = torch.from_numpy(mode_axes(verts, pipe.template.landmarks.numpy(), modes, len(modes))[0])
    told = [
        photo.masculine(pipe.template, photo.neutral(pipe.template.verts, size * axis))
        for size in (-2.0, -1.0, -0.5, 0.5, 2.0)
    ]
    assert told == sorted(told) and told[0] < 0.05 and told[-1] > 0.95
    skins = [photo.masculine(pipe.template, pipe.template.verts, skin) for skin in (-1.2, -0.8, 0.0, 0.4)]
    assert skins == sorted(skins) and skins[0] < 0.2 < 0.8 < skins[-1]
    # The mean head is nearer to the men in photographs, whose reconstructions have eyes that are too open.
    assert photo.masculine(pipe.template, pipe.template.verts) > 0.5
