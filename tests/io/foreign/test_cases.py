"""The awkward files of a shared folder, where there is one: each does what stands in its README."""

from __future__ import annotations

import warnings

import pytest

import facekit
from facekit.errors import FileError
from facekit.render import render
from tests import SHARED

CASES = SHARED / "cases"
REFUSED = {
    *("obj/39_nan", "obj/44_points_only"),
    *("ply/16_points_only", "ply/17_no_face_element", "ply/18_nan", "ply/19_truncated_ascii", "ply/20_truncated_bin"),
    *("ply/21_face_out_of_range", "ply/22_negative_face"),
    *("glb/42_index_out_of_range", "glb/43_empty_mesh", "glb/45_gltf_as_glb"),
}
TOLD = {
    *("obj/19_no_mtl_there", "obj/20_no_texture_there", "obj/25_map_windows_absolute", "obj/49_latin1_texture_name"),
    *("obj/60_texture_20000", "obj/38_two_corner_face", "glb/29_with_line_primitive"),
}
FILES = sorted(p for p in CASES.glob("*/*") if p.suffix.lower() in (".obj", ".ply", ".glb", ".gltf"))


@pytest.mark.skipif(not FILES, reason="no shared cases here")
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path):
    name = f"{path.parent.name}/{path.stem}"
    if name in REFUSED:
        with pytest.raises(FileError, match=path.name):
            facekit.load(path)
        return
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        mesh = facekit.load(path)
    assert len(notes) <= 1 and (name not in TOLD or len(notes) == 1)
    picture = render(mesh, image_size=32, background="transparent")
    flat = mesh.verts[0, mesh.used()].std(0).min() == 0 and name.rpartition("/")[2][:2] in ("57", "58")
    assert flat or float(picture.alpha.mean()) > 0.1, "the whole face is in the picture"
