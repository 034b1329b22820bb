"""A pipeline with a person: their shape and skin, the model's expressions."""

from __future__ import annotations

import pickle

import pytest
import torch

from facekit import FaceLatents, sweep_intensity
from facekit.errors import InputError
from facekit.person import Person


@pytest.fixture(scope="module")
def person(default_pipeline):
    codes = FaceLatents.sample(3, expression="neutral", intensity=0.0)
    neutral = default_pipeline.template.verts * torch.tensor([1.05, 1.0, 0.97])
    atlas = torch.full((1, 3, 64, 64), 0.25)
    return default_pipeline.with_person(Person(neutral, codes, atlas))


def test_the_person_is_made_whatever_identity_is_asked_for(person):
    for seed in (1, 2):
        face = person(seed=seed, expression="neutral", intensity=0.0, detail=False)
        torch.testing.assert_close(face.verts[0], person.person.neutral, atol=0.35, rtol=0)  # lids may be pushed out
        assert face.texture.unique().tolist() == [0.25]
    assert person.single_person


def test_expressions_move_the_person_as_they_move_their_codes(default_pipeline, person):
    codes = person.person.codes
    a = (
        default_pipeline(latents=codes.with_expression("smile"), detail=False).verts
        - default_pipeline(latents=codes, detail=False).verts
    )
    b = person(latents=codes.with_expression("smile"), detail=False).verts - person(latents=codes, detail=False).verts
    assert float(a.norm(dim=-1).max()) > 5
    assert float((a - b).norm(dim=-1).quantile(0.99)) < 0.3


def test_the_model_itself_stays_anybody(default_pipeline, person):
    assert default_pipeline.person is None and not default_pipeline.single_person
    first, second = (default_pipeline(seed=seed, detail=False).verts for seed in (1, 2))
    assert float((first - second).norm(dim=-1).mean()) > 0.5


def test_sweeps_and_rigs_take_it(person):
    faces = sweep_intensity(person, FaceLatents.sample(9), "smile", steps=3, detail=False)
    assert len(faces) == 3 and float((faces.verts[2] - faces.verts[0]).norm(dim=-1).max()) > 5
    rig = person.rig(FaceLatents.sample(9), detail=False)
    torch.testing.assert_close(rig.neutral.verts[0], faces.verts[0], atol=1e-3, rtol=0)


def test_gradients_reach_the_expression(person):
    codes = FaceLatents.sample(0, expression="smile", intensity=0.5)
    expression = codes.expression.clone().requires_grad_(True)
    verts = person.decode_shape(FaceLatents(**{**codes.__dict__, "expression": expression}))
    verts.square().sum().backward()
    assert float(expression.grad.abs().sum()) > 0


def test_a_pickled_face_has_no_wrong_source(person):
    face = person(seed=0, detail=False)
    assert face.can_rig
    again = pickle.loads(pickle.dumps(face))  # noqa: S301
    assert not again.can_rig
    assert again.reattach(person).can_rig


@pytest.mark.parametrize("shape", [(5, 3), (24586, 2)])
def test_other_topologies_are_refused(default_pipeline, shape):
    with pytest.raises(InputError):
        default_pipeline.with_person(Person(torch.zeros(shape), FaceLatents.sample(0)))
