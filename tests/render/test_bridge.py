"""Conversion to PyTorch3D and back, and its renderer against ours."""

import dataclasses

import pytest
import torch

from facekit.errors import InputError, MissingDependencyError
from facekit.geometry.uv import sample_texture
from facekit.mesh import FaceMesh
from facekit.render import Camera, render
from facekit.render.bridge import pytorch3d
from facekit.render.samples import edges
from tests.render.scenes import ball


@pytest.fixture
def renderer():
    return pytest.importorskip("pytorch3d.renderer", reason="PyTorch3D is not installed")


def test_without_it_the_error_names_the_way():
    with pytest.raises(MissingDependencyError, match="facekit doctor"):
        pytorch3d("pytorch3d.nothing_of_that_name")


@pytest.mark.parametrize("size", [(96, 80), (50, 120)])
def test_cameras_put_points_where_ours_do_and_come_back(renderer, size):
    camera = Camera(
        torch.tensor([[300.0, 100.0, 700.0], [-500.0, 20.0, 100.0]]), fov=torch.tensor([22.0, 60.0]), up=(0.2, 1.0, 0.1)
    )
    points = 100 * torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    theirs, ours = camera.to_pytorch3d(size), camera.project(points, size)
    assert torch.allclose(theirs.transform_points_screen(points)[..., :2], ours[..., :2], atol=2e-3)
    assert torch.allclose(
        theirs.get_world_to_view_transform().transform_points(points)[..., 2], ours[..., 2], rtol=1e-5
    )
    back = Camera.from_pytorch3d(theirs, size)
    assert torch.allclose(back.rotation(), camera.rotation(), atol=1e-5)
    assert torch.allclose(back.position, camera.position, atol=1e-2) and torch.allclose(back.fov, camera.fov, atol=1e-3)


def test_their_own_kinds_of_cameras_come_over(renderer):
    rotation, shift = renderer.look_at_view_transform(dist=500.0, elev=20.0, azim=30.0)
    points = 100 * torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0))
    for theirs in (
        renderer.FoVPerspectiveCameras(R=rotation, T=shift, fov=40.0),
        renderer.PerspectiveCameras(R=rotation, T=shift, focal_length=2.5),
    ):
        ours = Camera.from_pytorch3d(theirs, 64).project(points, 64)[..., :2]
        assert torch.allclose(ours, theirs.transform_points_screen(points, image_size=((64, 64),))[..., :2], atol=1e-2)
    for wrong in (
        renderer.FoVOrthographicCameras(R=rotation, T=shift),
        renderer.PerspectiveCameras(R=rotation, T=shift, focal_length=((2.0, 3.0),)),
        renderer.PerspectiveCameras(R=rotation, T=shift, principal_point=((0.3, 0.0),)),
    ):
        with pytest.raises(InputError):
            Camera.from_pytorch3d(wrong, 64)


def test_meshes_come_back_as_they_went(renderer, tiny_sweep):
    mesh = tiny_sweep.mesh[:3]
    meshes = mesh.to_pytorch3d()
    back = FaceMesh.from_pytorch3d(meshes, like=mesh)
    for field in dataclasses.fields(FaceMesh):
        ours, theirs = getattr(mesh, field.name), getattr(back, field.name)
        assert ours is theirs is None or torch.equal(ours, theirs), field.name
    bare = FaceMesh.from_pytorch3d(dataclasses.replace(mesh, texture=None).to_pytorch3d())
    assert bare.texture is None and bare.ao is None and torch.equal(bare.faces, mesh.faces)
    with pytest.raises(InputError, match="topology"):
        FaceMesh.from_pytorch3d(meshes, like=ball())
    meshes.textures = renderer.TexturesVertex(torch.rand(3, mesh.verts.shape[1], 3))
    with pytest.raises(InputError, match="TexturesUV"):
        FaceMesh.from_pytorch3d(meshes)


def test_textures_with_aligned_corners_keep_their_places(renderer, tiny_mesh):
    meshes = tiny_mesh.to_pytorch3d()
    meshes.textures = renderer.TexturesUV(
        meshes.textures.maps_padded(), tiny_mesh.faces_uvs[None], tiny_mesh.uvs[None], align_corners=True
    )
    back = FaceMesh.from_pytorch3d(meshes)
    place = torch.stack((2 * tiny_mesh.uvs[:, 0] - 1, 1 - 2 * tiny_mesh.uvs[:, 1]), -1)
    theirs = torch.nn.functional.grid_sample(tiny_mesh.texture, place[None, None], align_corners=True)[0, :, 0]
    assert torch.allclose(sample_texture(back.texture, back.uvs)[0].t(), theirs, atol=1e-5)


def test_their_renderer_makes_our_picture_with_our_gradients(renderer):
    # Under 8 texels a texture has no halved copies: then both sample it in the same way.
    texture = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(1))
    mesh, size = ball(texture=texture, rings=24), (64, 56)
    camera = Camera.orbit(35.0, 15.0, target=(5.0, 0.0, 0.0), distance=420.0, fov=30.0)
    weights = torch.randn(1, *size, 3, generator=torch.Generator().manual_seed(2))
    ours_verts, their_verts = (mesh.verts.clone().requires_grad_() for _ in range(2))

    ours = render(dataclasses.replace(mesh, verts=ours_verts), camera, size, lights="flat", background=(0.0, 0.0, 0.0))
    cameras = camera.to_pytorch3d(size)
    settings = renderer.RasterizationSettings(image_size=size, perspective_correct=True)
    shader = renderer.HardPhongShader(
        cameras=cameras,
        lights=renderer.AmbientLights(ambient_color=((1.0, 1.0, 1.0),)),
        blend_params=renderer.BlendParams(background_color=(0.0, 0.0, 0.0)),
    )
    fragments = renderer.MeshRasterizer(cameras, settings)(
        meshes := dataclasses.replace(mesh, verts=their_verts).to_pytorch3d()
    )
    theirs, seen = shader(fragments, meshes), fragments.pix_to_face[..., 0] >= 0

    assert torch.equal(ours.face_ids >= 0, seen)
    depth, zbuf = (t.detach()[seen] for t in (ours.depth[:, 0], fragments.zbuf[..., 0]))
    assert float(((depth - zbuf).abs() / zbuf).quantile(0.99)) < 1e-5
    once = seen & ~edges(ours.depth[:, 0].detach(), 1.0 / camera.focal(size[0]))
    assert int(once.sum()) > 700
    mine = ours.rgb.permute(0, 2, 3, 1)
    assert float((mine - theirs[..., :3]).detach().abs()[once].mean()) < 0.01 / 255
    (mine * weights)[once].sum().backward()
    (theirs[..., :3] * weights)[once].sum().backward()
    assert float(torch.cosine_similarity(ours_verts.grad.flatten(), their_verts.grad.flatten(), dim=0)) > 0.999
