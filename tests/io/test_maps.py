"""Displacement and normal maps as pictures: exact values, described encoding, no partial files."""

from __future__ import annotations

import dataclasses
import errno
import json

import numpy as np
import pytest
import torch

import facekit
from facekit.errors import FileError, InputError
from facekit.files.images import load_image
from facekit.io.maps import MID_LEVEL, load_displacement, save_maps


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_displacement_comes_back_within_half_a_step(bumpy_face, tmp_path):
    png, about, normal = save_maps(bumpy_face, tmp_path / "new")
    back, facts = load_displacement(png), json.loads(about.read_text())
    assert back.shape == (1, 1, 64, 64) and back.dtype == torch.float32
    assert float((back - bumpy_face.displacement).abs().max()) <= 0.501 * facts["scale"]
    assert facts["scale"] < 5e-5  # a 20th of a micrometre for 1.3 mm
    assert {path.name for path in (png, about, normal)} == names(tmp_path / "new")


def test_the_json_tells_the_whole_story(bumpy_face, tmp_path):
    png, about, _ = save_maps(bumpy_face, tmp_path)
    facts = json.loads(about.read_text())
    pixels = load_image(png)
    assert pixels.dtype == np.uint16 and pixels.shape == (facts["height"], facts["width"]) == (64, 64)
    assert (facts["file"], facts["mid_level"], facts["bits"]) == (png.name, MID_LEVEL, 16)
    assert facts["units"] == "millimetres" and "bottom-left" in facts["uv_origin"]
    assert "outward" in facts["direction"] and "linear" in facts["colour_space"]
    by_formula = eval(facts["formula"].partition("=")[2], {}, {"pixel": pixels.astype(float), **facts})
    ours = bumpy_face.displacement[0, 0].numpy()
    assert np.abs(by_formula - ours).max() <= 0.501 * facts["scale"]
    plain = facts["normalised"]  # as a modifier with mid-level and strength reads it
    assert np.abs((pixels / 65535 - plain["mid_level"]) * plain["strength"] - ours).max() <= 0.501 * facts["scale"]
    assert facts["range"] == pytest.approx([-np.abs(ours).max(), np.abs(ours).max()])


def test_the_range_is_symmetric_and_zero_is_exact(tiny_mesh, tmp_path):
    values = torch.zeros(1, 1, 8, 8)
    values[0, 0, 0, :3] = torch.tensor([0.4, -1.6, 1.6])
    mesh = dataclasses.replace(tiny_mesh, displacement=values)
    png, _ = save_maps(mesh, tmp_path, normal_map=False)
    assert load_image(png)[0, :4].tolist() == [MID_LEVEL + 8192, 1, 65535, MID_LEVEL]
    assert (load_displacement(png)[0, 0, 1:] == 0).all()


def test_no_displacement_at_all_is_flat(tiny_mesh, tmp_path):
    mesh = dataclasses.replace(tiny_mesh, displacement=torch.zeros(1, 1, 16, 16))
    png, _, normal = save_maps(mesh, tmp_path)
    assert (load_image(png) == MID_LEVEL).all() and (load_displacement(png) == 0).all()
    assert (load_image(normal) == [128, 128, 255]).all()


def test_a_sweep_is_numbered_and_has_one_range(tiny_pipe, tmp_path):
    latents = facekit.FaceLatents.sample(7)
    faces = tiny_pipe(latents=facekit.FaceLatents.cat([latents] * 3), detail=True)
    depth = torch.tensor([0.5, 2.0, 1.0]).view(3, 1, 1, 1)
    mesh = dataclasses.replace(faces.mesh, displacement=faces.displacement * depth)
    written = save_maps(mesh, tmp_path, "smile")
    assert len(written) == 9 and names(tmp_path) == {path.name for path in written}
    scales = {json.loads(path.read_text())["scale"] for path in tmp_path.glob("*.json")}
    assert len(scales) == 1
    for k in range(3):
        back = load_displacement(tmp_path / f"smile_{k:02d}_displacement.png")
        assert float((back - mesh.displacement[k]).abs().max()) <= 0.501 * scales.copy().pop()


