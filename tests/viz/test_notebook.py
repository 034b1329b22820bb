"""Notebook helpers: setup report, pictures and tables stored in the notebook, complete downloads."""

from __future__ import annotations

import io
import subprocess
import sys
import types
import zipfile

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from facekit.errors import FacekitError, FileError, InputError
from facekit.install import install_line
from facekit.report import Table
from facekit.viz import notebook


@pytest.fixture
def shown(monkeypatch):
    """Displayed objects in order."""
    displayed = []
    real = notebook._display()
    fake = types.SimpleNamespace(Image=real.Image, HTML=real.HTML, FileLink=real.FileLink, display=displayed.append)
    monkeypatch.setattr(notebook, "_display", lambda: fake)
    return displayed


def decoded(image) -> Image.Image:
    return Image.open(io.BytesIO(image.data))


def test_report_names_the_versions(capsys):
    notebook.setup_report()
    assert f"torch {torch.__version__}" in capsys.readouterr().out


def test_report_asks_for_a_restart(monkeypatch):
    monkeypatch.setattr(notebook.metadata, "version", lambda name: "99.0")
    with pytest.raises(FacekitError, match="99.0.*restart the kernel"):
        notebook.setup_report()


def test_a_replaced_package_is_told_before_anything_heavy_is_imported():
    """numpy of another version on the disk than in the kernel: its import may fail in any way."""
    code = (
        "import sys, types; sys.modules['numpy'] = types.ModuleType('numpy'); sys.modules['numpy'].__version__ = '1.0';"
        "from facekit.viz import notebook; notebook.setup_report()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode
    assert "restart the kernel and run again" in done.stderr
    assert "got 1.0, imported before that" in done.stderr


def test_missing_parts_are_told_in_one_line_each(monkeypatch, capsys):
    monkeypatch.setattr(notebook.util, "find_spec", lambda name: None)
    notebook.setup_report()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["anywidget", "plotly"]
    assert all(install_line("notebook") in line for line in lines)


def test_optional_packages_are_installed_into_this_python(monkeypatch, capsys):
    ran = []

    def pip(command, **_):
        ran.append(command)
        return types.SimpleNamespace(returncode=len(ran) > 1, stdout="", stderr="first\nERROR: no such wheel")

    monkeypatch.setattr(notebook.util, "find_spec", lambda name: None)
    monkeypatch.setattr(notebook.subprocess, "run", pip)
    notebook.install("pytorch3d")
    assert ran[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert any(part.startswith("pytorch3d") for part in ran[0])
    assert "pytorch3d is installed" in capsys.readouterr().out
    with pytest.raises(FacekitError, match="got ERROR: no such wheel; go on without it"):
        notebook.install("pytorch3d")
    with pytest.raises(InputError, match="'numpy'"):
        notebook.install("numpy")


def test_show_takes_pictures_of_every_kind(shown, tmp_path, tiny_face):
    Image.new("RGB", (30, 20)).save(tmp_path / "still.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "moving.webp")
    for image in (Image.new("RGB", (30, 20)), torch.rand(3, 20, 30), torch.rand(2, 3, 20, 30), tmp_path / "still.png"):
        notebook.show(image)
    assert [decoded(image).size for image in shown] == [(30, 20), (30, 20), (60, 20), (30, 20)]
    notebook.show(str(tmp_path / "moving.webp"), width=99)
    assert "data:image/webp;base64," in shown[-1].data
    assert "width:99px" in shown[-1].data
    notebook.show(tiny_face.render(image_size=32))
    assert decoded(shown[-1]).size == (32, 32)


def test_show_takes_figures_and_tables(shown):
    notebook.show(Figure(figsize=(2, 1)))
    assert decoded(shown[-1]).width == pytest.approx(220, abs=2)
    table = Table({"a": ("mm", 1)}, [{"a": 1.0}])
    notebook.show(table)
    assert shown[-1] is table


def test_show_refuses_the_rest(shown, tmp_path):
    with pytest.raises(FileError, match="none at"):
        notebook.show(tmp_path / "missing.png")
    with pytest.raises(InputError, match="got int"):
        notebook.show(7)


def test_download_is_a_link_elsewhere(shown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "faces").mkdir(parents=True)
    (tmp_path / "out" / "faces" / "a.obj").write_text("v 0 0 0\n")
    notebook.offer_download("out/faces")
    assert shown[0].data.startswith('<a href="out/faces.zip" download="faces.zip">'), (
        "relative, or JupyterLab does not follow it"
    )
    notebook.offer_download(tmp_path / "out" / "faces.zip")
    assert shown[1].data == shown[0].data
    monkeypatch.chdir(tmp_path / "out" / "faces")
    notebook.offer_download(tmp_path / "out" / "faces.zip")
    assert len(shown) == 2, "outside the notebook's folder no link works"
    monkeypatch.chdir(tmp_path)
    assert "faces.zip (0.0 MB)" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "out" / "faces.zip") as archive:
        assert "a.obj" in archive.namelist()
    with pytest.raises(FileError, match="none at"):
        notebook.offer_download("out/other.zip")


def test_download_goes_through_the_browser_in_colab(monkeypatch, tmp_path):
    fetched = []
    colab = types.ModuleType("google.colab")
    colab.files = types.SimpleNamespace(download=fetched.append)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    (tmp_path / "face.glb").write_bytes(b"glTF")
    notebook.offer_download(tmp_path / "face.glb")
    assert fetched == [str(tmp_path / "face.glb")]
