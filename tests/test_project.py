"""The project's own files: releases install from both archives, and the citation is complete."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

import facekit
from tests import ROOT
from tests.test_wheel import run


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


@pytest.mark.slow
def test_both_archives_install(tmp_path):
    """A dry run of the release: sdist, a wheel of the sdist, and each of them makes a face elsewhere."""
    pytest.importorskip("build")
    source, out = tmp_path / "source", tmp_path / "dist"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    names = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in", "weights_manifest.json")
    source.mkdir()
    for name in (*names, "constraints.txt", "requirements-colab.txt"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "facekit", source / "facekit", ignore=ignored)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source))
    archives = {path.suffix: path for path in out.iterdir()}
    assert archives[".whl"].name.startswith("facekit3d-") and archives[".gz"].name.startswith("facekit3d-")
    with tarfile.open(archives[".gz"]) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"weights_manifest.json", "facekit/assets/shape.safetensors", "facekit/py.typed"} <= inside
    for archive in archives.values():
        target = tmp_path / f"installed{archive.suffix}"
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
        run(*pip, "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target), str(archive))
        environment = {**os.environ, "PYTHONPATH": str(target)}
        asked = (sys.executable, "-m", "facekit.cli", "export", "--out", "face.obj")
        run(*asked, cwd=target.parent, env=environment)
        assert (tmp_path / "face.obj").stat().st_size > 1_000_000
        (tmp_path / "face.obj").unlink()
        told = run(
            sys.executable, "-c", "import facekit.install as i; print(i.origin())", cwd=tmp_path, env=environment
        )
        assert told.strip() == f"from {archive.name}"
