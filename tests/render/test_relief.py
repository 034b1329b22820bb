"""Displacement in the shading: normals against displaced triangles, signs, levels of detail, gradients."""

import dataclasses
import math

import pytest
import torch

from facekit.geometry.uv import slopes
from facekit.render import Camera, render
from facekit.render.relief import relief_of, uv_gradients
from tests.render.scenes import ball, board

FACING = {"target": (0.0, 0.0, 0.0), "distance": 260.0, "fov": 50.0}


def waves(uv: torch.Tensor) -> torch.Tensor:
    """Heights in mm, flat at the poles, where the UVs of a ball of 90 mm have no direction."""
    u, v = uv.unbind(-1)
    return 2.0 * torch.sin(14 * math.pi * u) * torch.sin(10 * math.pi * v) * torch.sin(math.pi * v)


def grid(size: int) -> torch.Tensor:
    """The UV of each texel's centre."""
    step = (torch.arange(size) + 0.5) / size
    v, u = torch.meshgrid(step.flip(0), step, indexing="ij")
    return torch.stack((u, v), -1)


def between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(torch.acos((a * b).sum(1).clamp(-1, 1)))


@pytest.mark.parametrize("quality", ["standard", "high"])
def test_normals_are_those_of_displaced_triangles(quality):
    coarse, dense = ball(rings=40), ball(rings=200)
    unit = dense.verts / 90.0
    dense = dataclasses.replace(dense, verts=dense.verts + waves(dense.uvs)[None, :, None] * unit)
    bumpy = dataclasses.replace(coarse, displacement=waves(grid(512))[None, None])
    camera = Camera.orbit(20.0, 10.0, **FACING)
    flat, bent, true = (render(mesh, camera, 128, quality=quality).normals for mesh in (coarse, bumpy, dense))
    inside = flat[:, 2] > 0.6  # where the ball does not hide its own waves
    before, after = between(flat, true)[inside], between(bent, true)[inside]
    assert float(before.mean()) > 6.0
    assert float(after.mean()) < 1.5 and float(after.quantile(0.99)) < 6.0


def test_slopes_are_exact_on_a_facet_whatever_its_uvs():
    # A ramp of 0.5 mm a mm toward +X, on a board whose UVs are stretched, sheared or mirrored.
    base = board(100.0)
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=150.0, fov=30.0)
    expected = torch.nn.functional.normalize(torch.tensor([-0.5, 0.0, 1.0]), dim=0)
    for turn in (
        [[1.0, 0.0], [0.0, 1.0]],
        [[0.3, 0.0], [0.0, 1.0]],
        [[-1.0, 0.0], [0.0, 1.0]],
        [[0.6, 0.3], [-0.2, 0.5]],
    ):
        turn = torch.tensor(turn)
        uvs = (base.uvs - 0.5) @ turn + 0.5
        # Height as a function of UV: 50 mm a unit of the plain UV's u.
        heights = 50.0 * ((grid(128) - 0.5) @ torch.linalg.inv(turn))[..., 0]
        mesh = dataclasses.replace(base, uvs=uvs, displacement=heights[None, None])
        normal = render(mesh, camera, 33).normals[0, :, 16, 16]
        assert torch.allclose(normal, expected, atol=2e-3)


def test_slopes_of_sines_are_right_down_to_six_texels():
    for period, tolerance in ((32, 0.001), (8, 0.015), (6, 0.04)):
        phase = 2 * math.pi * (torch.arange(96) + 0.5) / period
        along, up = slopes(torch.sin(phase).expand(1, 1, 96, 96))[0, :, 48, 8:-8]
        exact = 96 * (2 * math.pi / period) * torch.cos(phase)[8:-8]
        assert float((along - exact).abs().max()) < tolerance * float(exact.abs().max()) and float(up.abs().max()) == 0
        turned = slopes(torch.sin(phase)[:, None].expand(1, 1, 96, 96))[0, 1, 8:-8, 48]
        assert torch.allclose(turned, -along, atol=1e-3)  # rows run down, v runs up


def test_a_bump_is_lit_from_above_and_dark_below_and_a_dent_the_other_way():
    spot = (grid(128) - 0.5).square().sum(-1)
    bump = 6.0 * torch.exp(-spot / 0.02)[None, None]
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=200.0, fov=30.0)
    flat = render(board(), camera, 64).rgb.mean(1)
    for heights, sign in ((bump, 1.0), (-bump, -1.0)):
        change = render(board(displacement=heights), camera, 64).rgb.mean(1) - flat
        above, below = change[0, 12:30, 24:40].mean(), change[0, 34:52, 24:40].mean()
        assert sign * float(above - below) > 0.02
    seen_from_behind = Camera.orbit(180.0, target=(0.0, 0.0, 0.0), distance=200.0, fov=30.0)
    # A bump is a dent from behind: the upper half of it leans down there.
    normals = render(board(displacement=bump), seen_from_behind, 64).normals[0]
    assert float(normals[1, 20:30, 30:34].mean()) < -0.1 and float(normals[1, 34:44, 30:34].mean()) > 0.1


