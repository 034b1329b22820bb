"""Cameras and lights for photographs: principal points, OpenCV's matrices, head poses, light per picture."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from facekit.errors import InputError
from facekit.render import Camera, Lights, render, silhouette
from facekit.render.pinhole import scene_unit
from tests.render.scenes import ball

SIZE = (96, 128)


def turned(x: float, y: float, z: float) -> torch.Tensor:
    """A rotation (3, 3) about the axes, one after the other, degrees."""
    result = torch.eye(3)
    for axis, angle in enumerate((x, y, z)):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        i, j = [k for k in range(3) if k != axis]
        one = torch.eye(3)
        one[i, i], one[i, j], one[j, i], one[j, j] = c, -s, s, c
        result = one @ result
    return result


@pytest.fixture
def off_centre() -> Camera:
    """Two cameras of a photograph that was cropped, with oblong pixels."""
    return Camera(
        torch.tensor([[60.0, 40.0, 700.0], [-250.0, 10.0, 600.0]]),
        torch.tensor([[5.0, 8.0, 10.0], [0.0, 0.0, 0.0]]),
        torch.tensor([26.0, 31.0]),
        up=(0.1, 1.0, 0.0),
        principal=torch.tensor([[0.31, 0.62], [0.7, 0.4]]),
        aspect=torch.tensor([1.1, 0.93]),
    )


# -- OpenCV ------------------------------------------------------------------------------------------------------------


def test_opencv_projects_to_the_same_pixels(off_centre):
    points = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0)) * 80
    rotation, translation, intrinsics = off_centre.to_opencv(SIZE)
    seen = points @ rotation.transpose(1, 2) + translation[:, None]
    pixels = seen @ intrinsics.transpose(1, 2)
    expected = torch.cat((pixels[..., :2] / pixels[..., 2:], seen[..., 2:]), -1)
    torch.testing.assert_close(off_centre.project(points, SIZE), expected, rtol=1e-4, atol=1e-2)
    assert bool((seen[..., 2] > 0).all()), "+Z goes into the scene"


def test_opencv_and_back(off_centre):
    back = Camera.from_opencv(*off_centre.to_opencv(SIZE), SIZE)
    points = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(1)) * 80
    torch.testing.assert_close(back.project(points, SIZE), off_centre.project(points, SIZE), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(back.intrinsics(SIZE), off_centre.intrinsics(SIZE), rtol=1e-4, atol=1e-2)


def test_opencv_by_hand():
    """A point 100 to the right and 50 below the axis, 1000 in front."""
    intrinsics = torch.tensor([[800.0, 0.0, 70.0], [0.0, 800.0, 40.0], [0.0, 0.0, 1.0]])
    camera = Camera.from_opencv(torch.eye(3), torch.zeros(3), intrinsics, SIZE)
    x, y, depth = camera.project(torch.tensor([[[100.0, 50.0, 1000.0]]]), SIZE)[0, 0].tolist()
    assert (x, y, depth) == pytest.approx((150.0, 80.0, 1000.0), abs=1e-2)


def test_gradients_pass_opencv():
    rotation = turned(170.0, 10.0, 3.0).requires_grad_()
    translation = torch.tensor([3.0, -20.0, 900.0], requires_grad=True)
    intrinsics = torch.tensor([[800.0, 0.0, 70.0], [0.0, 780.0, 40.0], [0.0, 0.0, 1.0]], requires_grad=True)
    camera = Camera.from_opencv(rotation, translation, intrinsics, SIZE)
    camera.project(torch.tensor([[[30.0, 50.0, 10.0]]]), SIZE).sum().backward()
    for value in (rotation, translation, intrinsics):
        assert bool(torch.isfinite(value.grad).all()) and float(value.grad.abs().max()) > 0


@pytest.mark.parametrize(
    ("rotation", "intrinsics", "message"),
    [
        (2 * torch.eye(3), torch.eye(3), "rotation matrices"),
        (torch.diag(torch.tensor([1.0, 1.0, -1.0])), torch.eye(3), "rotation matrices"),
        (torch.eye(4), torch.eye(3), r"\(3, 3\)"),
        (torch.eye(3), torch.tensor([[800.0, 5.0, 70.0], [0.0, 800.0, 40.0], [0.0, 0.0, 1.0]]), "skew"),
        (torch.eye(3), torch.tensor([[800.0, 0.0, 70.0], [0.0, -800.0, 40.0], [0.0, 0.0, 1.0]]), "positive focal"),
        (torch.eye(3), torch.zeros(3), "intrinsics"),
    ],
)
def test_bad_matrices_are_told(rotation, intrinsics, message):
    with pytest.raises(InputError, match=message):
        Camera.from_opencv(rotation, torch.tensor([0.0, 0.0, 500.0]), intrinsics, SIZE)


# -- principal points --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", ["standard", "high"])
def test_a_crop_is_the_part_of_the_picture(tiny_mesh, quality):
    camera = Camera.three_quarter()
    whole = render(tiny_mesh, camera, (120, 160), quality=quality, background=(0.2, 0.3, 0.4))
    part = render(
        tiny_mesh, camera.crop(20, 40, (64, 80), (120, 160)), (64, 80), quality=quality, background=(0.2, 0.3, 0.4)
    )
    torch.testing.assert_close(part.rgb, whole.rgb[..., 20:84, 40:120], atol=2 / 255, rtol=0)
    same = (part.face_ids == whole.face_ids[:, 20:84, 40:120]).float().mean()
    assert float(same) > 0.999
    seen = part.face_ids >= 0
    depth = whole.depth[..., 20:84, 40:120]
    torch.testing.assert_close(part.depth[:, 0][seen], depth[:, 0][seen], rtol=1e-4, atol=1e-2)


def test_a_crop_may_reach_over_the_border(tiny_mesh):
    camera = Camera.front()
    part = render(tiny_mesh, camera.crop(-30, -20, (150, 180), 120), (150, 180), background="transparent")
    whole = render(tiny_mesh, camera, 120, background="transparent")
    torch.testing.assert_close(part.alpha[..., 30:150, 20:140], whole.alpha, atol=1e-3, rtol=0)


def test_cameras_of_a_batch_have_their_own(off_centre, tiny_mesh):
    both = render(tiny_mesh, off_centre, SIZE)
    for k in range(2):
        one = render(tiny_mesh, off_centre[k], SIZE)
        torch.testing.assert_close(both[k].rgb, one.rgb, atol=1e-4, rtol=0)


def test_pictures_are_where_points_are_projected(off_centre):
    """The centroid of a small ball in the picture is at its projected centre."""
    mesh = ball(radius=6.0)
    mesh = dataclasses.replace(mesh, verts=mesh.verts + torch.tensor([20.0, -30.0, 15.0]))
    centre = off_centre.project(torch.tensor([[[20.0, -30.0, 15.0]]]), 400)[:, 0, :2]
    alpha = render(mesh, off_centre, 400).alpha[:, 0]
    grid = torch.stack(torch.meshgrid(torch.arange(400.0), torch.arange(400.0), indexing="ij")[::-1], -1) + 0.5
    found = (alpha[..., None] * grid).sum((1, 2)) / alpha.sum((1, 2))[:, None]
    torch.testing.assert_close(found, centre, atol=0.1, rtol=0)


def test_silhouettes_follow(off_centre, tiny_mesh):
    soft = silhouette(tiny_mesh, off_centre, SIZE, sigma=0.5)
    hard = render(tiny_mesh, off_centre, SIZE).alpha
    assert float((soft - hard).abs().mean()) < 0.01


def test_gradients_reach_principal_point_and_aspect(tiny_mesh):
    principal = torch.tensor([0.45, 0.52], requires_grad=True)
    aspect = torch.tensor(1.05, requires_grad=True)
    camera = Camera(principal=principal, aspect=aspect)
    render(tiny_mesh, camera, 48).rgb.square().sum().backward()
    for value in (principal, aspect):
        assert bool(torch.isfinite(value.grad).all()) and float(value.grad.abs().max()) > 0


# -- head poses --------------------------------------------------------------------------------------------------------


def test_a_posed_head_is_a_moved_camera(off_centre, tiny_mesh):
    pose = torch.stack((turned(8.0, -25.0, 5.0), turned(-4.0, 30.0, 0.0)))
    shift = torch.tensor([[12.0, -8.0, 30.0], [0.0, 5.0, -20.0]])
    moved = dataclasses.replace(
        tiny_mesh,
        verts=tiny_mesh.verts @ pose.transpose(1, 2) + shift[:, None],
        texture=tiny_mesh.texture.expand(2, -1, -1, -1),
    )
    camera = off_centre.with_head_pose(pose, shift)
    torch.testing.assert_close(
        camera.project(tiny_mesh.verts, SIZE), off_centre.project(moved.verts, SIZE), rtol=1e-4, atol=2e-2
    )
    ours, theirs = render(tiny_mesh, camera, SIZE), render(moved, off_centre, SIZE)
    assert float((ours.rgb - theirs.rgb).abs().mean()) < 1e-3


# -- light per picture -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", ["camera", "world"])
def test_each_picture_has_its_own_harmonics(tiny_mesh, frame):
    cameras = Camera.orbit([0.0, 40.0, -30.0])
    sh = 0.6 * torch.randn(3, 9, 3, generator=torch.Generator().manual_seed(0))
    sh[:, 0] += 2.5
    together = render(tiny_mesh, cameras, 48, Lights(sh=sh, frame=frame))
    for k in range(3):
        alone = render(tiny_mesh, cameras[k], 48, Lights(sh=sh[k], frame=frame))
        torch.testing.assert_close(together[k].rgb, alone.rgb, atol=1e-5, rtol=0)


def test_harmonics_of_many_frames_are_split_with_them(tiny_mesh, monkeypatch):
    """With few frames per chunk of memory, each keeps its own light."""
    from facekit.render import render as module

    cameras = Camera.orbit([0.0, 40.0, -30.0, 10.0, 20.0])
    sh = torch.rand(5, 9, 3, generator=torch.Generator().manual_seed(1))
    whole = render(tiny_mesh, cameras, 32, Lights(sh=sh)).rgb
    monkeypatch.setitem(module.__globals__, "frames_at_once", lambda *_: 2)
    torch.testing.assert_close(render(tiny_mesh, cameras, 32, Lights(sh=sh)).rgb, whole, atol=1e-5, rtol=0)


def test_gradients_reach_each_pictures_harmonics(tiny_mesh):
    sh = torch.full((2, 9, 3), 0.3, requires_grad=True)
    pictures = render(tiny_mesh, Camera.orbit([0.0, 20.0]), 32, Lights(sh=sh)).rgb
    (pictures[0].sum() + 2 * pictures[1].sum()).backward()
    assert float(sh.grad[0].abs().max()) > 0 and float(sh.grad[1].abs().max()) > 0


def test_a_wrong_number_of_harmonics_is_told(tiny_mesh):
    with pytest.raises(InputError, match="3 pictures.*got 2"):
        render(tiny_mesh, Camera.orbit([0.0, 20.0, 40.0]), 16, Lights(sh=torch.zeros(2, 9, 3)))


# -- units -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [0.001, 0.1, 25.4, 1000.0])
@pytest.mark.parametrize("quality", ["standard", "high"])
def test_any_unit_looks_alike(bumpy_face, unit, quality):
    mesh = bumpy_face.mesh
    other = dataclasses.replace(mesh, verts=mesh.verts * unit, displacement=mesh.displacement * unit)
    camera = Camera.three_quarter()
    ours = render(mesh, camera, 96, quality=quality)
    theirs = render(other, camera.scaled(unit), 96, quality=quality)
    assert float((ours.rgb - theirs.rgb).abs().mean()) < 0.5 / 255
    seen = ours.face_ids >= 0
    torch.testing.assert_close(theirs.depth[:, 0][seen] / unit, ours.depth[:, 0][seen], rtol=1e-4, atol=1e-2)


def test_the_default_camera_knows_metres(default_pipeline):
    mesh = default_pipeline(seed=1, detail=False).mesh
    metres = dataclasses.replace(mesh, verts=mesh.verts / 1000)
    ours, theirs = render(mesh, image_size=128), render(metres, image_size=128)
    apart = (ours.rgb - theirs.rgb).abs()
    assert float((apart > 1.5 / 255).float().mean()) < 1e-3, "rounding may move a sample over an edge"


@pytest.mark.parametrize("unit", [0.0005, 1.0, 25.0])
def test_other_meshes_are_fitted(unit):
    mesh = dataclasses.replace(ball(radius=100.0), landmarks=None)
    mesh = dataclasses.replace(mesh, verts=(mesh.verts + 7000.0) * unit)
    covered = float(render(mesh, image_size=64).alpha.mean())
    assert covered == pytest.approx(math.pi / 4 / 1.08**2, abs=0.03)


def test_heads_have_one_unit_and_a_stray_vertex_does_not_change_it(default_pipeline):
    verts = default_pipeline.template.verts[None]
    assert scene_unit(verts) == 1.0
    stray = verts.clone()
    stray[0, 5] = 1e6
    assert scene_unit(stray) == 1.0
    assert scene_unit(verts / 1000) == 2.0**-10
    assert scene_unit(torch.full((1, 4, 3), float("nan"))) == 1.0


# -- colours at vertices -----------------------------------------------------------------------------------------------


def test_vertex_colours_are_shown_without_a_texture(tiny_mesh):
    red = torch.tensor([0.9, 0.1, 0.1])
    colours = red.expand(tiny_mesh.verts.shape[1], 3)
    mesh = dataclasses.replace(tiny_mesh, texture=None, vertex_colors=colours)
    picture = render(mesh, image_size=48, lights="flat")
    inside = picture.alpha[0, 0] == 1
    torch.testing.assert_close(picture.rgb[0][:, inside].mean(1), red, atol=2e-3, rtol=0)
    textured = dataclasses.replace(tiny_mesh, vertex_colors=colours)
    assert torch.equal(render(textured, image_size=48).rgb, render(tiny_mesh, image_size=48).rgb)


def test_gradients_reach_vertex_colours(tiny_mesh):
    colours = torch.full((tiny_mesh.verts.shape[1], 3), 0.5, requires_grad=True)
    render(dataclasses.replace(tiny_mesh, texture=None, vertex_colors=colours), image_size=32).rgb.sum().backward()
    assert float(colours.grad.abs().max()) > 0


def test_bad_vertex_colours_are_told(tiny_mesh):
    with pytest.raises(InputError, match="vertex_colors"):
        dataclasses.replace(tiny_mesh, vertex_colors=torch.zeros(3, 3))
