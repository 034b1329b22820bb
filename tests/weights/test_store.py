"""The store: files that differ from their record are never used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facekit import convert, weights
from facekit.errors import InputError, WeightsError
from facekit.weights import store


@pytest.fixture
def altered_assets(tmp_path, monkeypatch):
    """A copy of the embedded assets that a test may damage."""
    shutil.copytree(weights.assets_folder(), tmp_path / "assets")
    monkeypatch.setattr("facekit.weights.store.assets_folder", lambda: tmp_path / "assets")
    return tmp_path / "assets"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_default_is_whole():
    assert weights.ready("default")
    weights.verify("default")


@pytest.mark.parametrize("role", ["template", "shape", "texture", "base", "parts", "iris", "micro"])
def test_every_role_is_there(role):
    path = weights.verified("default", role)
    entry = weights.record("default").files[role]
    assert path == weights.path("default", role)
    assert path.stat().st_size == entry.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256


def test_unknown_role_lists_the_known():
    with pytest.raises(InputError, match="template.*'teeth'"):
        weights.verified("default", "teeth")


def test_missing_file_is_told(altered_assets):
    weights.path("default", "shape").unlink()
    with pytest.raises(WeightsError, match="shape file of 'default', got none.*reinstall"):
        weights.verify("default")


def test_truncated_file_is_told(altered_assets):
    path = weights.path("default", "texture")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="texture.safetensors of .* bytes, got"):
        weights.verify("default")


def test_altered_file_is_told(altered_assets):
    flip(weights.path("default", "texture"))
    with pytest.raises(WeightsError, match="sha256"):
        weights.verify("default")


# -- fetched models ----------------------------------------------------------------------------------------------------


def test_absent_model_tells_how_to_get_it():
    with pytest.raises(
        WeightsError, match=r"(?s)non-commercial.*facekit weights fetch 3dfacecam\n.*weights import 3dfacecam"
    ):
        weights.verified("3dfacecam", "shape")


def test_folder_without_a_record_is_no_model(small):
    convert.fetch("small")
    (weights.path("small") / "record.json").unlink()
    assert not weights.ready("small")
    with pytest.raises(WeightsError, match="got none in"):
        weights.verify("small")


@pytest.mark.parametrize("damage", [Path.unlink, flip, lambda path: path.write_bytes(b"")])
def test_damaged_model_is_told(small, damage):
    convert.fetch("small")
    damage(weights.path("small", "a"))
    with pytest.raises(WeightsError, match="facekit weights remove small"):
        weights.verify("small")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"files": {}}', '{"files": {"a": 1}}', '{"files": {"a": {"name": "b", "size": 1}}}'],
)
def test_damaged_record_is_told(small, content):
    convert.fetch("small")
    (weights.path("small") / "record.json").write_text(content)
    with pytest.raises(WeightsError, match="record.*facekit weights remove small"):
        weights.verified("small", "a")


def test_record_cannot_point_elsewhere(small):
    convert.fetch("small")
    path = weights.path("small") / "record.json"
    record = json.loads(path.read_text())
    record["files"]["a"]["name"] = "../../elsewhere"
    path.write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="another in"):
        weights.verified("small", "a")


def test_hashed_once_and_again_when_touched(small, monkeypatch):
    convert.fetch("small")
    hashed = []
    sha256_of = store.sha256_of
    monkeypatch.setattr(store, "sha256_of", lambda path: hashed.append(path.name) or sha256_of(path))
    path = weights.verified("small", "a")
    assert hashed == [], "fetching has hashed it"
    os.utime(path, ns=(1, 1))
    weights.verified("small", "a")
    weights.verified("small", "a")
    assert hashed == [path.name]
    weights.verify("small")
    assert len(hashed) == 4, "verify hashes all three"


def test_altered_file_of_the_same_size_is_told(small):
    convert.fetch("small")
    flip(weights.path("small", "a"))
    with pytest.raises(WeightsError, match="sha256"):
        weights.verified("small", "a")


def test_damaged_stamps_cost_time_only(small):
    convert.fetch("small")
    (weights.path("small") / "verified.json").write_text("{")
    weights.verified("small", "a")


# -- the cache folder, and what is loaded ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"FACEKIT_CACHE": "~/mine"}, "mine"),
        ("linux", {}, ".cache/facekit"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/facekit"),
        ("darwin", {}, "Library/Caches/facekit"),
        ("win32", {}, "AppData/Local/facekit/Cache"),
    ],
)
def test_cache_folder(tmp_path, monkeypatch, platform, variables, folder):
    for name in ("FACEKIT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert weights.cache_folder() == tmp_path / folder
    assert not (tmp_path / folder).exists(), "asking makes nothing"


def test_cache_folder_of_the_platform(tmp_path, monkeypatch):
    monkeypatch.delenv("FACEKIT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / "facekit"


def test_listing_needs_no_heavy_package():
    code = (
        "import sys, facekit.weights as w; w.models(); w.ready('3dfacecam')\n"
        "print([m for m in ('torch', 'numpy', 'requests', 'gdown', 'filelock', 'tqdm') if m in sys.modules])"
    )
    root = Path(weights.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_public_names_exist():
    pytest.importorskip("facekit.convert.published")
    assert all(getattr(weights, name) is not None for name in weights.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = weights.nonsense
