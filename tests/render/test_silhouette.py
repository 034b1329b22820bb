"""Soft silhouettes: distances, gradients, and fits that converge."""

import dataclasses

import pytest
import torch
import trimesh

from facekit.errors import InputError
from facekit.mesh import FaceMesh
from facekit.render import Camera, render, silhouette
from tests.render.scenes import board

#: One pixel is one millimetre on the plane z = 0, for pictures 64 pixels high.
PLAIN = Camera.front(target=(0.0, 0.0, 0.0), distance=64.0, fov=53.13010235415598)


def egg() -> FaceMesh:
    """A ball without seams and poles, with a nose and a chin, so that all views differ."""
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=90.0)
    verts = torch.tensor(sphere.vertices, dtype=torch.float32)[None]
    nose = torch.exp(-(verts - torch.tensor([0.0, 10.0, 90.0])).square().sum(-1, keepdim=True) / 800.0)
    chin = torch.exp(-(verts - torch.tensor([0.0, -80.0, 50.0])).square().sum(-1, keepdim=True) / 1500.0)
    verts = verts * torch.tensor([0.75, 1.1, 0.9]) + nose * torch.tensor([0.0, 0.0, 30.0]) + chin * 15.0
    faces = torch.tensor(sphere.faces)
    return FaceMesh(verts, faces, torch.zeros(1, 2), torch.zeros_like(faces))


def view(angles: torch.Tensor, distance: torch.Tensor) -> Camera:
    """From azimuth and elevation in radians, with gradients."""
    a, e = angles
    way = torch.stack((torch.sin(a) * torch.cos(e), torch.sin(e), torch.cos(a) * torch.cos(e)))
    return Camera(distance * way, torch.zeros(3), 40.0)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_values_are_logistic_in_the_distance_to_the_outline(sigma):
    found = silhouette(board(30.0), PLAIN, 64, sigma)[0, 0]
    x = (torch.arange(64) - 31.5).abs()[None] - 15.0
    y = (torch.arange(64) - 31.5).abs()[:, None] - 15.0
    outside = torch.sqrt(x.clamp_min(0).square() + y.clamp_min(0).square())
    distance = torch.where(torch.maximum(x, y) < 0, torch.maximum(x, y), outside)
    assert torch.allclose(found, torch.sigmoid(-distance / sigma), atol=1e-3)


def test_sharp_ones_are_coverage_and_inner_edges_do_not_count():
    mesh = egg()
    camera = Camera.orbit([0.0, 35.0, 100.0], 8.0, target=(0.0, 0.0, 0.0), distance=420.0, fov=40.0)
    found, alpha = silhouette(mesh, camera, (80, 64), 0.25), render(mesh, camera, (80, 64)).alpha
    assert found.shape == (3, 1, 80, 64)
    assert float((found - alpha).abs().mean()) < 0.01 and abs(float((found - alpha).mean())) < 2e-3
    inside = torch.nn.functional.max_pool2d(1 - alpha, 7, 1, 3) == 0
    assert float(found[inside].min()) > 0.99


def test_gradients_by_finite_differences():
    base = egg()
    with torch.no_grad():
        other = dataclasses.replace(base, verts=base.verts * 1.1 + 5.0)
        target = silhouette(other, view(torch.tensor([0.5, 0.2]), torch.tensor(420.0)), 48, 1.5)

    def loss(verts, angles, distance):
        found = silhouette(dataclasses.replace(base, verts=verts), view(angles, distance), 48, 1.5)
        return ((found - target) ** 2).sum()

    leaves = [t.clone().requires_grad_() for t in (base.verts, torch.tensor([0.4, 0.1]), torch.tensor(420.0))]
    loss(*leaves).backward()
    ways = (torch.cos(base.verts / 40.0), torch.tensor([1.0, 0.5]), torch.tensor(1.0))
    for k, (step, way) in enumerate(zip((0.2, 0.003, 1.0), ways, strict=True)):
        moved = [leaf.detach() for leaf in leaves]
        values = []
        for sign in (1, -1):
            moved[k] = leaves[k].detach() + sign * step * way
            values.append(float(loss(*moved)))
        measured, given = (values[0] - values[1]) / (2 * step), float((leaves[k].grad * way).sum())
        assert abs(measured - given) < 0.03 * abs(given) + 0.01


def test_a_camera_is_found_from_its_mask():
    mesh, true = egg(), (torch.tensor([0.35, 0.12]), torch.tensor(430.0))
    angles, scale = torch.tensor([0.05, -0.1]).requires_grad_(), torch.tensor(1.15).requires_grad_()
    optimizer = torch.optim.Adam([{"params": [angles], "lr": 0.04}, {"params": [scale], "lr": 0.01}])
    for sigma, steps in ((3.0, 30), (1.0, 30)):
        with torch.no_grad():
            target = silhouette(mesh, view(*true), 40, sigma)
        for _ in range(steps):
            optimizer.zero_grad()
            (silhouette(mesh, view(angles, 430.0 * scale), 40, sigma) - target).square().mean().backward()
            optimizer.step()
    assert float(torch.rad2deg((angles.detach() - true[0]).abs()).max()) < 1.5
    assert abs(float(scale.detach()) - 1.0) < 0.01


def test_a_shape_is_found_from_two_masks():
    base, camera = egg(), view(torch.tensor([0.0, 0.1]), torch.tensor(430.0))
    side = view(torch.tensor([1.4, 0.1]), torch.tensor(430.0))
    verts, true = base.verts, torch.tensor([0.8, 1.15, 0.9])
    scale = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.Adam([scale], betas=(0.8, 0.95))
    with torch.no_grad():
        targets = [silhouette(dataclasses.replace(base, verts=verts * true), c, 40, 2.0) for c in (camera, side)]
    for step in range(40):
        optimizer.param_groups[0]["lr"] = 0.04 * (1 - step / 40)
        optimizer.zero_grad()
        mesh = dataclasses.replace(base, verts=verts * scale)
        loss = sum(
            (silhouette(mesh, c, 40, 2.0) - t).square().mean() for c, t in zip((camera, side), targets, strict=True)
        )
        loss.backward()
        optimizer.step()
    assert float((scale.detach() - true).abs().max()) < 0.01


def test_hard_cases_are_finite_with_finite_gradients():
    verts = torch.tensor([[[-500.0, -10, 200], [500, -10, 200], [0, -10, -4000], [0, 300, -900]]]).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [0, 1, 1], [0, 2, 3]])
    mesh = dataclasses.replace(board(), verts=verts, faces=faces, faces_uvs=faces.clamp_max(3))
    cameras = Camera(torch.zeros(3, 3), torch.tensor([[0.0, 0, -1], [0.0, 0, 1], [0.0, -1, 0]]), 90.0, near=30.0)
    found = silhouette(mesh, cameras, 32)
    found.sum().backward()
    assert bool(torch.isfinite(found).all()) and bool(torch.isfinite(verts.grad).all())
    assert 0.0 < float(found[0].detach().mean()) < 1.0
    for away in (board(1e5), dataclasses.replace(board(), verts=board().verts + 1e4)):
        assert float(silhouette(away, PLAIN, 16).unique()) in (0.0, 1.0)
    for sigma in (0.0, float("inf")):
        with pytest.raises(InputError):
            silhouette(board(), PLAIN, 16, sigma)
    with pytest.raises(InputError):
        silhouette(dataclasses.replace(board(), verts=board().verts.repeat(2, 1, 1)), cameras, 16)
