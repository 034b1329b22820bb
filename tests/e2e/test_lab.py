"""Notebook 02 in JupyterLab with a user's actions: run all, drag, mix, request new people, download, shut down."""

from __future__ import annotations

import json
import time
import zipfile

import pytest
from PIL import Image

import facekit
from tests.e2e.conftest import COUNT_CONTEXTS, ROOT, View, difference
from tests.viz.viewer.browser import window

pytestmark = pytest.mark.slow

SWEEP = json.dumps('facekit.sweep_intensity(pipe, person, "smile")')[1:-1]
NAME = "02_intensity_sweep.ipynb"
SECOND = "other = Viewer(pipe, seed=42, expression='anger', intensity=1.0, steps=4, height=400)\nother"

#: A cell that ends as notebooks do, in a link.
LINKED = """from pathlib import Path
from facekit.viz import notebook

Path("out/faces").mkdir(parents=True)
Path("out/faces/face.txt").write_text("a face")
notebook.offer_download("out/faces")"""


class Lab:
    """An open notebook, and the messages to its kernel."""

    def __init__(self, page) -> None:
        self.page, self.sent = page, []
        page.on("websocket", self._listen)

    def _listen(self, socket) -> None:
        if "/channels" in socket.url:
            socket.on("framesent", lambda frame: self.sent.append(frame))

    def command(self, name: str) -> None:
        # Not awaited: running cells ends when they have.
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def run_cell(self, index: int) -> None:
        cell = "window.jupyterapp.shell.currentWidget.content"
        self.page.evaluate(f"k => {{ {cell}.activeCellIndex = k; }}", index)
        self.command("notebook:run-cell")

    def idle(self, timeout: float = 400) -> None:
        """Wait until every code cell has run and the kernel is idle."""
        code = """() => {
          const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
          const cells = content.widgets.map((w) => w.model.toJSON()).filter((cell) => cell.cell_type === "code");
          return sessionContext.session?.kernel?.status === "idle" && cells.every((cell) => cell.execution_count);
        }"""
        end = time.monotonic() + timeout
        while not self.page.evaluate(code):
            assert time.monotonic() < end, "the notebook did not come to its end"
            self.page.wait_for_timeout(250)

    def errors(self) -> list:
        code = """() => window.jupyterapp.shell.currentWidget.content.widgets
          .flatMap((w) => w.model.toJSON().outputs ?? []).filter((o) => o.output_type === "error")"""
        return self.page.evaluate(code)


