"""Lids close fully at eye_closed and in blinks, for generated people and for others, and the eyes stay under them."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.evaluate.shape import lid_gaps
from facekit.latents import FaceLatents
from facekit.models.shutting import sealed
from facekit.person import Person
from facekit.render.camera import Camera

PEOPLE = [5007, 5027, 5009]


@pytest.fixture(scope="module")
def people() -> FaceLatents:
    return FaceLatents.cat([FaceLatents.sample(seed) for seed in PEOPLE])


@pytest.mark.parametrize("intensity", [1.0, 1.5])
def test_lids_meet_and_overlap_by_about_a_millimetre_at_most(default_pipeline, people, intensity):
    gaps = lid_gaps(
        default_pipeline.decode_shape(people.with_expression("eye_closed", intensity)),
        default_pipeline.template.landmarks,
    )
    assert float(gaps.max()) < 0.1 and float(gaps.min()) > -1.1


def test_open_eyes_are_not_touched_and_closing_ones_never_open_again(default_pipeline, people):
    verts = default_pipeline.decode_shape(people.at_rest())
    assert torch.equal(sealed(verts, torch.full((len(verts), 2), 0.75), default_pipeline.blendshapes), verts)
    levels = [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0]
    swept = [default_pipeline.decode_shape(people.with_expression("eye_closed", k)) for k in levels]
    open_by = torch.stack([lid_gaps(v, default_pipeline.template.landmarks).mean(dim=1) for v in swept])
    assert bool((open_by.diff(dim=0) < 0.1).all()), open_by


def test_another_person_s_wide_eyes_shut_too(default_pipeline, people):
    template = default_pipeline.template
    own = default_pipeline.decode_shape(people[0].with_blendshapes({"eyeWideLeft": 0.5, "eyeWideRight": 0.5}))[0]
    pipe = default_pipeline.with_person(Person(own, people[1]))
    shut = pipe.decode_shape(pipe.to_model_codes(FaceLatents.sample(1, expression="eye_closed")))
    assert float(lid_gaps(own[None], template.landmarks).min()) > 5
    assert float(lid_gaps(shut, template.landmarks).max()) < 0.1


@pytest.mark.parametrize("expression", ["neutral", "brow_raiser", "smile", "eye_closed"])
def test_blinks_shut_the_eyes_that_an_expression_has(default_pipeline, people, expression):
    blink = {f"eyeBlink{side}": 1.0 for side in ("Left", "Right")}
    posed = people.with_expression(expression, 1.0).with_blendshapes(blink)
    gaps = lid_gaps(default_pipeline.decode_shape(posed), default_pipeline.template.landmarks)
    assert float(gaps.max()) < 0.3 and float(gaps.min()) > -1.5, "mm, at places where lids overlap in between"


def test_eyes_that_look_aside_at_rest_do_not_pierce_their_lids(default_pipeline):
    """Person 48's look seven degrees outwards, where the cornea lies under the middle of the closed lid."""
    face = default_pipeline(seed=48, expression="eye_closed", hair=None, detail=False)
    camera = Camera.front(distance=300, target=(0, 42, 60))
    picture = face.render(image_size=384, camera=camera)
    assert picture.labels is not None
    ids = picture.labels.part_ids(picture.face_ids)
    assert int((ids == PARTS.index("eyes")).sum()) == 0
