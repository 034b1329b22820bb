"""OBJ of other writers: each way to write the same square, and what is told or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import facekit
from facekit.errors import FileError
from facekit.io.reading import read_untextured

VERTS = ["v -1 -1 0", "v 1 -1 0", "v 1 1 0", "v -1 1 0"]
UVS = ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1"]
SQUARE = [*VERTS, *UVS, "f 1/1 2/2 3/3 4/4"]


def written(folder, lines, encoding="utf-8", end="\n"):
    path = folder / "face.obj"
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def picture(path, colour=(200, 120, 40), mode="RGB", size=(8, 8)):
    Image.new(mode, size, colour).save(path)
    return path


WRITERS = {
    "plain": SQUARE,
    "from the end": [*SQUARE[:-1], "f -4/-4 -3/-3 -2/-2 -1/-1"],
    "tabs": [line.replace(" ", "\t") for line in SQUARE],
    "indents": [f"  {line}" for line in SQUARE],
    "comments": [f"{line}  # so it is" for line in SQUARE],
    "continued": [*SQUARE[:-1], "f 1/1 2/2 \\", "3/3 4/4"],
    "no UV at some corners": [*SQUARE[:-1], "f 1/1 2 3/3/1 4//2", "vn 0 0 1", "vn 0 0 1"],
    "an empty UV": [*VERTS, "f 1/ 2/ 3/ 4/"],
    "UVs without lines vt": [*VERTS, "f 1/1 2/2 3/3 4/4"],
    "fo": [*SQUARE[:-1], "fo 1/1 2/2 3/3 4/4"],
    "faces first": [SQUARE[-1], *SQUARE[:-1]],
    "commas": [*(line.replace("-1", "-1,0") for line in VERTS), *UVS, SQUARE[-1]],
    "weights": [*(f"{line} 1.0" for line in VERTS), *UVS, SQUARE[-1]],
    "three UVs": [*VERTS, *(f"{line} 0" for line in UVS), SQUARE[-1]],
    "groups": ["mtllib", "o a", "g b c", "s off", *SQUARE, "usemtl"],
    "exponents": [line.replace("-1", "-1.0e+00") for line in SQUARE],
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_square_is_a_square(tmp_path, recwarn, writer, end, encoding):
    mesh = facekit.load(written(tmp_path, WRITERS[writer], encoding, end))
    assert mesh.verts[0].tolist() == [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.vertex_colors is None and mesh.texture is None
    if writer in ("plain", "from the end", "tabs", "continued", "fo"):
        assert mesh.uvs[mesh.faces_uvs[0]].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert not [w for w in recwarn if "left out" in str(w.message)]


def test_orders_are_kept(tiny_mesh, tmp_path):
    """Vertices and UVs come back in the file's order, unused ones too: fits and correspondences hang on it."""
    path = facekit.save(tiny_mesh, tmp_path / "face.obj")
    own = facekit.load(path)
    path.write_bytes(path.read_bytes().replace(b"# facekit\n", b"# by hand\nv 7 7 7\n", 1).replace(b"# counts", b"#"))
    text = path.read_text().splitlines()
    faces = [k for k, line in enumerate(text) if line.startswith("f ")]
    for k in faces:
        corners = [corner.split("/") for corner in text[k].split()[1:]]
        text[k] = "f " + " ".join(f"{int(v) + 1}/{t}" for v, t in corners)
    path.write_text("\n".join(text) + "\n")
    mesh = facekit.load(path)
    assert torch.equal(mesh.verts[:, 1:], own.verts) and mesh.verts[0, 0].tolist() == [7, 7, 7]
    assert torch.equal(mesh.faces - 1, own.faces)
    assert torch.equal(mesh.uvs, own.uvs) and torch.equal(mesh.faces_uvs, own.faces_uvs)
    assert torch.equal(mesh.texture, own.texture)
    assert torch.equal(read_untextured(path).faces_uvs, own.faces_uvs)


def test_colours_behind_positions(tmp_path):
    mesh = facekit.load(written(tmp_path, [f"{VERTS[0]} 1 0 0", *VERTS[1:], "f 1 2 3 4"]))
    assert mesh.vertex_colors.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1]]
    mesh = facekit.load(written(tmp_path, [*(f"{line} 51 255 0" for line in VERTS), "f 1 2 3 4"]))
    assert mesh.vertex_colors[2].tolist() == pytest.approx([0.2, 1, 0])
    back = facekit.load(facekit.save(mesh, tmp_path / "back.obj"))
    assert (back.vertex_colors - mesh.vertex_colors).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["skin tone.png", "Skin.PNG", "textures\\skin.png", "./skin.png"])
@pytest.mark.parametrize("options", ["", "-s 1 1 1 -o 0 0 0 ", "-bm 0.5 -clamp on "])
def test_textures_are_found(tmp_path, recwarn, name, options):
    (tmp_path / "textures").mkdir()
    for place in ("skin tone.png", "skin.png", "textures/skin.png"):
        picture(tmp_path / place)
    (tmp_path / "a b.mtl").write_text(f"newmtl skin\nKd 0.5 0.5 0.5\nmap_Kd {options}{name}\n")
    mesh = facekit.load(written(tmp_path, ["mtllib a b.mtl", "usemtl skin", *SQUARE]))
    assert (mesh.texture[0, :, 4, 4] * 255).round().tolist() == [200, 120, 40]
    assert not recwarn.list


