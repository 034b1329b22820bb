"""The adapt stage: the installed networks in coordinates are themselves, and people stay who they are."""

from __future__ import annotations

import pytest
import torch

from facekit.latents import FaceLatents
from facekit.train.shape.adapt import adapted, in_coordinates, resting_share
from facekit.train.shape.data import ShapeBasis, ShapeTeacher
from facekit.train.shape.networks import coordinate_model, fold_basis


@pytest.fixture(scope="module")
def tiny(tiny_head):
    """A context, its basis and an untrained model in basis coordinates."""
    context = tiny_head[0]
    basis = ShapeBasis.load(context.shape_basis, context.template.parts)
    torch.manual_seed(0)
    return context, basis, coordinate_model(context.shape_config, basis)


def test_coordinates_and_vertices_are_the_same_model(tiny):
    context, basis, model = tiny
    again = in_coordinates(fold_basis(model, context.shape_config, basis), basis)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=1e-3, rtol=1e-3, msg=name)


def test_a_model_learns_to_rest_its_lids_and_keeps_its_people(tiny):
    context, basis, model = tiny
    teacher = ShapeTeacher(basis)
    people = FaceLatents.sample(5, 8).at_rest()
    codes = (people.shape_noise, people.identity, people.style, people.expression)
    before = fold_basis(model, context.shape_config, basis)(*codes)
    after = fold_basis(adapted(model, basis, context), context.shape_config, basis)(*codes)
    assert float((after - before).norm(dim=-1).mean()) < 1.0
    assert abs(resting_share(model, teacher)) < 0.5
