"""Light as spherical harmonics: against sums over the sphere, and recovered from a picture."""

import dataclasses
import math

import pytest
import torch

from facekit.errors import InputError
from facekit.render import Camera, Lights, render
from facekit.render.harmonics import basis, irradiance, project
from tests.render.scenes import ball, board
from tests.render.test_shading import smooth

FACING = {"target": (0.0, 0.0, 0.0), "distance": 260.0, "fov": 50.0}


def sphere(height: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions (3, P) of a panorama's pixels and their solid angles (P,)."""
    down, around = torch.meshgrid(
        (torch.arange(height) + 0.5) * math.pi / height,
        ((torch.arange(2 * height) + 0.5) / height - 1) * math.pi,
        indexing="ij",
    )
    way = torch.stack((torch.sin(down) * torch.sin(around), torch.cos(down), torch.sin(down) * torch.cos(around)))
    return way.view(3, -1), (torch.sin(down) * (math.pi / height) ** 2).reshape(-1)


def sky(way: torch.Tensor) -> torch.Tensor:
    """A smooth environment, (3, P): warm from the subject's left, blue from above."""
    warm, blue = (way[0].clamp_min(0) ** 2), (0.5 + 0.5 * way[1])
    return torch.stack((0.2 + warm, 0.2 + 0.6 * warm + 0.3 * blue, 0.2 + 0.8 * blue))


def test_functions_are_orthonormal():
    way, solid = sphere()
    rows = basis(way)
    assert torch.allclose((rows * solid) @ rows.t(), torch.eye(9), atol=2e-3)


def test_what_comes_back_is_the_integral_over_the_hemisphere():
    way, solid = sphere()
    light = sky(way)
    sh = project(light.view(3, 64, 128))
    normals = torch.nn.functional.normalize(torch.randn(3, 40, generator=torch.Generator().manual_seed(0)), dim=0)
    exact = (light * solid) @ (way.t() @ normals).clamp_min(0) / math.pi
    assert float((irradiance(sh, normals) / exact - 1).abs().max()) < 0.02
    even = project(torch.full((3, 64, 128), 0.7))
    assert torch.allclose(irradiance(even, normals), torch.full((3, 40), 0.7), atol=1e-3)
    assert float(even[1:].abs().max()) < 1e-3


def test_a_ball_is_bright_where_the_light_comes_from_and_world_light_stays():
    sh = project(sky(sphere()[0]).view(3, 64, 128))
    mesh = ball(texture=0.5 * torch.ones(1, 3, 8, 8))
    front, side = Camera.front(**FACING), Camera.orbit(90.0, **FACING)
    for frame in ("camera", "world"):
        lights = Lights(sh=sh, frame=frame)
        one = render(mesh, front, 48, lights=lights).rgb[0]
        assert float(one[0, 24, 38]) > float(one[0, 24, 10]) + 0.05  # warm from the image right
        assert float(one[2, 10, 24]) > float(one[2, 38, 24]) + 0.05  # blue from above
        two = render(mesh, side, 48, lights=lights).rgb[0]
        assert (float(two[0, 24, 24]) > float(one[0, 24, 24]) + 0.05) is (frame == "world")
        both = render(mesh, Camera.orbit([0.0, 90.0], **FACING), 48, lights=lights).rgb
        assert torch.allclose(both, torch.stack((one, two)), atol=1e-4)


def test_light_is_recovered_from_a_picture():
    mesh, camera = ball(texture=0.5 * torch.ones(1, 3, 8, 8), rings=12), Camera.front(**FACING)
    true = 0.8 * project(sky(sphere()[0]).view(3, 64, 128))
    target = render(mesh, camera, 24, lights=Lights(sh=true)).rgb
    sh = torch.zeros(9, 3)
    sh[0] = 1.0
    sh.requires_grad_()
    optimizer = torch.optim.Adam([sh], lr=0.1)
    for step in range(50):
        optimizer.param_groups[0]["lr"] = 0.15 * (1 - step / 50)
        optimizer.zero_grad()
        (render(mesh, camera, 24, lights=Lights(sh=sh)).rgb - target).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert float((render(mesh, camera, 24, lights=Lights(sh=sh)).rgb - target).abs().max()) < 0.02


def test_gradients_to_the_camera():
    mesh, weights = board(400.0, texture=smooth(32)), torch.randn(1, 3, 24, 24)
    leaves = [torch.tensor([10.0, -5.0, 150.0]).requires_grad_(), torch.tensor([35.0]).requires_grad_()]

    def loss(position, fov):
        camera = Camera(position, torch.zeros(3), fov)
        return (render(mesh, camera, 24, lights="flat").rgb * weights).sum()

    loss(*leaves).backward()
    for k, (step, way) in enumerate(((0.5, torch.tensor([1.0, 0.5, -0.3])), (0.2, torch.ones(1)))):
        with torch.no_grad():
            ends = [loss(*(t + (sign * step * way if i == k else 0) for i, t in enumerate(leaves))) for sign in (1, -1)]
        measured, given = float(ends[0] - ends[1]) / (2 * step), float((leaves[k].grad * way).sum())
        assert abs(measured - given) < 0.05 * abs(given) + 2e-3


def test_wrong_coefficients_are_refused_and_equality_looks_at_the_rest():
    for wrong in (torch.zeros(4, 3), torch.full((9, 3), float("nan"))):
        with pytest.raises(InputError, match="9, 3"):
            Lights(sh=wrong)
    with pytest.raises(InputError, match="panorama"):
        project(torch.zeros(1, 3, 4, 8))
    lights = Lights(sh=[[0.5, 0.5, 0.5]] * 9)
    assert lights.sh.shape == (9, 3) and dataclasses.replace(lights, frame="world").sh is lights.sh
