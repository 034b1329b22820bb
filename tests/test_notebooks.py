"""The notebooks run from top to bottom on the embedded default, and are committed clean and stamped."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import sys
import types
from pathlib import Path

import pytest

from tests import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NAMES = [
    "00_setup",
    "01_generate",
    "02_intensity_sweep",
    "03_expression_sweep",
    "04_comparison",
    "05_detail",
    "06_rig_and_motion",
    "07_from_photos",
    "08_from_video",
    "09_evaluation",
    "10_datasets",
]

FEWER_PEOPLE = """
import dataclasses, sys
QUICK = sys.modules[generation.__module__].QUICK = dataclasses.replace(QUICK, people=12, made=8)
sys.modules[generation.__module__]._SWEPT_SKINS = 2
"""
#: What notebooks do more of than a test needs, frames and pictures above all, and how little of it is done here.
LESS = {
    "03_expression_sweep": {"count=5,": "count=2,"},
    "06_rig_and_motion": {"image_size=256, fps=15": "image_size=256, fps=4"},
    "07_from_photos": {'["photo", "gan"]': '["gan"]'},
    "08_from_video": {"slice(2.8, 6.0)": "slice(2.8, 3.8)"},
    "09_evaluation": {"import QUICK, generation\n": "import QUICK, generation\n" + FEWER_PEOPLE},
    "10_datasets": {
        "count=100": "count=30",
        "slice(0, 80), slice(80, 100)": "slice(0, 24), slice(24, 30)",
        "total_steps=200": "total_steps=10",
        "range(200)": "range(10)",
        "randint(80, (32,))": "randint(24, (32,))",
    },
}

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
        assert len(source.splitlines()) < (50 if cell["id"] == "setup" else 20), source  # the first one is folded
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


def test_the_detail_notebook_offers_the_displacement():
    code = "".join(cells(ROOT / "notebooks" / "05_detail.ipynb", "code")[-1]["source"])
    assert 'save_maps(face, "out/detail")' in code and 'offer_download("out/detail")' in code


def test_nobody_is_too_dark_to_show_folds():
    for path in NOTEBOOKS:
        source = "".join("".join(cell["source"]) for cell in cells(path, "code"))
        assert "seed=7," not in source and "sample(7)" not in source, f"{path.stem}: seed 7 hides what is to be seen"


@pytest.mark.slow
@pytest.mark.notebook
@by_name
def test_runs_from_top_to_bottom(path, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    notebook = nbformat.read(copy, as_version=4)
    for text, shorter in LESS.get(path.stem, {}).items():
        (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
        cell.source = cell.source.replace(text, shorter)
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
    html = " ".join(
        "".join(o.get("data", {}).get("text/html", "")) for c in notebook.cells for o in c.get("outputs", [])
    )
    links = re.findall('<a href="([^"]+)" download', html)
    assert links and all((tmp_path / link).is_file() for link in links), "JupyterLab follows relative links only"


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


# -- Korean -----------------------------------------------------------------------------------------------------------


@by_name
def test_the_korean_twin_runs_the_same_code(path):
    twin = path.parent / "ko" / path.name
    assert cells(twin, "code") == cells(path, "code")
    for cell, korean in zip(cells(path, "markdown"), cells(twin, "markdown"), strict=True):
        assert cell["id"] == korean["id"]
        assert re.search("[가-힣]", "".join(korean["source"])), korean
        assert re.findall(r"`[^`]+`", "".join(cell["source"])) == re.findall(r"`[^`]+`", "".join(korean["source"]))


def test_prose_that_changed_is_to_be_translated(stamp, repository_copy):
    path = repository_copy / "notebooks" / "00_setup.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("## A face", "## Somebody"), encoding="utf-8")
    with pytest.raises(SystemExit, match="00_setup.md to fit the English prose, got changes in cell-02"):
        stamp.main([])
    assert stamp.main(["--translated"]) == 0
    assert stamp.main(["--check"]) == 0


# -- the setup cell ---------------------------------------------------------------------------------------------------


@pytest.fixture
def colab(stamp, tmp_path, monkeypatch):
    """Run the setup cell as Colab would, without facekit; returns the arguments of pip."""
    files, drive = types.ModuleType("google.colab.files"), types.ModuleType("google.colab.drive")
    module = types.ModuleType("google.colab")
    module.files, module.drive = files, drive
    for name, fake in {"google": types.ModuleType("google"), "google.colab": module}.items():
        monkeypatch.setitem(sys.modules, name, fake)
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    monkeypatch.setenv("FACEKIT_CACHE", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    def run(uploads=(), keep=False, repository="") -> list[list[str]]:
        files.upload = lambda: [Path(name).write_bytes(b"wheel") for name in uploads]
        drive.mount = lambda place: (tmp_path / "drive").mkdir(exist_ok=True)
        asked = []
        monkeypatch.setattr("subprocess.run", lambda command, check: asked.append(command))
        cell = stamp.setup_cell(repository).replace("/content/drive/MyDrive", str(tmp_path / "drive"))
        cell = cell.replace("KEEP_WEIGHTS_IN_DRIVE = False", f"KEEP_WEIGHTS_IN_DRIVE = {keep}")
        exec(compile(cell.replace("notebook.setup_report()", ""), "setup", "exec"), {})
        return asked

    return run


def test_colab_asks_for_the_wheel(colab, capsys):
    first, second = colab(uploads=["facekit3d-0.1.0-py3-none-any (1).whl"])
    assert any("trimesh" in word for word in first) and not any("torch" in word for word in first)
    assert second[-2] == "--no-deps" and Path(second[-1]).name == "facekit3d-0.1.0-py3-none-any.whl"
    assert Path(second[-1]).is_file()
    assert "make wheel" in capsys.readouterr().out


def test_colab_takes_the_newest_wheel(colab, tmp_path):
    for age, name in enumerate(["facekit3d-0.2.0-py3-none-any (2).whl", "facekit3d-0.1.0-py3-none-any.whl"]):
        Path(name).write_bytes(name.encode())
        os.utime(name, (1e9 - age, 1e9 - age))
    assert Path(colab()[-1][-1]).name == "facekit3d-0.2.0-py3-none-any.whl"


def test_colab_finds_the_wheel_in_drive_and_keeps_weights_there(colab, tmp_path):
    (tmp_path / "drive" / "facekit").mkdir(parents=True)
    (tmp_path / "drive" / "facekit" / "facekit3d-0.1.0-py3-none-any.whl").touch()
    assert colab(keep=True)[-1][-1].endswith(".whl")
    assert os.environ["FACEKIT_CACHE"] == str(tmp_path / "drive" / "facekit" / "cache")


def test_colab_takes_the_address_once_there_is_one(colab):
    assert colab(repository="a/b")[-1][-1] == "facekit3d @ git+https://github.com/a/b"


def test_without_a_wheel_it_says_what_to_do(colab):
    with pytest.raises(SystemExit, match="Put its wheel, facekit3d-"):
        colab()


def test_elsewhere_a_checkout_is_installed_with_its_extra(colab, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab")
    (tmp_path / "weights_manifest.json").touch()
    (command,) = colab()
    assert command[-1] == f"{tmp_path}[notebook]"
