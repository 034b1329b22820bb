"""Notebook helpers: pictures stay in the notebook, sliders answer without rendering, downloads are whole."""

from __future__ import annotations

import io
import sys
import types
import zipfile

import pytest
import torch
from PIL import Image

from facekit import EXPRESSIONS, FaceLatents
from facekit.errors import FacekitError, FileError, InputError
from facekit.viz import notebook


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, in order."""
    displayed = []
    real = notebook._display()
    fake = types.SimpleNamespace(Image=real.Image, HTML=real.HTML, FileLink=real.FileLink, display=displayed.append)
    monkeypatch.setattr(notebook, "_display", lambda: fake)
    return displayed


@pytest.fixture
def no_widgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)


def decoded(image) -> Image.Image:
    return Image.open(io.BytesIO(image.data))


def decoded_value(widget) -> Image.Image:
    return Image.open(io.BytesIO(widget.value))


def test_report_names_the_versions(capsys):
    notebook.setup_report()
    assert f"torch {torch.__version__}" in capsys.readouterr().out


def test_report_asks_for_a_restart(monkeypatch):
    monkeypatch.setattr(notebook.metadata, "version", lambda name: "99.0")
    with pytest.raises(FacekitError, match="99.0.*restart the kernel"):
        notebook.setup_report()


def test_missing_widgets_are_told_in_one_line(no_widgets, capsys):
    assert notebook._widgets() is None
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "pip install 'facekit[notebook]'" in out


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


def test_show_refuses_the_rest(shown, tmp_path):
    with pytest.raises(FileError, match="none at"):
        notebook.show(tmp_path / "missing.png")
    with pytest.raises(InputError, match="got int"):
        notebook.show(7)


def test_intensity_slider_is_rendered_beforehand(shown, tiny_pipe):
    pytest.importorskip("ipywidgets")
    notebook.intensity_slider(tiny_pipe, FaceLatents.sample(7), "smile", steps=4, image_size=32)
    calls = tiny_pipe.calls
    slider, picture = shown[0].children
    assert [label for label, _ in slider.options] == ["0.00", "0.50", "1.00", "1.50"]
    assert slider.label == "1.00"
    frames = []
    for k in range(4):
        slider.value = k
        frames.append(picture.value)
    assert len(set(frames)) == 4
    assert all(data[:3] == b"\xff\xd8\xff" for data in frames), "JPEG"
    assert tiny_pipe.calls == calls


def test_pictures_that_are_there_are_used(shown, tiny_pipe):
    pytest.importorskip("ipywidgets")
    notebook.intensity_slider(tiny_pipe, FaceLatents.sample(7), "smile", pictures=torch.rand(6, 3, 40, 40))
    notebook.expression_picker(tiny_pipe, FaceLatents.sample(7), pictures=torch.rand(20, 3, 40, 40))
    assert tiny_pipe.calls == 0
    assert [label for label, _ in shown[0].children[0].options] == ["0.00", "0.30", "0.60", "0.90", "1.20", "1.50"]
    assert decoded_value(shown[1].children[2]).size == (40, 40)


def test_expression_picker_renders_other_intensities_once(shown, tiny_pipe):
    pytest.importorskip("ipywidgets")
    notebook.expression_picker(tiny_pipe, FaceLatents.sample(7), image_size=32)
    who, how, picture = shown[0].children
    assert [value for _, value in who.options] == list(EXPRESSIONS)
    calls = tiny_pipe.calls
    posed = picture.value
    who.value = "anger"
    assert tiny_pipe.calls == calls
    assert picture.value != posed
    how.value = 0.5
    assert tiny_pipe.calls == calls + 1
    how.value, who.value = 1.0, "smile"
    assert picture.value == posed
    who.value, how.value = "anger", 0.5
    assert tiny_pipe.calls == calls + 1


def test_without_widgets_everything_is_shown_at_once(shown, no_widgets, tiny_pipe):
    notebook.intensity_slider(tiny_pipe, FaceLatents.sample(7), "smile", steps=4, image_size=32)
    notebook.expression_picker(tiny_pipe, FaceLatents.sample(7), image_size=32)
    assert [image.format for image in shown] == ["png", "png"]


def test_download_is_a_link_elsewhere(shown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "faces").mkdir(parents=True)
    (tmp_path / "out" / "faces" / "a.obj").write_text("v 0 0 0\n")
    notebook.offer_download("out/faces")
    assert shown[0].path.endswith("faces.zip")
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