def test_the_normal_map_is_the_meshs(bumpy_face, tmp_path):
    *_, normal = save_maps(bumpy_face, tmp_path)
    pixels = load_image(normal)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels / 255 - bumpy_face.normal_map[0].permute(1, 2, 0).numpy()).max() <= 0.501 / 255
    length = np.linalg.norm(pixels / 127.5 - 1, axis=-1)
    assert np.abs(length - 1).max() < 0.02


def test_faces_without_displacement_are_refused(tiny_face, bumpy_face, tmp_path):
    with pytest.raises(InputError, match="displacement, got one without; make it with detail=True"):
        save_maps(tiny_face, tmp_path / "new")
    bad = bumpy_face.displacement.clone()
    bad[0, 0, 3, 3] = float("inf")
    with pytest.raises(InputError, match="finite displacement"):
        save_maps(dataclasses.replace(bumpy_face.mesh, displacement=bad), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_nothing_half_written(bumpy_face, tmp_path, monkeypatch):
    save_maps(bumpy_face, tmp_path)
    before = (tmp_path / "face_displacement.png").read_bytes()

    def full(self, data):
        self.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        save_maps(bumpy_face, tmp_path)
    assert (tmp_path / "face_displacement.png").read_bytes() == before
    # The old set stays whole: nothing of it goes before all of the new one is written.
    load_displacement(tmp_path / "face_displacement.png")


def test_an_unwritable_folder(bumpy_face, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="writable"):
        save_maps(bumpy_face, tmp_path / "file" / "maps")


@pytest.mark.parametrize(
    "change", [{"scale": 0}, {"scale": "much"}, {"scale": float("nan")}, {"format": "other"}, {"mid_level": None}]
)
def test_a_foreign_json_is_refused(bumpy_face, tmp_path, change):
    png, about, _ = save_maps(bumpy_face, tmp_path)
    about.write_text(json.dumps({**json.loads(about.read_text()), **change}))
    with pytest.raises(FileError, match="displacement's JSON"):
        load_displacement(png)
    about.write_text("no json")
    with pytest.raises(FileError, match="displacement's JSON"):
        load_displacement(png)


def test_foreign_pictures_are_refused(bumpy_face, tmp_path):
    png, _, normal = save_maps(bumpy_face, tmp_path)
    png.write_bytes(normal.read_bytes())
    with pytest.raises(FileError, match="16 bits"):
        load_displacement(png)
    png.write_bytes(png.read_bytes()[:200])
    with pytest.raises(FileError, match="whole"):
        load_displacement(png)
    with pytest.raises(FileError, match="no .*nowhere.png"):
        load_displacement(tmp_path / "nowhere.png")


def test_an_obj_names_its_maps_in_mm(bumpy_face, tmp_path):
    path = bumpy_face.save(tmp_path / "my face.obj", maps=True)
    lines = dict(line.split(" ", 1) for line in (tmp_path / "my_face.mtl").read_text().splitlines())
    assert lines["map_Kd"] == "my_face_albedo.png" and lines["norm"] == "my_face_normal.png"
    option, base, gain, file = lines["disp"].split()
    assert (option, file) == ("-mm", "my_face_displacement.png")
    values = float(base) + float(gain) * load_image(tmp_path / file) / 65535
    assert np.abs(values - bumpy_face.displacement[0, 0].numpy()).max() < 3e-5
    assert torch.equal(facekit.load(path).texture, bumpy_face.texture)
    trimesh = pytest.importorskip("trimesh")
    assert trimesh.load(path, process=False, force="mesh").visual.material.image.size == (64, 64)
    bare = dataclasses.replace(bumpy_face.mesh, texture=None)
    assert facekit.load(facekit.save(bare, tmp_path / "bare.obj", maps=True)).texture is None
