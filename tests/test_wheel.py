"""The wheel, installed into an empty folder away from the repository, makes a face."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import ROOT

LIMIT = 38_000_000
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in", "weights_manifest.json")

pytestmark = pytest.mark.slow


def run(*command: str, **options) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: a build leaves its files beside the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        shutil.copy2(ROOT / name, source / name)
    shutil.copytree(ROOT / "facekit", source / "facekit", ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return target


@pytest.fixture
def elsewhere(installed, tmp_path) -> dict:
    """Options for :func:`run`: a working folder away from the repository, and only the wheel's facekit in sight."""
    # PYTHONPATH goes before what is installed; python -m adds the working folder, which is empty.
    return {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(installed)}}


def test_wheel_is_small_and_whole(wheel):
    assert wheel.stat().st_size <= LIMIT
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assets = {f"facekit/assets/{path.name}" for path in (ROOT / "facekit" / "assets").iterdir() if path.is_file()}
    assert assets | {
        "facekit/weights_manifest.json",
        "facekit/weights/manifest.schema.json",
        "facekit/py.typed",
    } <= set(names)
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]
    licences = {Path(name).name for name in names if ".dist-info/" in name}
    assert {"LICENSE", "NOTICE", "entry_points.txt"} <= licences


def test_installed_package_is_the_one_that_runs(installed, elsewhere):
    code = "import facekit, facekit.weights as w; w.verify('default'); print(facekit.__file__)"
    assert Path(run(sys.executable, "-c", code, **elsewhere).strip()) == installed / "facekit" / "__init__.py"


def test_module_makes_a_face(elsewhere):
    run(sys.executable, "-m", "facekit.cli", "generate", "--count", "1", "--out", "faces", **elsewhere)
    made = elsewhere["cwd"] / "faces"
    assert (made / "face_000000.glb").stat().st_size > 500_000
    assert (made / "manifest.jsonl").is_file()


def test_command_makes_a_face(installed, elsewhere):
    command = installed / "bin" / "facekit"
    if not command.exists():
        command = installed / "Scripts" / "facekit.exe"
    run(str(command), "export", "--seed", "7", "--expression", "smile", "--out", "smile.obj", **elsewhere)
    assert {"smile.obj", "smile.mtl", "smile_albedo.png"} <= {p.name for p in elsewhere["cwd"].iterdir()}
