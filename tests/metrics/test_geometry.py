"""Displacement between surfaces, regions, wrinkle amplitude."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.conventions import PARTS
from facekit.detail import FaceDetail
from facekit.errors import InputError
from facekit.metrics.geometry import (
    displacement_map,
    face_texels,
    face_vertices,
    landmark_regions,
    surface_points,
    vertex_displacement,
    wrinkle_amplitude,
)


def moved(mesh, by):
    return dataclasses.replace(mesh, verts=mesh.verts + torch.tensor(by))


def raised(mesh, height: float):
    return dataclasses.replace(mesh, displacement=torch.full((1, 1, 32, 32), height))


def test_a_shift_is_its_length_everywhere(tiny_mesh):
    far = moved(tiny_mesh, (2.0, -3.0, 6.0))
    assert torch.allclose(vertex_displacement(tiny_mesh, far), torch.full((1, 234), 7.0), atol=1e-4)
    texels = displacement_map(tiny_mesh, far, 64)
    shown = face_texels(tiny_mesh, 64)
    assert torch.allclose(texels[0, 0][shown], torch.tensor(7.0), atol=1e-4)
    assert float(texels[0, 0, 0, 0]) == 0, "outside the UVs there is nothing"


def test_displacement_maps_move_along_the_normal(tiny_mesh):
    assert torch.allclose(vertex_displacement(tiny_mesh, raised(tiny_mesh, -0.5)), torch.tensor(0.5), atol=1e-4)
    out = surface_points(raised(tiny_mesh, 2.0)) - tiny_mesh.verts
    assert torch.allclose(out, 2 * tiny_mesh.normals(), atol=1e-4)
    assert torch.allclose(vertex_displacement(raised(tiny_mesh, 1.0), raised(tiny_mesh, 1.0)), torch.tensor(0.0))
    # Interpolated between corners, normals are a little shorter than 1.
    shown = face_texels(tiny_mesh, 64)
    texels = displacement_map(raised(tiny_mesh, 1.0), raised(tiny_mesh, 3.0), 64)[0, 0][shown]
    assert float(texels.min()) > 1.9
    assert float(texels.max()) < 2.0001


def test_one_face_against_many(tiny_sweep):
    moved = vertex_displacement(tiny_sweep.mesh[0], tiny_sweep.mesh)
    assert moved.shape == (20, 234)
    assert float(moved[0].max()) == 0
    assert float(moved[1:].amax(1).min()) > 1


def test_other_topologies_are_refused(tiny_mesh):
    other = dataclasses.replace(tiny_mesh, faces=tiny_mesh.faces.flip(0))
    for measure in (vertex_displacement, displacement_map):
        with pytest.raises(InputError, match="one topology"):
            measure(tiny_mesh, other)


def test_parts_that_are_no_face_are_left_out(tiny_mesh):
    parts = tiny_mesh.parts.clone()
    parts[:50] = PARTS.index("neck")
    parts[50:60] = PARTS.index("teeth")
    found = face_vertices(dataclasses.replace(tiny_mesh, parts=parts))
    assert found.tolist() == [False] * 60 + [True] * 174
    assert bool(face_vertices(dataclasses.replace(tiny_mesh, parts=None)).all())


def test_regions_share_the_face_among_them(default_pipeline):
    mesh = default_pipeline(seed=7).mesh
    regions = landmark_regions(mesh)
    total = torch.stack(list(regions.values())).sum(0)
    assert torch.equal(total > 0, face_vertices(mesh))
    assert int(total.max()) == 1
    verts, points = mesh.verts[0], mesh.verts[0, mesh.landmarks]
    height = {name: float(verts[mask, 1].mean()) for name, mask in regions.items()}
    assert height["forehead"] > height["brows"] > height["eyes"] > height["nose"] > height["mouth"]
    for name, landmark in (("nose", 30), ("mouth", 51), ("mouth", 57), ("eyes", 41), ("brows", 19), ("jaw", 8)):
        assert bool(regions[name][mesh.landmarks[landmark]]), (name, landmark)
    assert float(verts[regions["cheeks"], 0].abs().min()) > 10, "the cheeks lie on both sides"
    assert float(verts[regions["forehead"], 1].min()) > float(points[17:27, 1].mean())


def test_regions_want_landmarks(tiny_mesh):
    with pytest.raises(InputError, match="landmarks"):
        landmark_regions(dataclasses.replace(tiny_mesh, landmarks=None))


def test_wrinkles_are_what_the_expression_adds(tiny_face):
    count = tiny_face.mesh.verts.shape[1]
    static = 0.3 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    furrow = torch.zeros(1, 1, 64, 64)
    furrow[..., 30:34, 10:54] = -1.5
    still = torch.zeros(1, count)
    detail = FaceDetail(static, furrow, torch.zeros_like(furrow), still + 1, still, still, strength=0.5)
    mesh = dataclasses.replace(tiny_face.mesh, displacement=0.5 * (static + furrow))
    face = dataclasses.replace(tiny_face, mesh=mesh, detail=detail)
    assert float(wrinkle_amplitude(face)) == pytest.approx(0.75)
    calm = dataclasses.replace(face, mesh=dataclasses.replace(mesh, displacement=0.5 * static))
    assert float(wrinkle_amplitude(calm)) == 0
    assert wrinkle_amplitude(tiny_face) is None


def test_a_seam_does_not_move_by_itself(tiny_mesh):
    """Seam vertices have two UVs, where the map may differ: the same one is always used."""
    rough = 3 * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    mesh = dataclasses.replace(tiny_mesh, displacement=rough)
    assert all(float(vertex_displacement(mesh, mesh).max()) == 0 for _ in range(20))
