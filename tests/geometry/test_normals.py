"""Vertex normals: correct, unit, finite, differentiable."""

import pytest
import torch

from facekit.geometry.normals import vertex_normals


def icosphere(radius: float = 80.0, steps: int = 3):
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=steps, radius=radius)
    return torch.tensor(ball.vertices, dtype=torch.float32)[None], torch.tensor(ball.faces, dtype=torch.int64)


def test_sphere_normals_point_outward():
    verts, faces = icosphere()
    normals = vertex_normals(verts, faces)
    outward = verts / verts.norm(dim=-1, keepdim=True)
    assert float((normals * outward).sum(-1).min()) > 0.999


def test_matches_a_plain_loop_weighted_by_area():
    torch.manual_seed(0)
    verts, faces = torch.randn(2, 30, 3), torch.randint(0, 30, (50, 3))
    expected = torch.zeros_like(verts)
    for b in range(2):
        for i, j, k in faces.tolist():
            cross = torch.linalg.cross(verts[b, j] - verts[b, i], verts[b, k] - verts[b, i])
            for v in (i, j, k):
                expected[b, v] += cross
    used = expected.norm(dim=-1) > 1e-6
    expected = torch.nn.functional.normalize(expected, dim=-1)
    assert torch.allclose(vertex_normals(verts, faces)[used], expected[used], atol=1e-4)


def test_batch_equals_single_and_gradient_path_equals_plain_path():
    verts, faces = icosphere(steps=1)
    batch = torch.cat((verts, verts * 1.5 + 3.0, verts[..., [1, 2, 0]]))
    together = vertex_normals(batch, faces)
    for b in range(3):
        assert torch.allclose(together[b : b + 1], vertex_normals(batch[b : b + 1], faces), atol=1e-6)
    assert torch.allclose(vertex_normals(batch.clone().requires_grad_(), faces), together, atol=1e-6)


@pytest.mark.parametrize("case", ["unused", "degenerate"])
def test_undefined_normals_are_finite_units_with_finite_gradients(case):
    verts = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [6, 6, 6]]], requires_grad=True)
    faces = torch.tensor([[0, 1, 2]] if case == "unused" else [[0, 1, 2], [3, 3, 4]])
    normals = vertex_normals(verts, faces)
    assert torch.allclose(normals.norm(dim=-1), torch.ones(1, 5))
    (normals * torch.arange(3.0)).sum().backward()
    assert bool(torch.isfinite(verts.grad).all())


def test_gradient_by_finite_differences():
    verts, faces = icosphere(radius=1.0, steps=0)
    verts = verts.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), (verts,), atol=1e-5)