@pytest.fixture(scope="module")
def notebook(browser, lab):
    """02 with a cell more, which shows a second viewer; run from top to bottom.

    Of a shorter sweep and without its last cell, which only writes files: tests/test_notebooks.py runs all of it.
    """
    address, folder = lab
    text = (ROOT / "notebooks" / NAME).read_text(encoding="utf-8")
    assert SWEEP in text
    source = json.loads(text.replace(SWEEP, SWEEP.replace(")", ", steps=4)")))
    assert "offer_download" in "".join(source["cells"].pop()["source"])
    cell = {"cell_type": "code", "id": "second", "metadata": {}, "outputs": [], "execution_count": None}
    place = next(k for k, c in enumerate(source["cells"]) if "Viewer(" in "".join(c["source"]))
    source["cells"].insert(place + 1, {**cell, "source": SECOND.splitlines(keepends=True)})
    (folder / NAME).write_text(json.dumps(source), encoding="utf-8")
    # Half the pixels each way: what is drawn in software takes half of the time here.
    size = {"viewport": {"width": 1000, "height": 800}, "device_scale_factor": 0.5}
    context = window(browser, accept_downloads=True, **size)
    context.add_init_script(COUNT_CONTEXTS)
    page = context.new_page()
    page.set_default_timeout(60_000)
    opened = Lab(page)
    opened.place = place
    page.goto(f"{address}lab/tree/{NAME}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    opened.command("notebook:run-all-cells")
    opened.idle()
    yield opened
    context.close()


def viewer(notebook: Lab, index: int = 0) -> View:
    return View(notebook.page.locator(".facekit-viewer").nth(index)).ready()


def test_all_cells_run(notebook):
    assert notebook.errors() == []
    assert notebook.page.locator(".facekit-viewer").count() == 2


def test_dragging_sends_nothing_and_moves_the_face(notebook):
    view = viewer(notebook)
    view.drag("intensity", 0.5, 0.0)
    neutral = view.picture()
    view.page.mouse.up()
    view.page.wait_for_timeout(500)
    view.page.mouse.move(5, 5)
    view.page.wait_for_timeout(500)
    before = len(notebook.sent)
    view.drag("intensity", 0.0, 1.0, steps=8)
    posed = view.picture()
    during = len(notebook.sent) - before
    view.page.mouse.up()
    assert during == 0, "a movement needs no kernel"
    assert difference(neutral, posed) > 0.01
    view.wait("state.intensity > 1.4")
    view.page.wait_for_timeout(500)
    assert len(notebook.sent) > before, "when it is let go, Python hears"


def test_python_moves_the_face(notebook):
    view = viewer(notebook)
    notebook.run_cell(notebook.place + 3)  # past the second viewer and some prose
    view.wait("Math.abs(state.intensity - 1.2) < 1e-6")


def test_the_mixed_expression_shows(notebook):
    view = viewer(notebook)
    single = view.picture()
    view.control("add-expression").click()
    view.control("expression-1").select_option("brow_raiser")
    view.wait("state.mix.length === 2 && state.tracks.includes('brow_raiser') && !state.busy")
    mixed = view.picture()
    assert difference(single, mixed) > 0.003
    # The blend's own keyframes come by themselves.
    view.wait("state.tracks.includes(state.key)")
    view.control("remove-1").click()
    view.wait("state.mix.length === 1")
    assert difference(single, view.picture()) < 0.003


def test_new_face_is_another_person(notebook):
    view = viewer(notebook)
    before, seed = view.picture(), view.state["shown"]
    view.control("new-face").click()
    view.wait(f"state.shown !== {seed} && !state.busy")
    assert difference(before, view.picture()) > 0.05
    view.control("seed").fill("42")
    view.control("seed").press("Enter")
    view.wait("state.shown === 42 && !state.busy")


def test_downloads_are_whole(notebook, tmp_path):
    view = viewer(notebook)
    for kind in ("png", "glb"):
        with view.page.expect_download() as waiting:
            view.control(f"save-{kind}").click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        if kind == "png":
            assert len(Image.open(path).convert("RGB").resize((64, 64)).getcolors(5000)) > 200
        else:
            assert len(facekit.load(path).faces) > 40_000
            assert b'"targetNames"' in path.read_bytes(), "from Python, with its shape keys"


def test_two_viewers_do_not_touch_each_other(notebook):
    first, second = viewer(notebook, 0), viewer(notebook, 1)
    assert second.state["key"] == "anger"
    standing = first.state["intensity"]
    second.drag("intensity", 0.66, 0.1)
    second.page.mouse.up()
    assert second.state["intensity"] < 0.3
    assert first.state["intensity"] == standing


def test_running_a_cell_again_leaks_no_context(notebook):
    assert notebook.page.evaluate("facekitLive()") == 2
    for _ in range(2):
        notebook.run_cell(notebook.place)
        notebook.idle()
        viewer(notebook)
    assert notebook.page.locator(".facekit-viewer").count() == 2
    assert notebook.page.evaluate("facekitLive()") == 2


def test_without_a_kernel_the_slider_still_works(notebook):
    """Must run last for this notebook: it shuts the kernel down."""
    view = viewer(notebook)
    notebook.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    notebook.page.wait_for_timeout(1500)
    view.drag("intensity", 0.53, 0.0)
    neutral = view.picture()
    view.page.mouse.up()
    view.drag("intensity", 0.0, 1.0)
    assert difference(neutral, view.picture()) > 0.01
    view.page.mouse.up()


def test_a_folder_comes_through_its_link(browser, lab, tmp_path):
    """The link that a notebook ends in, clicked in another one: the bytes come."""
    address, folder = lab
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    cell["source"] = LINKED.splitlines(keepends=True)
    place = folder / "deeper" / "download.ipynb"
    place.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # or JupyterLab asks for one
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    place.write_text(json.dumps(notebook))
    context = window(browser, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    opened = Lab(page)
    # In a workspace of its own: the other notebook's, restored, would come to the front.
    page.goto(f"{address}lab/workspaces/second/tree/deeper/download.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    opened.command("notebook:run-all-cells")
    opened.idle(timeout=90)
    assert opened.errors() == []
    link = page.locator(".jp-OutputArea-output a")
    with page.expect_download() as waiting:
        link.click()
    assert waiting.value.suggested_filename == "faces.zip"
    waiting.value.save_as(tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        assert archive.read("face.txt") == b"a face"
    context.close()
