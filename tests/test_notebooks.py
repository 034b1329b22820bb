"""The notebooks run from top to bottom on the embedded default, and are committed clean and stamped."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NAMES = ["00_setup", "01_generate", "02_intensity_sweep", "03_expression_sweep", "04_comparison", "05_detail"]

by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict]:
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == kind]


@pytest.fixture
def stamp():
    spec = importlib.util.spec_from_file_location("stamp", ROOT / "notebooks" / "stamp.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_are_there():
    assert [path.stem for path in NOTEBOOKS][: len(NAMES)] == NAMES


@by_name
def test_prose_and_calls(path):
    for cell in cells(path, "code"):
        source = "".join(cell["source"])
        assert len(source.splitlines()) < 20, source
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)], source
    assert len(cells(path, "markdown")) >= len(cells(path, "code")), "every call is introduced"


@by_name
def test_committed_without_outputs(path):
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@by_name
def test_badge_setup_and_download(path):
    opening = "".join(cells(path, "markdown")[0]["source"])
    assert opening.startswith("# ")
    assert "Open in Colab" in opening
    code = ["".join(cell["source"]) for cell in cells(path, "code")]
    assert "notebook.setup_report()" in code[0]
    assert "notebook.show(" in code[1], "a picture comes first"
    assert "notebook.offer_download(" in code[-1]


@pytest.mark.slow
@by_name
def test_runs_from_top_to_bottom(path, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    notebook = nbformat.read(copy, as_version=4)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    client = nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable  # whatever kernels are installed, this environment is tested
    client.execute(env=environment)
    shown = [kind for cell in notebook.cells for out in cell.get("outputs", []) for kind in out.get("data", {})]
    assert "image/png" in shown
    assert not [out for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "error"]
    assert max(len(json.dumps(cell)) for cell in notebook.cells) < 10e6, "Colab shows no larger output"
    assert any((tmp_path / "out").rglob("*.*"))


# -- the address ------------------------------------------------------------------------------------------------------


def test_committed_as_stamped(stamp, capsys):
    assert stamp.main(["--check"]) == 0, capsys.readouterr().out


@pytest.fixture
def repository_copy(stamp, tmp_path, monkeypatch):
    for name in ("pyproject.toml", "requirements-colab.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(stamp, "ROOT", tmp_path)
    monkeypatch.setattr(stamp, "FOLDER", tmp_path / "notebooks")
    return tmp_path


def test_an_address_is_stamped_once(stamp, repository_copy):
    assert stamp.main(["someone/some-faces", "--check"]) == 1
    assert stamp.main(["someone/some-faces"]) == 0
    texts = {path.name: path.read_text(encoding="utf-8") for path in (repository_copy / "notebooks").glob("*.ipynb")}
    for name, text in texts.items():
        assert f"colab.research.google.com/github/someone/some-faces/blob/main/notebooks/{name}" in text
        assert r"REPOSITORY, NEEDS = \"someone/some-faces\", [\"trimesh" in text
    assert 'repository = "someone/some-faces"' in (repository_copy / "pyproject.toml").read_text(encoding="utf-8")
    for arguments in ([], [""], ["someone/some-faces"]):
        assert stamp.main(arguments) == 0
        assert stamp.main(["--check"]) == 0
    after = {path.name: path.read_text(encoding="utf-8") for path in (repository_copy / "notebooks").glob("*.ipynb")}
    assert after == texts


@pytest.mark.parametrize("address", ["someone", "https://github.com/someone/faces", "a/b/c", "a b/c"])
def test_bad_addresses_are_told(stamp, repository_copy, address):
    with pytest.raises(SystemExit, match="expected owner/name"):
        stamp.main([address])


def test_an_unstamped_setup_says_what_to_upload(stamp):
    setup = stamp.SETUP.format(repository='""', needs="[]")
    compile(setup, "setup", "exec")
    assert "Put facekit's wheel" in setup
    assert len(setup.splitlines()) < 20