@pytest.mark.parametrize(
    ("mtl", "note"),
    [
        (None, "the material file skin.mtl is missing"),
        ("newmtl skin\nmap_Kd gone.png\n", "the texture gone.png is missing"),
        ("newmtl skin\nmap_Kd C:\\Users\\me\\skin.png\n", "taken from skin.png beside the file"),
        ("newmtl skin\nmap_Kd broken.png\n", "broken.png was left out"),
        ("newmtl skin\nd 0.5\n", "transparency"),
    ],
)
def test_what_is_not_there_is_told(tmp_path, mtl, note):
    picture(tmp_path / "skin.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "skin.png").read_bytes()[:40])
    if mtl is not None:
        (tmp_path / "skin.mtl").write_text(mtl)
    with pytest.warns(UserWarning, match=note) as notes:
        mesh = facekit.load(written(tmp_path, ["mtllib skin.mtl", "usemtl skin", *SQUARE]))
    assert len(notes) == 1 and len(mesh.faces) == 2
    assert (mesh.texture is not None) == ("beside" in note)


@pytest.mark.parametrize(("lines", "note"), [(["f 1 2"], "1 face of fewer"), (["l 1 2", "p 1"], "lines were left out")])
def test_what_a_face_cannot_show_is_told(tmp_path, lines, note):
    with pytest.warns(UserWarning, match=note):
        assert len(facekit.load(written(tmp_path, [*SQUARE, *lines])).faces) == 2


def test_two_materials_share_a_texture(tmp_path):
    picture(tmp_path / "left.png", (250, 10, 10))
    picture(tmp_path / "right.png", (10, 10, 250), size=(16, 32))
    (tmp_path / "m.mtl").write_text("newmtl a\nmap_Kd left.png\nnewmtl b\nmap_Kd right.png\nnewmtl c\nKd 0 1 0\n")
    faces = ["usemtl a", "f 1/1 2/2 3/3", "usemtl b", "f 1/1 3/3 4/4", "usemtl c", "f 2/2 3/3 4/4"]
    mesh = facekit.load(written(tmp_path, ["mtllib m.mtl", *SQUARE[:-1], *faces]))
    centres = mesh.uvs[mesh.faces_uvs].mean(1)
    seen = torch.nn.functional.grid_sample(
        mesh.texture, centres[None, None] * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0]), align_corners=False
    )[0, :, 0].T
    assert (seen * 255).round().tolist() == [[250, 10, 10], [10, 10, 250], [0, 255, 0]]
    assert mesh.verts.shape[1] == 4


def test_the_materials_that_faces_use_count(tmp_path):
    picture(tmp_path / "eye.png", (0, 0, 0))
    picture(tmp_path / "skin.png")
    (tmp_path / "m.mtl").write_text("newmtl eye\nmap_Kd eye.png\n\nnewmtl skin\nmap_Kd skin.png\n")
    mesh = facekit.load(written(tmp_path, ["mtllib m.mtl", "usemtl skin", *SQUARE]))
    assert (mesh.texture[0, :, 0, 0] * 255).round().tolist() == [200, 120, 40]


def test_a_texture_repeats(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:, :2] = 255
    Image.fromarray(pixels).save(tmp_path / "half.png")
    (tmp_path / "m.mtl").write_text("newmtl a\nmap_Kd half.png\n")
    uvs = ["vt 5 0", "vt 7 0", "vt 7 1", "vt 5 1"]
    mesh = facekit.load(written(tmp_path, ["mtllib m.mtl", "usemtl a", *VERTS, *uvs, SQUARE[-1]]))
    assert mesh.texture.shape == (1, 3, 4, 8) and mesh.uvs.aminmax() == (0, 1)
    assert mesh.texture[0, 0, 0].tolist() == [1, 1, 0, 0, 1, 1, 0, 0]


def test_arrows_are_cut_inside(tmp_path):
    arrow = ["v 0 0 0", "v 10 0 0", "v 10 10 0", "v 5 2 0", "v 0 10 0", "f 1 2 3 4 5"]
    mesh = facekit.load(written(tmp_path, arrow))
    a, b, c = mesh.verts[0][mesh.faces].unbind(1)
    areas = torch.linalg.cross(b - a, c - a)[:, 2] / 2
    assert (areas > 0).all() and float(areas.sum()) == pytest.approx(60.0)


@pytest.mark.parametrize(
    "lines",
    [
        VERTS,
        [*VERTS, "f 1 2 9"],
        [*VERTS, "f 0 1 2"],
        [*VERTS, "f -9 1 2"],
        [*VERTS, "v 1 2", "f 1 2 3"],
        [*VERTS, "v nan 0 0", "f 1 2 3"],
        [*VERTS, "v one 0 0", "f 1 2 3"],
        ["# Vertices: 9", *VERTS, "f 1 2 3"],
        ["# Faces: 9", *VERTS, "f 1 2 3"],
    ],
)
def test_what_is_refused(tmp_path, lines):
    with pytest.raises(FileError, match="OBJ"):
        facekit.load(written(tmp_path, lines))


def test_an_end_within_a_line_is_refused(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "face.obj")
    data = path.read_bytes().replace(b"# facekit\n", b"").replace(b"# counts", b"#")
    for cut in range(len(data) - 3000, len(data) - 200, 97):
        path.write_bytes(data[:cut])
        if data[cut - 1 : cut] != b"\n":
            with pytest.raises(FileError, match="cut off|vertex|UV|line"):
                facekit.load(path)
        else:
            with pytest.warns(UserWarning, match="cut off"):
                facekit.load(path)
    path.write_bytes(data.rstrip(b"\n"))
    assert len(facekit.load(path).faces) == len(tiny_mesh.faces)
