"""The mouth's walls do not come through the skin around the lips."""

from __future__ import annotations

import pytest
import torch

from facekit.latents import FaceLatents
from facekit.metrics.contact import flipped_triangles
from facekit.models.walls import MouthWall


@pytest.fixture(scope="module")
def wall(default_pipeline) -> MouthWall:
    return MouthWall(default_pipeline.template)


def behind(wall: MouthWall, verts: torch.Tensor) -> float:
    """Return the least distance of the wall behind the skin, mm, seen from the front."""
    own, skin = verts[0, wall.wall], verts[0, wall.used[wall.skin]]
    nearest = torch.cdist(own[:, :2], skin[:, :2]).argmin(dim=1)
    return float((skin[nearest, 2] - own[:, 2]).min())


def test_a_wall_in_front_of_the_skin_goes_back(wall, default_pipeline):
    rest = default_pipeline.template.verts[None]
    assert torch.equal(wall(rest), rest)
    forward = rest.clone()
    forward[:, wall.wall, 2] += 9
    pushed = wall(forward)
    assert behind(wall, forward) < behind(wall, pushed) - 1
    untouched = torch.ones(rest.shape[1], dtype=torch.bool)
    untouched[wall.wall] = False
    assert torch.equal(pushed[:, untouched], forward[:, untouched])


def test_cheeks_blow_under_a_deep_fold(wall, default_pipeline):
    """A person with one, whose wall stood in front."""
    blown = default_pipeline.decode_shape(FaceLatents.sample(5000).at_rest().with_expression("cheek_blowing"))
    assert behind(wall, blown) > 0


@pytest.mark.parametrize("name", ["lip_funneler", "anger"])
def test_expressions_that_would_fold_do_not(default_pipeline, name):
    person = FaceLatents.sample(16).at_rest()
    rest, posed = (default_pipeline.decode_shape(codes) for codes in (person, person.with_expression(name)))
    assert int(flipped_triangles(default_pipeline.template.faces, rest, posed).sum()) <= 10


def test_an_old_face_with_deep_folds_keeps_its_mouth_inside(default_pipeline, monkeypatch):
    """A person whose folds beside the mouth sank through its wall."""
    whole = MouthWall(default_pipeline.template, whole=True)
    codes = default_pipeline.to_model_codes(FaceLatents.sample(4014).at_rest())
    assert behind(whole, default_pipeline.decode_shape(codes)) > 0
    monkeypatch.setitem(default_pipeline.__dict__, "resting_wall", None)
    assert behind(whole, default_pipeline.decode_shape(codes)) < 0


def test_no_wall_crosses_a_deep_groove_above_the_chin(default_pipeline, monkeypatch):
    """A person with full lips over a deep groove: between its vertices the wall came through the skin, a black hole."""
    codes = default_pipeline.to_model_codes(FaceLatents.sample(7039).at_rest())
    whole = default_pipeline.resting_wall

    def through(edges: torch.Tensor) -> int:
        verts = default_pipeline.decode_shape(codes)
        skin, wall = verts[0, whole.used[whole.skin]], verts[0, whole.wall]
        middles = wall[edges].mean(dim=1)
        nearest = torch.cdist(middles[:, :2], skin[:, :2]).argmin(dim=1)
        return int((middles[:, 2] > skin[nearest, 2]).sum())

    assert through(whole.edges) == 0
    edges = whole.edges
    monkeypatch.setitem(whole._buffers, "edges", edges[:0])
    assert through(edges) > 0
