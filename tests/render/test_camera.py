"""Cameras: projection of points to pixels."""

import math

import pytest
import torch

from facekit.errors import InputError
from facekit.render import Camera


def test_axes_of_the_front_camera():
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=500.0)
    points = torch.tensor([[[0.0, 0, 0], [50, 0, 0], [0, 50, 0], [0, 0, 50]]])
    centre, left, up, near = camera.project(points, (200, 300))[0]
    assert torch.allclose(centre, torch.tensor([150.0, 100.0, 500.0]), atol=1e-3)
    assert left[0] > 150 and abs(left[1] - 100) < 1e-3  # the subject's left is on the image right
    assert up[1] < 100 and abs(up[0] - 150) < 1e-3  # row 0 is the top
    assert abs(near[2] - 450) < 1e-3


def test_field_of_view_is_vertical():
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=100.0, fov=40.0)
    edge = torch.tensor([[[0.0, 100 * math.tan(math.radians(20)), 0.0]]])
    assert abs(float(camera.project(edge, (64, 200))[0, 0, 1])) < 1e-3


@pytest.mark.parametrize("side, sign", [("left", 1.0), ("right", -1.0)])
def test_three_quarter_shows_the_named_side(side, sign):
    camera = Camera.three_quarter(side)
    assert float(camera.position[0, 0]) * sign > 0
    ear = torch.tensor([[[sign * 75.0, 0.0, 0.0], [-sign * 75.0, 0.0, 0.0]]])
    depth = camera.project(ear, 64)[0, :, 2]
    assert depth[0] < depth[1]


def test_turntable_goes_around_and_indexes():
    camera = Camera.turntable(8, elevation=0.0)
    assert len(camera) == 8 and len(camera[2:4]) == 2 and len(camera[-1]) == 1
    assert torch.allclose(camera[2].rotation()[0, 2], torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)  # subject's left
    rotation = camera.rotation()
    assert torch.allclose(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(8, 3, 3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(8), atol=1e-5)


def test_fit_keeps_any_mesh_inside():
    torch.manual_seed(0)
    verts = torch.randn(2, 200, 3) * torch.tensor([10.0, 40.0, 5.0]) + 300.0
    for azimuth in (0.0, 75.0):
        place = Camera.fit(verts, azimuth, 20.0).project(verts, 100)
        assert float(place[..., :2].min()) >= 0 and float(place[..., :2].max()) <= 100
        assert float(place[..., 2].min()) > 0


def test_looking_along_up_is_defined():
    camera = Camera((0.0, 300.0, 0.0), (0.0, 0.0, 0.0))
    assert torch.allclose(torch.linalg.det(camera.rotation()), torch.ones(1), atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Camera(fov=0.0),
        lambda: Camera(near=-1.0),
        lambda: Camera((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        lambda: Camera((float("nan"), 0.0, 0.0)),
        lambda: Camera(torch.zeros(2, 3) + 1.0, torch.zeros(3, 3)),
        lambda: Camera.orbit(0.0, 90.0),
        lambda: Camera.three_quarter("port"),
        lambda: Camera.turntable(0),
    ],
)
def test_bad_cameras_are_refused(make):
    with pytest.raises(InputError):
        make()
