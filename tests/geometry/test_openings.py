"""Ambient light between lids and lips, on the embedded default's head."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.conventions import PARTS
from facekit.geometry.openings import Openings, sphere_weights
from facekit.render import render


@pytest.fixture(scope="module")
def head(default_pipeline):
    codes = {
        "rest": {},
        "blink": {"eyeBlinkLeft": 0.8, "eyeBlinkRight": 0.8},
        "open": {"jawOpen": 0.7},
        "wide": {"eyeWideLeft": 1.0, "eyeWideRight": 1.0},
    }
    faces = {
        name: default_pipeline(seed=3, blendshapes=shapes, detail=False, hair=None).mesh
        for name, shapes in codes.items()
    }
    return default_pipeline.template, faces


def part(template, name):
    return template.parts == PARTS.index(name)


def test_skin_keeps_what_was_cast_and_nostrils_are_not_black(head):
    template, faces = head
    skin = part(template, "skin") | part(template, "lids") | part(template, "neck")
    rims = torch.cat((template.openings.upper, template.openings.lower))
    skin[rims] = False  # they get light in the corners of eyes
    nose = (template.verts - template.verts[template.landmarks[33]]).norm(dim=1) < 25
    for mesh in faces.values():
        shade = mesh.occlusion()[0]
        assert torch.equal(shade[skin & ~nose], mesh.ao[skin & ~nose])
        assert float((shade - mesh.ao)[skin & nose].min()) >= 0
        assert float((shade - mesh.ao)[rims].min()) >= 0
        inside = skin & (mesh.ao < 0.1)
        inside &= (template.verts - template.verts[template.landmarks[33]]).norm(dim=1) < 20
        assert float(mesh.ao[inside].min()) < 0.01 and float(shade[inside].min()) > 0.1


def test_eyes_are_as_bright_as_they_are_open(head):
    template, faces = head
    eyes = part(template, "eyes")
    light = {name: float(mesh.occlusion()[0, eyes].mean()) for name, mesh in faces.items()}
    assert light["blink"] < 0.8 * light["rest"] < light["rest"] < light["wide"]


def test_corners_of_open_eyes_are_not_black_holes(head, default_pipeline):
    """A person whose lids stand off the eyeballs, in the corners: their rims and the lining behind them have light."""
    template, _ = head
    mesh = default_pipeline(seed=7053, detail=False, hair=None).mesh
    corners = torch.cat((template.openings.upper, template.openings.lower))[:, -1]  # the outer ones
    lining = template.openings.sockets.flatten()
    lining = lining[torch.cdist(mesh.verts[0, lining], mesh.verts[0, corners]).amin(dim=1) < 5]
    assert len(lining) >= 4
    for behind in (lining, corners):
        assert mesh.ao is not None and float(mesh.ao[behind].max()) < 0.15
        assert float(mesh.occlusion()[0, behind].median()) > 0.3


def test_under_the_upper_lid_it_is_darker_than_over_the_lower(head):
    template, faces = head
    mesh = faces["rest"]
    ball = template.openings.balls[1]
    place, light = mesh.verts[0, ball], mesh.occlusion()[0, ball]
    ahead = place[:, 2] > place[:, 2].amax() - 4
    high = place[:, 1] - place[ahead, 1].mean()
    assert float(light[ahead & (high > 3)].mean()) < 0.75 * float(light[ahead & (high < -1)].mean())


def test_teeth_wait_for_the_lips(head):
    template, faces = head
    teeth = part(template, "teeth")
    closed, opened = (faces[name].occlusion()[0, teeth] for name in ("rest", "open"))
    assert float(closed.max()) < 0.2
    mesh = faces["open"]
    depth, cast = mesh.verts[0, template.landmarks[62], 2] - mesh.verts[0, teeth, 2], mesh.ao[teeth]
    torch.testing.assert_close(opened[depth < 5], cast[depth < 5], atol=0.02, rtol=0)
    assert float((opened / cast.clamp_min(1e-3))[depth > 40].max()) < 0.8, "molars lie in the shade"


def test_unit_and_pose_do_not_count(head):
    _, faces = head
    mesh = faces["rest"]
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    moved = dataclasses.replace(mesh, verts=0.001 * (mesh.verts @ turn.T) + 5)
    torch.testing.assert_close(moved.occlusion(), mesh.occlusion(), atol=2e-3, rtol=0)


def test_a_batch_is_lit_face_by_face(head):
    _, faces = head
    both = dataclasses.replace(faces["rest"], verts=torch.cat([faces["rest"].verts, faces["open"].verts]), texture=None)
    torch.testing.assert_close(
        both.occlusion(), torch.cat([faces["rest"].occlusion(), faces["open"].occlusion()]), atol=1e-6, rtol=0
    )
    alone = torch.cat([render(both[k], image_size=64).rgb for k in (0, 1)])
    torch.testing.assert_close(render(both, image_size=64).rgb, alone, atol=2e-3, rtol=0)


def test_heads_without_eyeballs_have_none(head):
    template, _ = head
    parts = torch.where(part(template, "eyes"), PARTS.index("skin"), template.parts.long())
    assert Openings.of(template.verts, template.faces, parts, template.landmarks) is None


def test_sphere_weights_find_the_centre_of_moved_points():
    points = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(2)), dim=1)
    weights = sphere_weights(12 * points + torch.tensor([30.0, 40.0, 70.0]))
    torch.testing.assert_close(weights @ (3 * points + 1), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["jaw_forward", "jaw_left", "jaw_right"])
def test_lips_that_slide_over_each_other_let_no_light_in(default_pipeline, name):
    template = default_pipeline.template
    mesh = default_pipeline(seed=5001, expression=name, detail=False, hair=None).mesh
    upper, lower = (mesh.verts[0, template.landmarks[k]] for k in (62, 66))
    assert float((upper - lower)[[0, 2]].norm()) > 2, "mm, beside and in front of each other"
    assert float(mesh.occlusion()[0, part(template, "teeth")].max()) < 0.2
