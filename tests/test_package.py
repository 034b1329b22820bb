"""The repository as a package: the manifest is correct, the assets are small, no file contains paths of a machine."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import facekit
from tests import ROOT

ASSETS = ROOT / "facekit" / "assets"
LIMIT = 40_000_000

manifest = json.loads((ROOT / "weights_manifest.json").read_text(encoding="utf-8"))
FILES = [(model, role) for model, entry in manifest["models"].items() if entry["embedded"] for role in entry["files"]]

CACHES = {"__pycache__", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"}
SKIPPED = {
    ".git",
    ".venv",
    ".venv-colab",
    ".venv-newest",
    ".venv-3.10",
    ".venv-3.11",
    ".venv-3.12",
    ".venv-3.13",
    "site",
    "node_modules",
    ".train",
    "out",
    "dist",
    "build",
    *CACHES,
}
BINARY = {".png", ".webp", ".gif", ".npz", ".safetensors", ".jpg"}
# Written in pieces, so that this file does not name what it forbids.
MACHINE_PATHS = re.compile("(?:/" + r"(?:work|root|home|Users)/\w|[A-Z]:\\Users)")


@pytest.mark.parametrize(("model", "role"), FILES)
def test_manifest_is_true(model, role):
    file = manifest["models"][model]["files"][role]
    data = (ASSETS / file["name"]).read_bytes()
    assert len(data) == file["size"]
    assert hashlib.sha256(data).hexdigest() == file["sha256"]


def test_assets_are_small_and_known():
    files = [path for path in ASSETS.iterdir() if path.name != "__pycache__"]
    assert sum(path.stat().st_size for path in files) <= LIMIT
    assert {path.suffix for path in files} <= {".safetensors", ".npz", ".png", ".md"}
    named = {
        entry["name"] for model in manifest["models"].values() if model["embedded"] for entry in model["files"].values()
    }
    assert {path.name for path in files if path.suffix != ".md"} == named


def repository_files() -> list[Path]:
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not SKIPPED & set(path.relative_to(ROOT).parts) and ".egg-info" not in str(path)
    ]


def test_no_file_names_a_machine():
    named = {
        path.relative_to(ROOT).as_posix(): found.group()
        for path in repository_files()
        if path.suffix not in BINARY
        if (found := MACHINE_PATHS.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert not named


def test_colab_requirements_leave_the_kernel_alone():
    lines = [line for line in (ROOT / "requirements-colab.txt").read_text().splitlines() if line and line[0] != "#"]
    assert lines
    assert not [line for line in lines if re.match(r"(torch|numpy)\b", line)]


def test_version_is_in_the_changelog():
    assert f"## [{facekit.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
