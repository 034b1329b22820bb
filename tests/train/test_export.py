"""The manifest after training: the default's record is new, all others stay as they were."""

from __future__ import annotations

import json

from facekit.models.config import ShapeConfig, TextureConfig
from facekit.train.export import ROLES, write_manifest
from facekit.weights import manifest


def test_other_records_stay(tmp_path):
    path = tmp_path / "weights_manifest.json"
    path.write_bytes(manifest._manifest_path().read_bytes())
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in ROLES.values():
        (tmp_path / name).write_bytes(name.encode())
    write_manifest(path, tmp_path, ShapeConfig(vertices=3), TextureConfig())
    after = json.loads(path.read_text(encoding="utf-8"))
    assert list(after["models"]) == list(before["models"])
    assert after["models"]["3dfacecam"] == before["models"]["3dfacecam"]
    assert after["models"]["default"]["config"]["shape"]["vertices"] == 3
    assert after["models"]["default"]["files"]["shape"]["size"] == len("shape.safetensors")


def test_writing_keeps_the_form(tmp_path):
    text = manifest._manifest_path().read_text(encoding="utf-8")
    assert json.dumps(json.loads(text), indent=2) + "\n" == text, "a training changes no line that it does not mean to"
