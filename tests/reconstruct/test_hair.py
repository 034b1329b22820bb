"""Hair found in pictures, whose heads and cameras are known."""

from __future__ import annotations

import pytest
import torch

from facekit.person import Person
from facekit.reconstruct.api import dressed
from facekit.reconstruct.hair import find_hair
from facekit.render import Camera

CAMERA = Camera.front(distance=900.0, target=(0.0, 0.0, 40.0))


@pytest.fixture(scope="module")
def person_of(default_pipeline):
    def make(seed, hair):
        face = default_pipeline(seed=seed, hair=hair, detail=False)
        person = Person(default_pipeline.decode_shape(face.latents)[0], face.latents, face.texture)
        return face, default_pipeline.with_person(person)

    return make


@pytest.mark.parametrize(("seed", "style"), [(401, "afro01"), (403, "long01"), (406, "short02"), (400, "bald")])
def test_the_style_that_was_worn_is_found(person_of, seed, style):
    face, pipe = person_of(seed, style)
    picture = face.render(CAMERA, image_size=320).rgb[0]
    found = find_hair(picture, pipe, face.latents, CAMERA[0])
    assert found is not None and found.style == style
    if style != "bald":
        assert found.agreement[style] > 0.8
        worn = face.hair[0].colour
        assert float((found.colour - worn).abs().max()) < 0.15


def test_a_crown_outside_of_the_picture_tells_nothing(person_of):
    face, pipe = person_of(401, "afro01")
    low = Camera.front(distance=420.0, target=(0.0, -60.0, 40.0))
    picture = face.render(low, image_size=256).rgb[0]
    assert find_hair(picture, pipe, face.latents, low[0]) is None


def test_the_person_wears_it_from_then_on(person_of):
    face, pipe = person_of(403, "long01")
    assert pipe(latents=face.latents).hair == ()
    picture = face.render(CAMERA, image_size=256).rgb[0].permute(1, 2, 0)
    wearing = dressed(pipe, [picture], face.latents, CAMERA, "auto")
    hair = wearing(latents=face.latents.with_expression("smile"), detail=False).hair
    assert hair[0].style.startswith("long01") and torch.equal(hair[0].colour, wearing.person.hair_colour)
    named = dressed(pipe, [picture], face.latents, CAMERA, "short01")
    assert named.person.hair == "short01"
    assert wearing(latents=face.latents, hair=None, detail=False).hair == ()
