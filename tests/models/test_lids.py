"""Lids that would penetrate an eyeball are pushed out, and nothing else is changed."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.eyes import gaze_rotation
from facekit.models.lids import LidContact


@pytest.fixture(scope="module")
def contact(default_pipeline) -> LidContact:
    return LidContact(default_pipeline.template)


def test_an_open_face_is_left_alone(contact, default_pipeline):
    verts = default_pipeline.template.verts[None]
    moved = (contact(verts) - verts).norm(dim=2)[0]
    assert float(moved.max()) < 0.3 and int((moved > 0).sum()) <= 20, "but for the corners, which lie in the eye"


def test_skin_inside_an_eye_comes_out_along_its_ray(contact, default_pipeline):
    template = default_pipeline.template
    lids = contact.lids_0[contact.kept_0 > 0.28][::40]
    ball = template.verts[template.parts == PARTS.index("eyes")]
    centre = torch.einsum("n,nk->k", contact.eyes[0].weights, template.verts[contact.eyes[0].ball])
    verts = template.verts.clone()
    verts[lids] = centre + 0.5 * (verts[lids] - centre)
    moved = contact(verts[None])[0]
    ray, wanted = moved[lids] - centre, template.verts[lids] - centre
    cosine = torch.cosine_similarity(ray, wanted, dim=1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    radius = (ball[ball[:, 0] < 0] - centre).norm(dim=1)
    assert float(ray.norm(dim=1).min()) > float(radius.min())
    assert float(ray.norm(dim=1).max()) < float(radius.max()) + 0.95
    rest = torch.ones(len(verts), dtype=torch.bool)
    rest[lids] = False
    assert torch.equal(moved[rest], contact(template.verts[None])[0, rest])


def test_it_goes_along_with_the_eye(contact, default_pipeline):
    verts = default_pipeline.template.verts[None].clone()
    verts[:, contact.lids_1[::30]] *= 0.93
    shifted = verts * 1.1 + torch.tensor([4.0, -3.0, 9.0])
    moved = (contact(shifted) - torch.tensor([4.0, -3.0, 9.0])) / 1.1
    torch.testing.assert_close(moved, contact(verts), atol=0.03, rtol=0)


def test_closed_lids_cover_the_eyes_of_everyone(default_pipeline):
    people = FaceLatents.cat([FaceLatents.sample(seed).with_expression("eye_closed") for seed in range(24)])
    verts = default_pipeline.decode_shape(people)
    outer = LidContact(default_pipeline.template, outer=True)
    torch.testing.assert_close(outer(verts), verts, atol=1e-3, rtol=0)


def test_rims_may_touch_and_lids_keep_a_thickness(contact):
    for kept in (contact.kept_0, contact.kept_1):
        assert -0.6 < float(kept.min()) < -0.1 and float(kept.max()) == pytest.approx(0.9)


def test_the_cornea_stands_out_where_the_eye_looks(contact, default_pipeline):
    """A lid with little clearance from an eye that looks ahead is pushed out where the cornea has moved under it."""
    verts = default_pipeline.template.verts[None].clone()
    lids, eye = contact.lids_0, contact.eyes[0]
    centre = eye.centre(verts)
    ray = verts[:, lids] - centre
    wall = eye.radius(ray @ eye.axis(verts)[0] / ray.norm(dim=-1)) + contact.kept_0 + 0.01
    verts[:, lids] = centre + ray / ray.norm(dim=-1, keepdim=True) * wall[..., None]
    assert torch.equal(contact(verts)[:, lids], verts[:, lids])
    turns = torch.stack((gaze_rotation(torch.zeros(1), torch.tensor([25.0])), torch.eye(3)[None]), dim=1)
    moved = (contact(verts, turns) - contact(verts)).norm(dim=2)[0]
    assert 0.2 < float(moved[lids].max()) < 1.2 and not moved[contact.lids_1].any()
    looking = verts.index_add(1, eye.ball, eye.turned(verts, turns[:, 0]))
    torch.testing.assert_close(contact(looking)[:, lids], contact(verts, turns)[:, lids], atol=1e-3, rtol=0)


def test_gradients_flow(contact, default_pipeline):
    verts = default_pipeline.template.verts[None].clone()
    verts[:, contact.lids_0[:5]] *= 0.9
    verts.requires_grad_()
    contact(verts).square().sum().backward()
    assert bool(verts.grad.isfinite().all())
