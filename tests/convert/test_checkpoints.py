"""Upstream's checkpoints: only tensors are accepted, and each mismatch is named."""

from __future__ import annotations

import builtins
import collections
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from facekit.convert.checkpoints import NETWORKS, network_shapes, read_networks, read_state
from facekit.errors import WeightsError
from facekit.models.config import PUBLISHED_SHAPE, PUBLISHED_TEXTURE, ShapeConfig
from facekit.models.shape import ShapeModel
from tests.convert import published

IDENTITY = NETWORKS[1]


@pytest.fixture
def states():
    return published.state_dicts(published.SMALL)


@pytest.fixture
def save(tmp_path):
    """Save the state dicts; returns the paths by network."""

    def write(states, legacy=False):
        paths = {network: tmp_path / network.path.replace("/", "-") for network in NETWORKS}
        for network, path in paths.items():
            torch.save(states[network.path], path, _use_new_zipfile_serialization=not legacy)
        return paths

    return write


class Payload:
    """Object that leaves a marker when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payloads(marker):
    return [
        Payload(os.system, f"touch {marker}"),
        Payload(builtins.open, str(marker), "w"),
        Payload(builtins.eval, f"open({str(marker)!r}, 'w')"),
        Payload(os.mkdir, str(marker)),
        Payload(np.save, str(marker), 1),
        Payload(torch.save, 1, str(marker)),
    ]


def test_published_names_and_shapes():
    shapes = network_shapes(published.FULL)
    decoder, identity, expression, texture = (shapes[network] for network in NETWORKS)
    assert decoder["fc0.0.weight"] == (512, 130)
    assert decoder["fc1.0.weight"] == (1024, 512)
    assert decoder["fc2.0.weight"] == (78951, 1024)
    assert [identity[f"fc{k}.0.weight"] for k in range(4)] == [(256, 25), (512, 256), (1024, 512), (100, 1024)]
    assert expression["fc0.0.weight"] == (256, 45)
    assert expression["fc3.0.bias"] == (30,)
    assert [len(names) for names in shapes.values()] == [6, 8, 8, 48]
    assert texture["input_layer.0.conv.weight_orig"] == (168, 256, 4, 4)
    assert texture["progression_64.conv.0.conv.weight_orig"] == (128, 256, 3, 3)
    assert texture["to_rgb_512.conv.weight_orig"] == (3, 64, 1, 1)
    assert "to_rgb_4.conv.weight_orig" not in texture
    assert published.FULL["shape"]["vertices"] == PUBLISHED_SHAPE.vertices
    assert PUBLISHED_TEXTURE.sizes[-1] == 512


@pytest.mark.parametrize("legacy", [False, True])
def test_networks_are_read_and_named_as_our_modules(save, states, legacy):
    roles = read_networks(save(states, legacy), published.SMALL)
    module = ShapeModel(ShapeConfig(**published.SMALL["shape"]))
    module.load_state_dict(roles["shape"])
    assert torch.equal(roles["shape"]["generator_identity.fc0.0.weight"], states[IDENTITY.path]["fc0.0.weight"])
    stripped = {name.removeprefix("module."): value for name, value in states[published.TEXTURE].items()}
    assert stripped.keys() == roles["texture"].keys()
    assert all(torch.equal(stripped[name], value) for name, value in roles["texture"].items())


def test_prefix_and_parameters_are_taken_off(save, states):
    wrapped = {f"module.{name}": torch.nn.Parameter(value) for name, value in states[IDENTITY.path].items()}
    state = read_state(save({**states, IDENTITY.path: wrapped})[IDENTITY], "here")
    assert state.keys() == states[IDENTITY.path].keys()
    assert not any(isinstance(value, torch.nn.Parameter) or value.requires_grad for value in state.values())


def test_views_of_one_storage_become_tensors_of_their_own(save, states):
    state = states[IDENTITY.path]
    flat = torch.cat([value.flatten() for value in state.values()])
    offset, views = 0, {}
    for name, value in state.items():
        views[name] = flat[offset : offset + value.numel()].view(value.shape)
        offset += value.numel()
    views["fc1.0.weight"] = state["fc1.0.weight"].T.contiguous().T
    tensors = read_networks(save({**states, IDENTITY.path: views}), published.SMALL)["shape"]
    for name, value in state.items():
        read = tensors[f"generator_identity.{name}"]
        assert torch.equal(read, value)
        assert read.is_contiguous()
        assert read.untyped_storage().nbytes() == value.nbytes


def test_every_fault_of_every_file_is_named(save, states):
    decoder, identity, texture = states[published.DECODER], states[published.IDENTITY], states[published.TEXTURE]
    decoder["fc9.0.bias"] = decoder.pop("fc1.0.bias")
    identity["fc0.0.weight"] = identity["fc0.0.weight"].T.contiguous()
    identity["fc2.0.weight"][3, 3] = float("nan")
    texture["module.to_rgb_512.conv.bias"] = texture["module.to_rgb_512.conv.bias"].double()
    texture["module.to_rgb_256.conv.bias"][0] = -float("inf")
    with pytest.raises(WeightsError) as caught:
        read_networks(save(states), published.SMALL)
    for part in (
        "ae/Decoder/2000 (shape decoder): missing fc1.0.bias",
        "ae/Decoder/2000 (shape decoder): unexpected fc9.0.bias",
        "8.0 (identity generator): fc0.0.weight is (25, 16) instead of (16, 25)",
        "8.0 (identity generator): fc2.0.weight holds numbers that are not finite",
        "142000_g.model (texture generator): to_rgb_512.conv.bias holds torch.float64 instead of torch.float32",
        "142000_g.model (texture generator): to_rgb_256.conv.bias holds numbers that are not finite",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", ["sparse", "csr", "quantised", "complex", "half", "integer", "meta", "expanded"])
def test_other_kinds_of_tensors_are_refused(save, states, kind):
    value = states[IDENTITY.path]["fc0.0.weight"]
    states[IDENTITY.path]["fc0.0.weight"] = {
        "sparse": lambda: value.to_sparse(),
        "csr": lambda: value.to_sparse_csr(),
        "quantised": lambda: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        "complex": lambda: value.to(torch.complex64),
        "half": lambda: value.half(),
        "integer": lambda: value.int(),
        "meta": lambda: value.to("meta"),
        "expanded": lambda: torch.zeros(1).expand(1 << 20, 1 << 20),
    }[kind]()
    with pytest.raises(WeightsError, match=r"fc0\.0\.weight|checkpoint of tensors"):
        read_networks(save(states), published.SMALL)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"a": 1}, {1: torch.zeros(1)}, {"model": {}}, None])
def test_anything_but_a_dict_of_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a")
    with pytest.raises(WeightsError, match="the network"):
        read_state(tmp_path / "a", "the network")


def test_names_that_differ_in_the_prefix_alone_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1), "module.a": torch.ones(1)}, tmp_path / "a")
    with pytest.raises(WeightsError, match="every tensor once"):
        read_state(tmp_path / "a", "the network")


# -- nothing is executed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("container", ["zip", "legacy", "pickle", "tar", "script"])
def test_payloads_are_not_executed(tmp_path, kind, container):
    marker, path = tmp_path / "marker", tmp_path / "a"
    state = collections.OrderedDict(weight=torch.zeros(2), payload=payloads(marker)[kind])
    if container in ("zip", "legacy"):
        torch.save(state, path, _use_new_zipfile_serialization=container == "zip")
    elif container == "pickle":
        path.write_bytes(pickle.dumps(payloads(marker)[kind]))
    elif container == "tar":
        (tmp_path / "pickle").write_bytes(pickle.dumps(payloads(marker)[kind]))
        with tarfile.open(path, "w") as archive:
            for member in ("sys_info", "storages", "tensors", "pickle"):
                archive.add(tmp_path / "pickle", member)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for member in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
                archive.writestr(f"a/{member}", pickle.dumps(payloads(marker)[kind]))
    with pytest.raises(WeightsError):
        read_state(path, "the network")
    assert not marker.exists()


def test_markers_would_be_seen(tmp_path):
    for kind, payload in enumerate(payloads(tmp_path / "marker")):
        marker = tmp_path / f"marker{kind}"
        pickle.loads(pickle.dumps(payloads(marker)[kind]))  # noqa: S301 - the payloads above do work
        assert marker.exists() or marker.with_name(marker.name + ".npy").exists(), payload.call


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_packed_content_is_refused(tmp_path, compression):
    torch.save({"weight": torch.zeros(1 << 20)}, tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a") as whole, zipfile.ZipFile(tmp_path / "b", "w", compression) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(WeightsError, match="unexpected member|more content"):
        read_state(tmp_path / "b", "the network")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_damaged_checkpoints_are_told_or_read_the_same(tmp_path, seed, legacy):
    random, path = np.random.default_rng(seed), tmp_path / "a"
    state = {"fc0.0.weight": torch.arange(600.0).view(20, 30), "fc0.0.bias": torch.arange(20.0)}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    data = bytearray(path.read_bytes())
    # The older format has no checksums: there, only what describes the numbers can be told, so only that is flipped.
    last = data.index(b"fc0.0.bias") - 100 if legacy else len(data)
    if seed % 3 == 0:
        data = data[: random.integers(len(data))]
    else:
        data[random.integers(last)] ^= 1 << random.integers(8)
    path.write_bytes(data)
    try:
        read = read_state(path, "the network")
    except WeightsError:
        return
    assert legacy or (read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state))
