"""PLY, STL, OFF and 3MF of other writers."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import facekit
from facekit.errors import FileError, MissingDependencyError

VERTS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
HEAD = "ply\nformat {} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n{}"
ROWS = ["-1 -1 0", "1 -1 0", "1 1 0", "-1 1 0"]
FACES = "element face {}\nproperty list uchar int vertex_indices\n{}end_header\n"


def loaded(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return facekit.load(path)


def is_square(mesh) -> bool:
    area = torch.linalg.cross(*(mesh.verts[0][mesh.faces[:, k]] - mesh.verts[0][mesh.faces[:, 0]] for k in (1, 2)))
    return float(area[:, 2].sum() / 2) == pytest.approx(4.0) and bool((area[:, 2] > 0).all())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("faces", [["4 0 1 2 3"], ["3 0 1 2", "3 0 2 3"], ["3 0 1 2", "4 0 2 3 3"]])
def test_ascii_ply(tmp_path, end, mark, faces):
    text = HEAD.format("ascii", "") + FACES.format(len(faces), "") + "\n".join([*ROWS, *faces]) + "\n"
    mesh = loaded(tmp_path, "face.ply", mark + text.replace("\n", end).encode())
    assert mesh.verts[0].tolist() == VERTS.tolist()
    assert len(faces) > 1 and "4 " in faces[1] or is_square(mesh)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mixed", [False, True])
def test_binary_ply(tmp_path, order, mixed):
    name = "binary_little_endian" if order == "<" else "binary_big_endian"
    colours = "".join(f"property uchar diffuse_{c}\n" for c in ("red", "green", "blue"))
    text = HEAD.format(name, colours) + FACES.format(2, "")
    body = b"".join(struct.pack(f"{order}3f3B", *row, 255, 51, 0) for row in VERTS)
    body += struct.pack(f"{order}B3i", 3, 0, 1, 2)
    body += struct.pack(f"{order}B4i", 4, 0, 2, 3, 3) if mixed else struct.pack(f"{order}B3i", 3, 0, 2, 3)
    mesh = loaded(tmp_path, "face.ply", text.encode() + body)
    assert mesh.verts[0].tolist() == VERTS.tolist() and mesh.faces[0].tolist() == [0, 1, 2]
    assert mesh.vertex_colors[0].tolist() == pytest.approx([1, 0.2, 0])
    with pytest.raises(FileError, match="cut off"):
        loaded(tmp_path, "face.ply", text.encode() + body[:-2])


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
def test_elements_that_are_no_part_of_a_surface(tmp_path, monkeypatch, kind):
    """Edges stand between vertices and faces, and lists of strips' corners after them."""
    monkeypatch.setattr(trimesh.graph, "traversals", None)  # what trimesh follows edges with, by means of SciPy
    edges = "element edge 2\nproperty int vertex1\nproperty int vertex2\n"
    strips = "element tristrips 2\nproperty list int int vertex_indices\n"
    text = HEAD.format(kind, edges) + FACES.format(2, strips)
    lines = [*ROWS, "0 1", "1 2", "3 0 1 2", "3 0 2 3", "1 0", "2 0 1"]
    body = "\n".join(lines).encode()
    if kind != "ascii":
        body = VERTS.tobytes() + struct.pack("<4i", 0, 1, 1, 2)
        body += struct.pack("<B3iB3i", 3, 0, 1, 2, 3, 0, 2, 3) + struct.pack("<2i3i", 1, 0, 2, 0, 1)
    assert is_square(loaded(tmp_path, "face.ply", text.encode() + body))


