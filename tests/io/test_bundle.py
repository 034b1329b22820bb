"""The zip bundle: its content, and identical bytes for the same face."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

import facekit
from facekit import weights
from facekit.errors import InputError
from facekit.io.maps import load_displacement
from facekit.latents import FaceLatents


@pytest.fixture(autouse=True)
def _no_manifest(monkeypatch):
    record = weights.ModelRecord("tiny", "a test", "CC0", "made up", True, {}, {})
    monkeypatch.setattr(weights, "models", lambda: {"tiny": record})


def test_contents(tiny_face, tmp_path):
    path = facekit.save(tiny_face, tmp_path / "smile.zip", preview=False)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[:6] == [
            "smile_albedo.png", "smile.mtl", "smile.obj", "smile.ply", "smile.glb", "latents.json"
        ]  # fmt: skip
        about = json.loads(archive.read("metadata.json"))
        codes = json.loads(archive.read("latents.json"))
        archive.extractall(tmp_path / "out")
    assert about["seed"] == 7
    assert about["expression_weights"] == {"smile": pytest.approx(0.8)}
    assert about["units"]["obj"] == "millimetres" and about["units"]["glb"] == "metres"
    assert about["axes"]["y"] == "up"
    assert (about["licence"], about["origin"]) == ("CC0", "made up")
    assert set(about["files"]) == set(names) - {"metadata.json"}
    assert torch.equal(FaceLatents.from_dict(codes).identity, tiny_face.latents.identity)
    for suffix in ("obj", "ply", "glb"):
        mesh = facekit.load(tmp_path / "out" / f"smile.{suffix}")
        assert torch.equal(mesh.faces, tiny_face.mesh.faces)


def test_detail_brings_its_maps(bumpy_face, tmp_path):
    path = facekit.save(bumpy_face, tmp_path / "my smile.zip", preview=False)
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("metadata.json"))
        archive.extractall(tmp_path / "out")
    maps = {f"my_smile_{name}" for name in ("displacement.png", "displacement.json", "normal.png")}
    assert maps < set(about["files"])
    assert "MikkTSpace" in about["normal_map"] and "16 bits" in about["displacement"]
    back = load_displacement(tmp_path / "out" / "my_smile_displacement.png")
    assert (back - bumpy_face.displacement).abs().max() < 3e-5
    assert "norm my_smile_normal.png" in (tmp_path / "out" / "my_smile.mtl").read_text()
    assert facekit.load(tmp_path / "out" / "my_smile.obj").texture is not None


def test_same_bytes(bumpy_face, tmp_path):
    first = facekit.save(bumpy_face, tmp_path / "a" / "face.zip", preview=False).read_bytes()
    assert facekit.save(bumpy_face, tmp_path / "b" / "face.zip", preview=False).read_bytes() == first


def test_preview(tiny_face, tmp_path):
    path = facekit.save(tiny_face, tmp_path / "face.zip", preview_size=64)
    with zipfile.ZipFile(path) as archive:
        from facekit.files.images import decode

        assert decode(archive.read("preview.png")).shape == (64, 64, 3)


def test_a_mesh_alone_is_refused(tiny_mesh, tmp_path):
    with pytest.raises(InputError, match="FaceOutput"):
        facekit.save(tiny_mesh, tmp_path / "face.zip")
    assert not list(tmp_path.iterdir())