def test_hollows_are_darker_than_what_is_flat():
    spot = (grid(512) - 0.5).square().sum(-1)
    hole = -1.0 * torch.exp(-spot / (2 * 0.004**2))[None, None]
    hollow = relief_of(hole).image[0, 2, :, :512]
    assert 0.5 < float(hollow[256, 256]) <= 1.0 and float(hollow[:200].max()) == 0.0
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=40.0, fov=20.0)
    plain, holed = (render(board(displacement=d), camera, 65, lights="daylight").rgb for d in (hole * 0, hole))
    assert float((holed - plain)[0, :, 32, 32].mean()) < -0.02


def test_far_away_fine_noise_averages_out_and_steep_noise_stays_finite():
    noise = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    mesh = board(displacement=0.5 * noise)
    near, far = (
        render(mesh, Camera.front(target=(0.0, 0.0, 0.0), distance=d, fov=20.0), 64).normals for d in (100.0, 4000.0)
    )
    assert float(near[0, 2].mean()) < 0.95
    assert float(far[0, 2][far[0, 2] > 0].min()) > 0.99
    for scale in (1e3, 1e30):
        picture = render(board(displacement=scale * noise), Camera.orbit(70.0, **FACING), 48)
        covered = picture.face_ids >= 0
        assert torch.allclose(picture.normals.norm(dim=1), covered.float(), atol=1e-4)
        assert bool(((picture.rgb > -1e-6) & (picture.rgb <= 1)).all())


def test_without_relief_zero_relief_and_the_shape_of_batches():
    mesh = ball(texture=torch.rand(1, 3, 32, 32))
    camera = Camera.front(**FACING)
    plain = render(mesh, camera, 48)
    zero = render(dataclasses.replace(mesh, displacement=torch.zeros(1, 1, 16, 16)), camera, 48)
    assert torch.allclose(plain.rgb, zero.rgb, atol=1e-5) and torch.allclose(plain.normals, zero.normals, atol=1e-5)
    batch = dataclasses.replace(mesh, verts=mesh.verts.repeat(3, 1, 1), texture=mesh.texture.repeat(3, 1, 1, 1))
    one = 0.02 * torch.randn(1, 1, 64, 64)
    shared, copied = one.expand(3, -1, -1, -1), one.repeat(3, 1, 1, 1)
    assert len(relief_of(shared).image) == 1 and len(relief_of(copied).image) == 3
    pictures = [render(dataclasses.replace(batch, displacement=d), camera, 48).rgb for d in (shared, copied)]
    assert torch.allclose(*pictures, atol=1e-4)
    copied[1] = 0.0
    mixed = render(dataclasses.replace(batch, displacement=copied), camera, 48).rgb
    assert torch.allclose(mixed[1], plain.rgb[0], atol=1e-4) and torch.allclose(mixed[2], pictures[0][0], atol=1e-4)


def test_gradients_to_the_displacement_by_finite_differences():
    torch.manual_seed(0)
    heights = torch.nn.functional.interpolate(torch.randn(1, 1, 8, 8), size=(32, 32), mode="bicubic").requires_grad_()
    camera, weights = Camera.front(target=(0.0, 0.0, 0.0), distance=125.0, fov=40.0), torch.randn(1, 3, 24, 24)

    def loss(displacement):
        return (render(board(250.0, displacement=displacement), camera, 24).rgb * weights).sum()

    loss(heights).backward()
    way = torch.randn_like(heights)
    with torch.no_grad():
        measured = (loss(heights + 0.01 * way) - loss(heights - 0.01 * way)) / 0.02
    given = (heights.grad * way).sum()
    assert abs(float(measured - given)) < 0.05 * abs(float(given)) + 1e-2


def test_gradients_of_u_and_v_are_dual_to_the_edges():
    b, c, along, across = torch.randn(3, 50), torch.randn(3, 50), torch.randn(2, 50), torch.randn(2, 50)
    rows = uv_gradients(b, c, along, across)
    for k in (0, 1):
        slope = rows[3 * k : 3 * k + 3]
        assert torch.allclose((slope * b).sum(0), along[k], atol=1e-3)
        assert torch.allclose((slope * c).sum(0), across[k], atol=1e-3)
    assert bool((uv_gradients(b, b, along, across) == 0).all())
