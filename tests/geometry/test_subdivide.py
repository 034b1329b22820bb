"""Splitting triangles: topology, order, and the smooth surface through the vertices."""

from __future__ import annotations

import pytest
import torch

from facekit.geometry.normals import vertex_normals
from facekit.geometry.subdivide import Subdivision, levels, phong_rows, phong_surface

trimesh = pytest.importorskip("trimesh")


def ball(level: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """A closed sphere of radius 50: vertices (1, V, 3) float64 and faces."""
    shape = trimesh.creation.icosphere(subdivisions=level, radius=50.0)
    return torch.tensor(shape.vertices)[None], torch.tensor(shape.faces)


def refined(verts: torch.Tensor, normals: torch.Tensor, faces: torch.Tensor, level: int):
    """The smooth surface after ``level`` splits."""
    rows = phong_rows(verts, normals).flatten(0, 1)
    meshes, fine = levels(Subdivision.of(faces, verts.shape[1]), level)
    for mesh in meshes:
        rows = mesh.midpoints(rows)
    return *phong_surface(rows.view(15, len(verts), -1)), fine


def test_edges_and_sides_agree_at_every_level(tiny_mesh):
    mesh = Subdivision.of(tiny_mesh.faces, tiny_mesh.verts.shape[1])
    for level in range(3):
        assert mesh.counts(0) == (mesh.vertices, len(mesh.faces))
        ends = torch.stack((mesh.faces, mesh.faces.roll(-1, 1)), dim=-1)
        assert torch.equal(mesh.edges[mesh.sides].sort(-1).values, ends.sort(-1).values), level
        assert len(mesh.edges.sort(-1).values.unique(dim=0)) == len(mesh.edges)
        assert mesh.sides.unique().numel() == len(mesh.edges)
        finer = mesh.split()
        assert finer.counts(0) == mesh.counts(1)
        assert torch.equal(finer.faces, mesh.split_faces())
        mesh = finer


def test_counts_are_those_that_come(tiny_mesh):
    mesh = Subdivision.of(tiny_mesh.faces, tiny_mesh.verts.shape[1])
    _, faces = levels(mesh, 3)
    assert mesh.counts(3) == (int(faces.max()) + 1, len(faces))
    assert levels(mesh, 0)[1] is mesh.faces


def test_a_flat_piece_keeps_its_area_and_side():
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    rows = torch.tensor([[0.0, 4, 5, 1], [0, 0, 3, 3]])
    meshes, fine = levels(Subdivision.of(faces, 4), 2)
    for mesh in meshes:
        rows = mesh.midpoints(rows)
    a, b, c = (rows[:, corner] for corner in fine.t())
    area = (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]
    assert torch.allclose(area, area.new_tensor(24.0 / 32))


def test_vertices_keep_index_and_place():
    verts, faces = ball()
    places, _, _ = refined(verts, vertex_normals(verts, faces), faces, 2)
    assert torch.allclose(places[:, : verts.shape[1]], verts, atol=1e-12)


def test_what_is_closed_stays_closed():
    verts, faces = ball()
    places, _, fine = refined(verts, vertex_normals(verts, faces), faces, 3)
    shape = trimesh.Trimesh(places[0].numpy(), fine.numpy(), process=False)
    assert shape.is_watertight and shape.is_winding_consistent
    assert shape.euler_number == 2
    assert len(shape.faces) == 64 * len(faces) and len(shape.vertices) == places.shape[1]


def test_a_ball_becomes_rounder():
    verts, faces = ball()
    places, normals, _ = refined(verts, vertex_normals(verts, faces), faces, 3)
    flat, _, _ = refined(verts, torch.zeros_like(verts), faces, 3)  # without normals points stay on the triangles
    off = [float((p.norm(dim=-1) - 50).abs().mean()) for p in (places, flat)]
    assert off[0] < 0.1 * off[1]
    assert float((normals * places / places.norm(dim=-1, keepdim=True)).sum(-1).min()) > 0.99


def test_an_edge_knows_its_ends_only():
    verts, faces = ball()
    normals = vertex_normals(verts, faces)
    before, _, _ = refined(verts, normals, faces, 1)
    other = normals.clone()
    other[:, 0] = other[:, 0].flip(-1)
    after, _, _ = refined(verts, other, faces, 1)
    moved = (before - after).norm(dim=-1)[0] > 1e-9
    mesh = Subdivision.of(faces, verts.shape[1])
    assert torch.equal(moved[verts.shape[1] :], (mesh.edges == 0).any(1))


def test_moving_the_mesh_moves_the_surface():
    verts, faces = ball()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.sign(torch.linalg.det(turn))
    shift = torch.tensor([100.0, -30.0, 7.0], dtype=torch.float64)
    places, _, _ = refined(verts, vertex_normals(verts, faces), faces, 2)
    moved = verts @ turn.T + shift
    again, _, _ = refined(moved, vertex_normals(moved, faces), faces, 2)
    assert torch.allclose(again, places @ turn.T + shift, atol=1e-9)


def test_gradients():
    verts, faces = ball(0)
    verts = verts.clone().requires_grad_()

    def surface(v: torch.Tensor) -> torch.Tensor:
        return refined(v, vertex_normals(v, faces), faces, 1)[0]

    assert torch.autograd.gradcheck(surface, (verts,))
