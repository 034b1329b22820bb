"""The project's own files: a complete citation, valid issue forms, and a release without a token."""

from __future__ import annotations

from pathlib import Path

import pytest

import facekit
from tests import ROOT


def read_yaml(path: Path) -> dict:
    return pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))


def test_citation():
    told = read_yaml(ROOT / "CITATION.cff")
    assert told["version"] == facekit.__version__ and told["license"] == "MIT"
    notes = " ".join(reference["notes"] + reference["title"] for reference in told["references"])
    assert all(name in notes for name in ("3DFaceCAM", "HiFace", "AUFART"))


def test_the_release_keeps_no_token():
    told = read_yaml(ROOT / ".github" / "workflows" / "release.yml")
    assert told["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")


def test_issue_forms_are_forms():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        if path.name != "config.yml":
            told = read_yaml(path)
            assert told["name"] and told["description"] and told["body"]


def test_the_lock_names_every_requirement():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    locked = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    names = {line.split("==")[0].split("[")[0].lower() for line in locked.splitlines() if "==" in line}
    for name in ("torch", "numpy", "pytest", "ruff", "jupyterlab", "gradio", "mkdocs-material", "imageio-ffmpeg"):
        assert name in setup and name in names
    assert "://" not in locked, "no index is named"
