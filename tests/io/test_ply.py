"""PLY: positions, colours sampled from the texture, and damaged files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import facekit
from facekit.errors import FileError
from facekit.io.arrays import split_at_seams, vertex_colours

trimesh = pytest.importorskip("trimesh")


def test_loads_back_equal(tiny_mesh, tmp_path):
    back = facekit.load(facekit.save(tiny_mesh, tmp_path / "face.ply"))
    assert torch.equal(back.verts, tiny_mesh.verts)
    assert torch.equal(back.faces, tiny_mesh.faces)


def test_colours_are_the_textures(tiny_mesh, tmp_path):
    flat = torch.tensor([200, 120, 40]) / 255
    mesh = facekit.FaceMesh(
        tiny_mesh.verts,
        tiny_mesh.faces,
        tiny_mesh.uvs,
        tiny_mesh.faces_uvs,
        flat[None, :, None, None].expand(1, 3, 8, 8),
    )
    shape = trimesh.load(facekit.save(mesh, tmp_path / "face.ply"), process=False)
    assert (np.asarray(shape.visual.vertex_colors)[:, :3] == [200, 120, 40]).all()


def test_v_counts_from_the_bottom():
    texture = torch.zeros(1, 3, 4, 4)
    texture[:, 0, 0] = 1  # the top row is red
    mesh = facekit.FaceMesh(
        torch.eye(3)[None],
        torch.tensor([[0, 1, 2]]),
        torch.tensor([[0.5, 0.99], [0.5, 0.01], [0.1, 0.5]]),
        torch.tensor([[0, 1, 2]]),
        texture,
    )
    assert vertex_colours(mesh)[:, 0].tolist() == [255, 0, 0]


def test_the_header_tells_the_units(tiny_mesh, tmp_path):
    assert b"units: millimetres" in facekit.save(tiny_mesh, tmp_path / "face.ply").read_bytes()[:300]


def test_split_keeps_the_vertices_first(tiny_mesh):
    split = split_at_seams(tiny_mesh)
    count = tiny_mesh.verts.shape[1]
    assert (split.vertex[:count] == np.arange(count)).all()
    assert len(split.copies) == 13  # one column of 13 rings carries two UVs
    assert (split.vertex[split.faces] == tiny_mesh.faces.numpy()).all()
    assert (split.uv[split.faces] == tiny_mesh.faces_uvs.numpy()).all()


@pytest.mark.parametrize("content", [b"", b"solid stl", b"ply\nformat nonsense\n"])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "face.ply"
    path.write_bytes(content)
    with pytest.raises(FileError, match="PLY"):
        facekit.load(path)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiny_mesh, tmp_path, cut):
    path = facekit.save(tiny_mesh, tmp_path / "face.ply")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(FileError, match="PLY"):
        facekit.load(path)
