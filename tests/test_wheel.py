"""The wheel and the sources, installed into empty folders away from the repository, make a face."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import ROOT

LIMIT = 38_000_000
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in", "weights_manifest.json")
SOURCES += ("constraints.txt", "requirements-colab.txt")

pytestmark = [pytest.mark.slow, pytest.mark.release]


def run(*command: str, **options) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """A dry run of the release: sdist (.gz), and a wheel (.whl) of the sdist.

    Built from a copy, since a build leaves its files beside the sources.
    """
    pytest.importorskip("build")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        shutil.copy2(ROOT / name, source / name)
    shutil.copytree(ROOT / "facekit", source / "facekit", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source))
    return {path.suffix: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def wheel(archives) -> Path:
    return archives[".whl"]


def install(archive: Path, target: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
    run(*pip, "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target), str(archive))
    return target


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("installed"))


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


def test_installed_package_is_the_one_that_runs(wheel, installed, elsewhere):
    code = "import facekit, facekit.weights as w, facekit.install as i; w.verify('default');"
    code += "print(facekit.__file__, i.origin(), sep=chr(10))"
    file, origin = run(sys.executable, "-c", code, **elsewhere).splitlines()
    assert Path(file) == installed / "facekit" / "__init__.py" and origin == f"from {wheel.name}"


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


def test_the_sources_install_and_make_a_face(archives, tmp_path):
    archive = archives[".gz"]
    assert archive.name.startswith("facekit3d-") and archives[".whl"].name.startswith("facekit3d-")
    with tarfile.open(archive) as opened:
        inside = {name.split("/", 1)[-1] for name in opened.getnames()}
    assert {"weights_manifest.json", "facekit/assets/shape.safetensors", "facekit/py.typed"} <= inside
    environment = {**os.environ, "PYTHONPATH": str(install(archive, tmp_path / "installed"))}
    code = "import facekit.install as i; print(i.origin()); from facekit.cli.main import main;"
    code += "raise SystemExit(main(['export', '--out', 'face.obj']))"
    told = run(sys.executable, "-c", code, cwd=tmp_path, env=environment)
    assert told.splitlines()[0] == f"from {archive.name}"
    assert (tmp_path / "face.obj").stat().st_size > 1_000_000
