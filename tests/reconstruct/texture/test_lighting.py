"""The renderer's lighting equation, and its inverse."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from facekit.color import srgb_to_linear
from facekit.mesh import FaceMesh
from facekit.reconstruct.texture.lighting import Geometry, KeyLight, luminances, untone
from facekit.render import Camera, render
from facekit.render.materials import MATERIALS
from facekit.render.shading import tone
from tests.conftest import sphere


def points(count: int = 500) -> Geometry:
    g = torch.Generator().manual_seed(3)
    normal = F.normalize(torch.randn(3, count, generator=g) * torch.tensor([[1.0], [1.0], [0.3]]), dim=0)
    normal[2] = normal[2].abs()
    view = F.normalize(normal + 0.5 * torch.randn(3, count, generator=g), dim=0)
    view = torch.where((view * normal).sum(0) < 0.1, normal, view)
    occlusion = 0.4 + 0.6 * torch.rand(count, generator=g)
    rest = torch.tensor(MATERIALS["skin"][:3])[:, None].expand(3, count)
    return Geometry(normal, view, normal, torch.cat((occlusion[None], rest)))


def a_light() -> KeyLight:
    sh = torch.zeros(9, 3)
    sh[0], sh[1], sh[6] = torch.tensor([1.6, 1.5, 1.3]), 0.3, 0.1
    return KeyLight(sh, torch.tensor([-0.6, 0.9, 1.5]), torch.tensor([0.4, 0.38, 0.35]))


def test_the_shoulder_is_taken_off():
    values = torch.linspace(0, 1.8, 200)
    torch.testing.assert_close(untone(tone(values)), values, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("level", [0.03, 0.2, 0.6])
def test_albedo_comes_back(level):
    at, light = points(), a_light()
    albedo = level * (0.7 + 0.6 * torch.rand(3, 500, generator=torch.Generator().manual_seed(1)))
    back = light.terms(at).invert(untone(light.predict(albedo, at)))
    torch.testing.assert_close(back, albedo, atol=2e-3, rtol=5e-3)


def test_a_picture_without_colour_gets_that_of_the_skin():
    at, light = points(), a_light()
    albedo = 0.3 * (0.7 + 0.6 * torch.rand(3, 500, generator=torch.Generator().manual_seed(1)))
    seen = untone(light.predict(albedo, at))
    torch.testing.assert_close(
        light.terms(at).coloured(luminances(seen).expand(3, -1), albedo), seen, atol=2e-3, rtol=5e-3
    )


def test_it_is_the_renderers_own_equation():
    """A sphere rendered with these lights looks as predicted at its pixels."""
    light = a_light()
    mesh: FaceMesh = sphere(rings=60, columns=80, texture_size=8)
    texture = torch.tensor([0.7, 0.5, 0.4])[None, :, None, None].expand(1, 3, 8, 8).contiguous()
    mesh = FaceMesh(mesh.verts, mesh.faces, mesh.uvs, mesh.faces_uvs, texture)
    camera = Camera.front(distance=900.0)
    seen = render(mesh, camera, 96, lights=light.lights(), background="transparent")
    y, x = (seen.alpha[0, 0] > 0.999).nonzero().T
    normal, depth = seen.normals[0][:, y, x], seen.depth[0, 0][y, x]
    fx, fy, cx, cy = camera.intrinsics(96)[0].tolist()
    ray = torch.stack(((x + 0.5 - cx) / fx, (cy - y - 0.5) / fy, -torch.ones(len(x))))
    view = F.normalize(-ray * depth, dim=0)
    skin = torch.tensor((1.0, *MATERIALS["skin"][:3]))[:, None].expand(4, len(x))
    albedo = srgb_to_linear(torch.tensor([0.7, 0.5, 0.4]))[:, None].expand(3, len(x))
    middle = camera.view(mesh.verts)[0].mean(0)
    outward = F.normalize(ray * depth - middle[:, None], dim=0)
    predicted = light.predict(albedo, Geometry(normal, view, outward, skin))
    off = (predicted - srgb_to_linear(seen.rgb[0][:, y, x])).abs()
    assert float(off.mean()) < 0.003
    assert float(off.quantile(0.99)) < 0.02


def test_lights_without_a_lamp_have_none():
    light = KeyLight(a_light().sh, torch.tensor([0.0, 1.0, 0.0]), torch.full((3,), 1e-4))
    assert light.lights().lights == ()
    assert a_light().lights().lights[0].strength == pytest.approx(0.3767, abs=1e-3)
