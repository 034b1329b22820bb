"""Converted files: damage is reported, and networks use the tensors without a copy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from facekit.errors import WeightsError
from facekit.files.readers import load_arrays, load_into, load_picture, load_tensors
from facekit.models.config import TextureConfig
from facekit.models.texture import TextureModel
from facekit.template import Template
from facekit.weights import verified


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def damaged(data: bytes, seed: int, start: int) -> bytes:
    """Damaged copies: a third truncated, a third with a bit flipped in the first ``start`` bytes, a third anywhere."""
    random, flipped = np.random.default_rng(seed), bytearray(data)
    if seed % 3 == 0:
        return data[: random.integers(len(data))]
    flipped[random.integers(start if seed % 2 else len(data))] ^= 1 << random.integers(8)
    return bytes(flipped)


# -- tensors ----------------------------------------------------------------------------------------------------------


def test_half_precision_is_widened(tmp_path):
    values = torch.randn(3, 4).half()
    save_file({"weight": values, "count": torch.arange(3)}, tmp_path / "a.safetensors")
    tensors = load_tensors(tmp_path / "a.safetensors")
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
        load_tensors(path)


def test_flipped_or_cut_safetensors_are_told_or_fit(tmp_path):
    source, path = network().state_dict(), tmp_path / "a.safetensors"
    save_file(source, path)
    whole = path.read_bytes()
    told = 0
    for seed in range(60):
        path.write_bytes(damaged(whole, seed, start=200))
        try:
            load_into(network(), load_tensors(path), path.name)
        except WeightsError:
            told += 1  # a flip among the numbers is for the sha256 to find
    assert told > 30


# -- into a network ---------------------------------------------------------------------------------------------------


def test_tensors_that_fit_are_taken_and_frozen():
    source = network().state_dict()
    module = load_into(network(), source, "a file")
    assert all(torch.equal(value, source[name]) for name, value in module.state_dict().items())
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())


def test_tensors_are_not_copied(tmp_path):
    save_file(network().state_dict(), tmp_path / "a.safetensors")
    tensors = load_tensors(tmp_path / "a.safetensors")
    with torch.device("meta"):
        module = network()
    load_into(module, tensors, "a file")
    for name, value in module.state_dict().items():
        assert value.data_ptr() == tensors[name].data_ptr()


def test_network_without_memory_computes_the_same():
    config = TextureConfig(channels=(4, 4, 4))
    source = TextureModel(config)
    with torch.device("meta"):
        module = TextureModel(config)
    load_into(module, source.state_dict(), "a file")
    codes = [torch.randn(2, n) for n in (128, 20, 20)]
    assert torch.equal(module(*codes), source(*codes))


def test_foreign_tensors_are_named():
    tensors = network().state_dict()
    tensors["1.scale"] = tensors.pop("1.bias")
    tensors["0.weight"] = torch.zeros(4, 2)
    tensors["1.weight"] = tensors["1.weight"].double()
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_into(module, tensors, "foreign.safetensors")
    message = str(caught.value)
    for part in (
        "foreign.safetensors",
        "missing 1.bias",
        "unexpected 1.scale",
        "0.weight is (4, 2) instead of (3, 2)",
        "1.weight holds torch.float64 instead of torch.float32",
    ):
        assert part in message
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items()), "left untouched"


# -- arrays and pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "load"), [("base", load_picture), ("micro", load_arrays), ("template", Template.load)]
)
def test_truncated_assets_are_told(tmp_path, role, load):
    whole = verified("default", role)
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(WeightsError, match=path.name):
        load(path)


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, verts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(WeightsError, match="objects.npz"):
        load_arrays(path)


@pytest.mark.parametrize("packed", [False, True])
def test_flipped_or_cut_arrays_are_told_or_read_the_same(tmp_path, packed):
    arrays = {"verts": np.arange(60.0).reshape(20, 3), "faces": np.arange(30).reshape(10, 3)}
    (np.savez_compressed if packed else np.savez)(tmp_path / "a.npz", **arrays)
    whole, told = (tmp_path / "a.npz").read_bytes(), 0
    for seed in range(120):
        (tmp_path / "b.npz").write_bytes(damaged(whole, seed, start=300))
        try:
            read = load_arrays(tmp_path / "b.npz")
        except WeightsError:
            told += 1
            continue
        for name, value in read.items():  # a flip in a name leaves the numbers, under another one
            assert name not in arrays or np.array_equal(value.numpy(), arrays[name]), seed
    assert told > 60


def test_flipped_or_cut_pictures_are_told_or_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    whole, told = (tmp_path / "a.png").read_bytes(), 0
    for seed in range(120):
        (tmp_path / "b.png").write_bytes(damaged(whole, seed, start=60))
        try:
            assert load_picture(tmp_path / "b.png").dtype in (torch.uint8, torch.bool), seed
        except WeightsError:
            told += 1
    assert told > 60


def test_picture_of_absurd_size_is_told(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(WeightsError, match="a.png"):
        load_picture(tmp_path / "a.png")
