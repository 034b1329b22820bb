"""OBJ: order, precision, references, and files that are not whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import facekit
from facekit.errors import FileError
from facekit.io import obj


def test_loads_back_equal(tiny_mesh, tmp_path):
    back = facekit.load(facekit.save(tiny_mesh, tmp_path / "face.obj"))
    assert (back.verts - tiny_mesh.verts).abs().max() <= 1e-4
    assert (back.uvs - tiny_mesh.uvs).abs().max() <= 1e-6
    assert torch.equal(back.faces, tiny_mesh.faces)
    assert torch.equal(back.faces_uvs, tiny_mesh.faces_uvs)
    assert torch.equal(back.texture, tiny_mesh.texture)


def test_vertex_lines_are_the_vertices_in_order(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "face.obj")
    rows = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("v ")]
    assert np.abs(np.array(rows, dtype=float) - tiny_mesh.verts[0].numpy()).max() < 1e-4


def test_material_is_relative_and_neutral(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "my face.obj")
    mtl = (tmp_path / "my_face.mtl").read_text()
    assert "mtllib my_face.mtl" in path.read_text()
    assert "map_Kd my_face_albedo.png" in mtl
    assert "Kd 1 1 1" in mtl and "Ks 0 0 0" in mtl and "illum 1" in mtl
    assert facekit.load(path).texture is not None


def test_another_program_reads_the_same(tiny_mesh, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    path = facekit.save(tiny_mesh, tmp_path / "face.obj")
    other = trimesh.load(path, process=False, force="mesh")
    assert len(other.faces) == len(tiny_mesh.faces)
    corners = tiny_mesh.verts[0][tiny_mesh.faces].numpy()
    assert np.abs(other.vertices[other.faces] - corners).max() < 1e-4
    assert other.visual.material.image.size == (64, 64)


def test_no_texture_no_material(tiny_mesh, tmp_path):
    import dataclasses

    path = facekit.save(dataclasses.replace(tiny_mesh, texture=None), tmp_path / "face.obj")
    assert [p.name for p in tmp_path.iterdir()] == ["face.obj"]
    assert facekit.load(path).texture is None


@pytest.mark.parametrize("decimals", [0, 1, 4])
def test_decimal_lines_agree_with_percent(decimals):
    values = np.array([[0, -0.00004, 1.99995], [-12.5, 1234.5678, 0.5], [1e5, -1e5, -0.25]])
    lines = obj.decimal_lines(b"v", values, decimals).decode().splitlines()
    for line, row in zip(lines, values, strict=True):
        got = [float(word) for word in line.split()[1:]]
        assert np.allclose(got, np.round(row, decimals), atol=10.0**-decimals * 1e-6)
        assert all(len(word.partition(".")[2]) == decimals for word in line.split()[1:])
        assert "-0.0000" not in line.split()


def test_topology_cache_is_bounded_and_knows_topologies_apart(tiny_mesh):
    texts = set()
    for shift in range(2 * obj._CACHE_ENTRIES):
        rolled = facekit.FaceMesh(
            tiny_mesh.verts, tiny_mesh.faces.roll(shift, 0), tiny_mesh.uvs, tiny_mesh.faces_uvs.roll(shift, 0)
        )
        texts.add(obj.encode_obj(rolled, None))
    assert len(texts) == 2 * obj._CACHE_ENTRIES
    assert len(obj._CACHE) <= obj._CACHE_ENTRIES


def test_polygons_and_plain_indices(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nf 1 2 3 4\nf 1//1 2//1 5//1\n")
    mesh = facekit.load(path)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 4]]
    assert mesh.faces_uvs.unique().tolist() == [0]


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(tiny_mesh, tmp_path, cut):
    path = facekit.save(tiny_mesh, tmp_path / "face.obj")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(FileError, match="OBJ"):
        facekit.load(path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0", b"hello\nworld\n", b"v 1 2 x\nf 1 1 1\n"])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "face.obj"
    path.write_bytes(content)
    with pytest.raises(FileError):
        facekit.load(path)


def test_a_missing_material_file_is_named(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "face.obj")
    (tmp_path / "face.mtl").unlink()
    with pytest.warns(UserWarning, match="the material file face.mtl is missing"):
        assert facekit.load(path).texture is None