def test_wedge_uvs_and_their_texture(tmp_path):
    Image.new("RGB", (8, 8), (10, 200, 30)).save(tmp_path / "Skin.png")
    head = HEAD.format("ascii", "").replace("ascii 1.0\n", "ascii 1.0\ncomment TextureFile skin.png\n")
    rows = [*ROWS, "3 0 1 2 6 0 0 1 0 1 1", "3 0 2 3 6 0.5 0 1 1 0 1"]
    text = head + FACES.format(2, "property list uchar float texcoord\n") + "\n".join(rows) + "\n"
    mesh = loaded(tmp_path, "face.ply", text)
    assert (mesh.texture[0, :, 0, 0] * 255).round().tolist() == [10, 200, 30]
    assert mesh.verts.shape[1] == 4  # the corner with two UVs is one vertex
    assert sorted(mesh.uvs[mesh.faces_uvs].reshape(-1, 2).tolist())[1] == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        HEAD.format("ascii", "") + FACES.format(2, "") + "\n".join([*ROWS, "4 0 1 2 3"]),
        HEAD.format("ascii", "") + FACES.format(1, "") + "\n".join([*ROWS, "4 0 1 2"]),
        HEAD.format("ascii", "") + FACES.format(1, "") + "\n".join([*ROWS, "3 0 1 9"]),
        HEAD.format("ascii", "") + FACES.format(0, "") + "\n".join(ROWS),
        HEAD.format("binary_middle_endian", "") + FACES.format(1, ""),
        "ply\nformat ascii 1.0\n",
        "play\n",
    ],
)
def test_ply_that_is_refused(tmp_path, text):
    with pytest.raises(FileError, match=r"face\.ply"):
        loaded(tmp_path, "face.ply", text)


STL = "solid a\nfacet normal 0 0 1\nouter loop\nvertex -1 -1 0\nvertex 1 -1 0\nvertex 1 1 0\nendloop\nendfacet\n{}"
SECOND = "facet normal 0 0 1\nouter loop\nvertex -1 -1 0\nvertex 1 1 0\nvertex -1 1 0\nendloop\nendfacet\nendsolid a\n"


@pytest.mark.parametrize("change", [str, str.upper, lambda s: s.replace("\n", "\r"), lambda s: s.replace("-1", "-1,0")])
def test_ascii_stl(tmp_path, change):
    mesh = loaded(tmp_path, "face.stl", change(STL.format(SECOND)))
    assert is_square(mesh) and mesh.verts.shape[1] == 4  # corners at one place are one vertex
    for cut in (len(STL), -4, -40):
        with pytest.raises(FileError, match="STL"):
            loaded(tmp_path, "face.stl", change(STL.format(SECOND))[:cut])


def test_binary_stl(tmp_path):
    data = trimesh.Trimesh(VERTS, [[0, 1, 2], [0, 2, 3]], process=False).export(file_type="stl")
    for whole in (data, b"solid by some tools" + data[19:], data + b"\n"):
        assert is_square(loaded(tmp_path, "face.stl", whole))
    with pytest.raises(FileError, match="cut off"):
        loaded(tmp_path, "face.stl", data[:-1])


@pytest.mark.parametrize(
    "text",
    [
        "OFF\n4 1 0\n" + "\n".join([*ROWS, "4 0 1 2 3"]),
        "OFF 4 1 0 # counts\n\n" + "\n".join([*ROWS, "4 0 1 2 3 255 0 0"]),
        "\ufeffCOFF\n4 1 0\n" + "\n".join([*(f"{row} 255 51 0 255" for row in ROWS), "4 0 1 2 3"]),
        "NOFF\r4 1 0\r" + "\r".join([*(f"{row} 0 0 1" for row in ROWS), "4 0 1 2 3"]),
    ],
)
def test_off(tmp_path, text):
    mesh = loaded(tmp_path, "face.off", text)
    assert is_square(mesh) and mesh.verts.shape[1] == 4
    assert "COFF" not in text or mesh.vertex_colors[3].tolist() == pytest.approx([1, 0.2, 0])
    with pytest.raises(FileError, match="OFF"):
        loaded(tmp_path, "face.off", text[:-16])


def test_3mf(tmp_path, monkeypatch):
    shape = trimesh.Trimesh(VERTS, [[0, 1, 2], [0, 2, 3]], process=False)
    try:
        import lxml  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match=r"lxml.*install.*\[files\]"):
            loaded(tmp_path, "face.3mf", b"PK")
        pytest.skip("lxml is not installed")
    data = shape.export(file_type="3mf")
    assert is_square(loaded(tmp_path, "face.3mf", data))
    with pytest.raises(FileError, match="3MF"):
        loaded(tmp_path, "face.3mf", data[:-30])
