"""Skin that blendshapes would flip is corrected, and nothing else is changed."""

from __future__ import annotations

import pytest
import torch

from facekit import FaceLatents
from facekit.metrics.contact import Contact, face_like, flipped_triangles
from facekit.models.folds import Unfolding


@pytest.fixture(scope="module")
def unfolding(default_pipeline) -> Unfolding:
    return Unfolding(default_pipeline.template)


@pytest.fixture(scope="module")
def folded(default_pipeline) -> torch.Tensor:
    """The mean head with a fold at the mouth's left corner: skin overlaps itself sideways."""
    template = default_pipeline.template
    verts = template.verts[None].clone()
    along = verts[..., 0] - template.verts[template.landmarks[54], 0]
    near = (verts[0] - template.verts[template.landmarks[54]]).norm(dim=1) < 9
    verts[0, near, 0] -= 0.8 * (2 * along[0, near]).sin()
    return verts


def test_folds_are_turned_back(unfolding, folded, default_pipeline):
    faces, rest = default_pipeline.template.faces, default_pipeline.template.verts[None]
    before, after = (int(flipped_triangles(faces, rest, verts).sum()) for verts in (folded, unfolding(folded, rest)))
    assert before > 30 and after == 0
    moved = (unfolding(folded, rest) - folded).norm(dim=2)[0]
    far = (rest[0] - rest[0, default_pipeline.template.landmarks[54]]).norm(dim=1) > 15
    assert 0 < float(moved.max()) < 1 and not moved[far].any()


def test_what_has_no_folds_is_left_alone(unfolding, default_pipeline):
    rest = default_pipeline.template.verts[None]
    assert torch.equal(unfolding(rest * 1.1, rest), rest * 1.1)


def test_folds_that_were_there_before_are_left(unfolding, folded, default_pipeline):
    rest = default_pipeline.template.verts[None]
    torch.testing.assert_close(unfolding(folded, rest, worn=folded), folded, atol=1e-4, rtol=0)


def test_gradients_flow(unfolding, folded, default_pipeline):
    verts = folded.clone().requires_grad_()
    unfolding(verts, default_pipeline.template.verts[None]).square().sum().backward()
    assert bool(verts.grad.isfinite().all()) and bool(verts.grad.any())


def test_a_crowd_is_folded_out_as_each_alone(unfolding, folded, default_pipeline):
    rest = default_pipeline.template.verts[None]
    other = torch.cat((rest * 1.02, folded))
    both = unfolding(other, rest.expand(2, -1, -1))
    torch.testing.assert_close(both[1:], unfolding(folded, rest), atol=1e-4, rtol=0)


def test_faces_that_do_much_at_once_hold(default_pipeline):
    """One of the people and some of the combinations that benchmarks/rig.py tests in full."""
    measure, faces = Contact(default_pipeline.template), default_pipeline.template.faces
    person = FaceLatents.sample(11).at_rest()
    rest, posed = (
        default_pipeline.decode_shape(codes)
        for codes in (person, person.repeat(4).with_blendshapes(face_like(16, seed=5)[::4]))
    )
    assert int(flipped_triangles(faces, rest, posed).sum(dim=1).max()) <= 20
    for depth in (measure.lids, measure.lips):
        assert float((depth(posed) - depth(rest)).max()) <= 0.3
