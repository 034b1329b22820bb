"""Files that training writes, and the manifest: the default's record is replaced, all others are unchanged."""

from __future__ import annotations

import json

import torch
from torch import nn

from facekit.files.readers import load_tensors
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.train.export import ROLES, parameters, round_rows, silence_neutral, write_manifest, write_weights
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


def test_a_manifest_is_started_where_there_is_none(tmp_path):
    (tmp_path / "template.npz").write_bytes(b"head")
    write_manifest(tmp_path / "new.json", tmp_path, ShapeConfig(vertices=3), TextureConfig())
    data = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    assert list(data["models"]) == ["default"]
    assert list(data["models"]["default"]["files"]) == ["template"], "what is not trained yet is left out"


def test_weights_are_stored_in_half_precision_for_everyone_to_read(tmp_path):
    layer = nn.Linear(3, 2)
    write_weights(layer, tmp_path / "layer.safetensors")
    found = load_tensors(tmp_path / "layer.safetensors")
    torch.testing.assert_close(found["weight"], layer.weight.detach(), atol=1e-3, rtol=1e-3)
    assert (tmp_path / "layer.safetensors").stat().st_mode & 0o777 == 0o644
    assert parameters(layer) == 8


def test_the_neutral_entry_is_silenced_and_nothing_else():
    weight = nn.Parameter(torch.ones(2, 3, 4))
    silence_neutral(weight, 1, axis=1)
    weight = weight.detach()
    assert float(weight[:, 1].abs().max()) == 0
    assert float(weight.sum()) == 16


def test_rounded_rows_stay_near_and_have_few_values():
    torch.manual_seed(0)
    module = nn.Linear(400, 3)
    before = [value.detach().clone() for value in module.parameters()]
    round_rows(module)
    weight, bias = (value.detach() for value in module.parameters())
    most = before[0].abs().amax(dim=1, keepdim=True)
    assert float(((weight - before[0]).abs() / most).max()) <= 1 / 127, "half a step, which is at most two 127ths"
    assert all(len(row.unique()) <= 255 for row in weight) and torch.equal(bias, before[1])
