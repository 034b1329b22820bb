"""The link that a notebook ends in, clicked in JupyterLab: the bytes come."""

from __future__ import annotations

import json
import zipfile

import pytest

from tests.e2e.test_lab import Lab

pytestmark = pytest.mark.slow

CODE = """from pathlib import Path
from facekit.viz import notebook

Path("out/faces").mkdir(parents=True)
Path("out/faces/face.txt").write_text("a face")
notebook.offer_download("out/faces")"""


def test_a_folder_comes_through_its_link(browser, lab, tmp_path):
    address, folder = lab
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    cell["source"] = CODE.splitlines(keepends=True)
    place = folder / "deeper" / "download.ipynb"
    place.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # or JupyterLab asks for one
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    place.write_text(json.dumps(notebook))
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    opened = Lab(page)
    page.goto(f"{address}lab/tree/deeper/download.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    opened.command("notebook:run-all-cells")
    opened.idle()
    assert opened.errors() == []
    link = page.locator(".jp-OutputArea-output a")
    with page.expect_download() as waiting:
        link.click()
    assert waiting.value.suggested_filename == "faces.zip"
    waiting.value.save_as(tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        assert archive.read("face.txt") == b"a face"
    context.close()
