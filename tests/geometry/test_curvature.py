"""Mean curvature of spheres, saddles and bumps."""

from __future__ import annotations

import pytest
import torch
import trimesh

from facekit.geometry.curvature import mean_curvature
from facekit.geometry.strain import StrainGraph


def curvature(verts: torch.Tensor, faces: torch.Tensor, rounds: int = 0) -> torch.Tensor:
    graph = StrainGraph.of(faces, len(verts))
    return graph.smooth(mean_curvature(verts, faces, graph)[None], rounds)[0]


@pytest.mark.parametrize("radius", [0.5, 10.0, 80.0])
def test_a_sphere_has_that_of_its_radius(radius):
    ball = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    verts, faces = torch.tensor(ball.vertices, dtype=torch.float32), torch.tensor(ball.faces)
    found = curvature(verts, faces)
    torch.testing.assert_close(found, torch.full_like(found, 1 / radius), rtol=0.08, atol=0)
    torch.testing.assert_close(curvature(verts, faces.flip(1)), -found)


def test_hollows_are_negative_and_smoothing_spreads_them():
    side = torch.linspace(-20, 20, 81)
    y, x = torch.meshgrid(side, side, indexing="ij")
    z = -3 * torch.exp(-(x.square() + y.square()) / (2 * 4.0**2))
    verts = torch.stack((x, y, z), dim=-1).view(-1, 3)
    at = torch.arange(80)[:, None] * 81 + torch.arange(80)
    first, second = torch.stack((at, at + 1, at + 82), -1), torch.stack((at, at + 82, at + 81), -1)
    faces = torch.cat((first.view(-1, 3), second.view(-1, 3)))
    sharp, smooth = (curvature(verts, faces, rounds).view(81, 81) for rounds in (0, 8))
    # In the middle of a Gaussian, both principal curvatures are its depth by the square of its width.
    assert float(sharp[40, 40]) == pytest.approx(-3 / 4.0**2, rel=0.05)
    assert float(sharp[40, 60]) > 0 > float(sharp[40, 42])
    assert float(sharp[40, 40]) < float(smooth[40, 40]) < 0
    assert float(sharp[2:8, 2:8].abs().max()) < 1e-3


def test_vertices_without_faces_have_none():
    verts = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
    assert curvature(verts, torch.tensor([[0, 1, 2]]), 3).tolist() == [0.0] * 4
