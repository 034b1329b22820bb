"""Weights: nothing that is not exactly what the manifest says is ever used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facekit import weights
from facekit.errors import FileError, InputError, WeightsError
from facekit.template import Template
from facekit.weights import load_arrays, load_picture, record


@pytest.fixture
def altered_assets(tmp_path, monkeypatch):
    """A copy of the embedded assets that a test may damage."""
    shutil.copytree(weights.assets_folder(), tmp_path / "assets")
    monkeypatch.setattr(weights, "assets_folder", lambda: tmp_path / "assets")
    return tmp_path / "assets"


def test_default_is_whole():
    record = weights.record("default")
    assert record.embedded
    assert record.licence
    assert record.origin
    weights.verify("default")


def test_unknown_model_lists_the_known():
    with pytest.raises(InputError, match="default.*'defualt'"):
        weights.record("defualt")


@pytest.mark.parametrize("role", ["template", "shape", "texture", "base", "parts", "iris", "micro"])
def test_every_role_is_there(role):
    path = weights.verified("default", role)
    entry = weights.record("default").files[role]
    assert path.stat().st_size == entry.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256


def test_missing_file_is_told(altered_assets):
    weights.record("default").path("shape").unlink()
    with pytest.raises(WeightsError, match="shape file of 'default', got none"):
        weights.verify("default")


def test_truncated_file_is_told(altered_assets):
    path = weights.record("default").path("texture")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="texture.safetensors of .* bytes, got"):
        weights.verify("default")


def test_altered_file_is_told(altered_assets):
    path = weights.record("default").path("texture")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="sha256"):
        weights.verify("default")


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"models": []}', '{"models": {"default": {}}}'])
def test_bad_manifest_is_told(tmp_path, monkeypatch, content):
    path = tmp_path / "weights_manifest.json"
    path.write_text(content)
    monkeypatch.setattr(weights, "_manifest_path", lambda: path)
    with pytest.raises(FileError, match="weights manifest"):
        weights.models.__wrapped__()


def test_manifest_fields_arrive(tmp_path, monkeypatch):
    path = tmp_path / "weights_manifest.json"
    entry = {"summary": "s", "licence": "l", "origin": "o", "embedded": False, "config": {"shape": {}}}
    files = {"shape": {"name": "x.safetensors", "size": 3, "sha256": "00"}}
    path.write_text(json.dumps({"version": 1, "models": {"other": {**entry, "files": files}}}))
    monkeypatch.setattr(weights, "_manifest_path", lambda: path)
    (record,) = weights.models.__wrapped__().values()
    assert dataclasses.asdict(record) == {"name": "other", **entry, "files": files}


# -- tensors ----------------------------------------------------------------------------------------------------------


def test_half_precision_is_widened(tmp_path):
    values = torch.randn(3, 4).half()
    save_file({"weight": values, "count": torch.arange(3)}, tmp_path / "a.safetensors")
    tensors = weights.load_tensors(tmp_path / "a.safetensors")
    assert torch.equal(tensors["weight"], values.float())
    assert tensors["count"].dtype == torch.int64


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "missing", "folder"])
def test_damaged_safetensors_are_told(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.zeros(100)}, path)
    data = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "truncated": data[:-10], "text": b"<html>quota exceeded</html>"}[damage])
    with pytest.raises(WeightsError, match=r"whole safetensors file, got .*a\.safetensors"):
        weights.load_tensors(path)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def test_tensors_that_fit_are_loaded_and_frozen():
    source = network().state_dict()
    module = weights.load_into(network(), source, "a file")
    assert all(torch.equal(value, source[name]) for name, value in module.state_dict().items())
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())


def test_foreign_tensors_are_named():
    tensors = network().state_dict()
    tensors["1.scale"] = tensors.pop("1.bias")
    tensors["0.weight"] = torch.zeros(4, 2)
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        weights.load_into(module, tensors, "foreign.safetensors")
    message = str(caught.value)
    for part in ("foreign.safetensors", "missing 1.bias", "unexpected 1.scale", "0.weight is (4, 2) instead of (3, 2)"):
        assert part in message
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items()), "left untouched"


@pytest.mark.parametrize(
    ("role", "load"), [("base", load_picture), ("micro", load_arrays), ("template", Template.load)]
)
def test_damaged_assets_are_told(tmp_path, role, load):
    whole = record("default").path(role)
    damaged = tmp_path / whole.name
    damaged.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(WeightsError, match=damaged.name):
        load(damaged)


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, verts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(WeightsError, match="objects.npz"):
        load_arrays(path)
