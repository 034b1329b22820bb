"""The documentation is complete: every page is linked, every link works, every public name has its entry."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from facekit.cli.main import build_parser
from tests import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *(DOCS / "ko").glob("*.md")])
BLOCK = re.compile(r"```(\w+)\n(.*?)```", flags=re.DOTALL)

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """The pages as ``docs/build.py`` lays them out, the gallery without its pictures."""
    spec = importlib.util.spec_from_file_location("build", DOCS / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    build.PAGES = tmp_path_factory.mktemp("site") / "docs"
    assert build.main(["--pages"]) == 0
    return build.PAGES


def test_links_lead_somewhere(laid_out):
    for page in laid_out.rglob("*.md"):
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith(("http", "#")):
                place = (page.parent / target.split("#")[0]).resolve()
                assert place.exists(), f"{page.relative_to(laid_out)} leads to {target}"


def test_every_page_is_in_the_menu(laid_out):
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.relative_to(laid_out).as_posix() for page in laid_out.rglob("*.md")}
    listed = set(re.findall(r"[\w/-]+\.md", menu))
    assert {page for page in pages if not page.startswith("reference/")} == listed
    notebooks = {path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert {Path(name).name for name in re.findall(r"notebooks/[\w-]+\.ipynb", menu)} == notebooks


def test_every_public_name_has_an_entry(laid_out):
    import facekit

    text = (laid_out / "reference" / "facekit.md").read_text(encoding="utf-8")
    names = set(re.findall(r"::: facekit\.[\w.]*\.(\w+)", text))
    assert names == set(facekit.__all__) - {"__version__"}


def _statements(page: Path) -> list[str]:
    """A page's Python without comments."""
    return [ast.unparse(ast.parse(code)) for kind, code in BLOCK.findall(page.read_text("utf-8")) if kind == "python"]


@pytest.mark.slow
@pytest.mark.release
@by_page
def test_python_runs(page, tmp_path, monkeypatch, loaded_once):
    if page.parent.name == "ko" and _statements(page) == _statements(page.parents[1] / page.name):
        return  # the same code but for its comments, which runs from the English page
    monkeypatch.chdir(tmp_path)
    if page.name == "data-sets.md":
        from facekit.cli.main import main

        assert main(["generate", "--count", "1", "--out", "people"]) == 0
        assert main(["generate", "portrait", "--count", "2", "--out", "faces", "--workers", "1"]) == 0
    if page.name == "from-a-photograph.md":
        pytest.importorskip("mediapipe")
    if page.name == "from-a-video.md":
        pytest.importorskip("mediapipe")
        import facekit

        pipe = facekit.FacePipeline.from_pretrained()
        facekit.Motion.sample().slice(3.2, 3.7).resample(15).save("clip.mp4", pipe(seed=15), image_size=320)
    names: dict[str, object] = {}
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(block, page.name, "exec"), names)


@by_page
def test_commands_are_understood(page):
    lines = [line for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    for line in lines:
        if line.startswith("facekit "):
            assert callable(build_parser().parse_args(shlex.split(line, comments=True)[1:]).run), line


@pytest.mark.slow
@pytest.mark.release
def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("mkdocs")
    done = subprocess.run([sys.executable, "docs/build.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr and "ERROR" not in done.stderr, done.stderr
    home = (ROOT / "site" / "gallery" / "index.html").read_text(encoding="utf-8")
    assert home.count("<img") >= 6
