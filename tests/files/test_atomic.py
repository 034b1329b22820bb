"""save and load: the suffix table, refusals, and nothing half-written."""

from __future__ import annotations

import dataclasses
import errno
import importlib

import pytest
import torch

import facekit
from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write, recorded, write_files
from facekit.io import SUFFIXES


def test_every_row_of_the_table_has_its_code():
    for suffix, row in SUFFIXES.items():
        module = importlib.import_module(row.module)
        assert callable(module.write), suffix


@pytest.mark.parametrize("name", ["face.fbx", "face", "face.tar.gz"])
def test_unknown_suffixes_list_the_known(tiny_mesh, tmp_path, name):
    with pytest.raises(InputError, match=r"\.obj \.ply \.glb \.zip"):
        facekit.save(tiny_mesh, tmp_path / name)
    with pytest.raises(InputError, match=r"\.obj \.ply \.glb \.gltf \.stl \.off \.3mf, got"):
        facekit.load(tmp_path / name)


def test_suffixes_in_capitals(tiny_mesh, tmp_path):
    assert facekit.load(facekit.save(tiny_mesh, tmp_path / "FACE.OBJ")).verts.shape == tiny_mesh.verts.shape


def test_one_face_only(tiny_sweep, tmp_path):
    with pytest.raises(InputError, match=r"a batch of 20; pick one with face\[i\]"):
        tiny_sweep.save(tmp_path / "face.obj")
    tiny_sweep[3].save(tmp_path / "face.obj")


def test_unknown_options_are_named(tiny_mesh, tmp_path):
    with pytest.raises(InputError, match="texture_format.*got colour"):
        facekit.save(tiny_mesh, tmp_path / "face.glb", colour=1)


def test_vertices_must_be_finite(tiny_mesh, tmp_path):
    verts = tiny_mesh.verts.clone()
    verts[0, 5, 1] = float("nan")
    with pytest.raises(InputError, match="finite"):
        facekit.save(dataclasses.replace(tiny_mesh, verts=verts), tmp_path / "face.obj")


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_a_folder_that_cannot_be_made(tiny_mesh, tmp_path, suffix):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="writable"):
        facekit.save(tiny_mesh, tmp_path / "file" / f"face.{suffix}")


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_a_full_disk_leaves_nothing_half_written(tiny_mesh, tmp_path, suffix, monkeypatch):
    path = tmp_path / f"face.{suffix}"
    path.write_bytes(b"as before")

    def full(self, data):
        self.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        facekit.save(tiny_mesh, path)
    assert path.read_bytes() == b"as before"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "face.obj"
    path.write_text("as before")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == ["as before"]


def test_a_missing_file(tmp_path):
    with pytest.raises(FileError, match="none at"):
        facekit.load(tmp_path / "face.obj")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_pictures_are_rendered(tiny_face, tmp_path, suffix):
    from facekit.files.images import load_image

    path = tiny_face.save(tmp_path / f"face.{suffix}", image_size=48, quality="standard")
    assert load_image(path).shape == (48, 48, 3)


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_displaced_meshes(bumpy_face, tmp_path, suffix):
    path = bumpy_face.save(tmp_path / f"face.{suffix}", level=2)
    fine, back = bumpy_face.detailed_mesh(2), facekit.load(path)
    assert torch.equal(back.faces, fine.faces)
    assert (back.verts - fine.verts).abs().max() < 1e-4
    assert torch.equal(facekit.load(bumpy_face.save(path)).faces, bumpy_face.mesh.faces)


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_levels_that_there_are_not(bumpy_face, tiny_mesh, tmp_path, suffix):
    path = tmp_path / f"face.{suffix}"
    with pytest.raises(InputError, match="level as a whole number from 0 to 4"):
        facekit.save(bumpy_face.mesh, path, level=7)
    with pytest.raises(InputError, match="displacement"):
        facekit.save(tiny_mesh, path, level=1)
    assert not list(tmp_path.iterdir())


def test_maps_and_triangles_would_displace_twice(bumpy_face, tmp_path):
    with pytest.raises(InputError, match="level or maps"):
        bumpy_face.save(tmp_path / "face.obj", level=1, maps=True)
    assert not list(tmp_path.iterdir())


def test_a_set_appears_together(tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "folder" / "b.obj"
    first.write_bytes(b"as before")
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(FileError, match="writable"):
        write_files({first: b"new", second: b"new"})
    assert first.read_bytes() == b"as before" and sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "folder"]
    (tmp_path / "folder").unlink()
    with recorded() as written:
        assert write_files({first: b"new", second: b"new"}) == [first, second]
    assert written == [first, second] and second.read_bytes() == b"new"


def test_a_link_stays_one(tiny_mesh, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "face.ply"
    link.symlink_to("disk/far.ply")
    for _ in range(2):  # dangling at first
        facekit.save(tiny_mesh, link)
        assert link.is_symlink() and (tmp_path / "disk" / "far.ply").stat().st_size > 1000
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["far.ply"]


def test_the_home_folder(tiny_face, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tiny_face.save("~/a/face.obj") == tmp_path / "a" / "face.obj"
    assert facekit.load("~/a/face.obj").texture is not None
    assert tiny_face.latents.save("~/a/codes.json") == tmp_path / "a" / "codes.json"
    assert len(facekit.FaceLatents.load("~/a/codes.json")) == 1
    with pytest.raises(FileError, match="home"):
        tiny_face.save("~nobody-of-that-name/face.obj")


def test_long_names(tiny_mesh, tmp_path):
    assert facekit.save(tiny_mesh, tmp_path / f"{'a' * 245}.ply").is_file()


def test_a_picture_beside_an_obj_is_another_file(tiny_face, tmp_path):
    mesh = facekit.load(tiny_face.save(tmp_path / "face.obj"))
    tiny_face.save(tmp_path / "face.png", image_size=16, quality="standard")
    assert torch.equal(facekit.load(tmp_path / "face.obj").texture, mesh.texture)


def test_jpeg_is_jpg(tiny_face, tmp_path):
    path = tiny_face.save(tmp_path / "face.JPEG", image_size=16, quality="standard")
    assert path.read_bytes()[:3] == b"\xff\xd8\xff"
