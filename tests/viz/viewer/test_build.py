"""The viewer's module in the package is up to date with its sources in viewer/."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from facekit.viz.viewer.page import MODULE
from tests import ROOT

SOURCES = ROOT / "viewer"


def test_versions_are_pinned_and_name_no_registry():
    package = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    lock = (SOURCES / "package-lock.json").read_text(encoding="utf-8")
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert version[0].isdigit(), f"{name} is not pinned"
        assert json.loads(lock)["packages"][f"node_modules/{name}"]["version"] == version
    assert '"resolved"' not in lock
    assert '"integrity"' in lock


def test_a_rebuild_gives_the_same_bytes(tmp_path):
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node and npm on this machine")
    folder = tmp_path / "viewer"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if done.returncode:
        pytest.skip(f"npm could not install: {done.stderr.strip().splitlines()[-1:]}")
    out = tmp_path / "viewer.js"
    subprocess.run(["node", "build.mjs", str(out)], cwd=folder, check=True, capture_output=True)
    assert out.read_bytes() == MODULE.read_bytes(), "run make viewer and commit facekit/viz/viewer/static"
