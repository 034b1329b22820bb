"""Lips that would intersect are brought into contact; others are not moved."""

from __future__ import annotations

import pytest
import torch

from facekit.latents import FaceLatents
from facekit.metrics.contact import Contact
from facekit.models.lips import LipContact


@pytest.fixture(scope="module")
def contact(default_pipeline) -> LipContact:
    return LipContact(default_pipeline.template)


def test_lips_apart_are_left_alone(contact, default_pipeline):
    rest = default_pipeline.template.verts[None]
    assert float((contact(rest) - rest).norm(dim=2).max()) < 0.2, "the mean head's lips are closed, and press a little"
    opened = FaceLatents.sample(3).with_expression("mouth_stretch")
    verts = default_pipeline.decode_shape(opened)
    assert torch.equal(contact(verts), verts)


@pytest.mark.parametrize("depth", [0.5, 2.0])
def test_a_lip_in_the_other_comes_out(contact, default_pipeline, depth):
    """The whole lower lip lifted into the upper one, less toward the corners, where they join."""
    template, measure = default_pipeline.template, Contact(default_pipeline.template)
    verts = template.verts[None].clone()
    lower = min((contact.lip_0, contact.lip_1), key=lambda index: float(template.verts[index, 1].mean()))
    verts[:, lower, 1] += depth * (1 - (template.verts[lower, 0] / 24).square()).clamp_min(0)
    before, after = measure.lips(verts), measure.lips(contact(verts))
    assert float(before) > 0.6 * depth and float(after) < 0.35
    moved = (contact(verts) - verts).norm(dim=2)
    assert float(moved.max()) < depth + 0.3, "no further than it has to"
    touched = torch.zeros(len(template.verts), dtype=torch.bool)
    touched[torch.cat((contact.follow_0, contact.follow_1))] = True
    assert not moved[0, ~touched].any()


def test_gradients_flow(contact, default_pipeline):
    verts = default_pipeline.template.verts[None].clone()
    verts[:, contact.lip_0] *= 1.01
    verts.requires_grad_()
    contact(verts).square().sum().backward()
    assert bool(verts.grad.isfinite().all())
