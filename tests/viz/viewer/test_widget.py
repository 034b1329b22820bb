"""The viewer's Python side: traits, what it answers, what it leaves behind. The page itself: test_viewer_page.py."""

from __future__ import annotations

import base64
import ctypes
import dataclasses
import gc
import importlib
import io
import re
import resource
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.errors import InputError, MissingDependencyError
from facekit.files.images import to_uint8
from facekit.install import install_line
from facekit.io.glb_read import read_rig
from facekit.latents import FaceLatents
from facekit.source import RigSource
from facekit.viz.viewer.block import unpack
from facekit.viz.viewer.page import MODULE, pose_of

pytest.importorskip("anywidget", reason="the notebook extra is not installed")
traitlets = pytest.importorskip("traitlets")

from facekit.viz import Viewer  # noqa: E402

START = {
    "seed": 7,
    "expression": "smile",
    "intensity": 0.8,
    "view": "texture",
    "light": "studio",
    "detail_strength": 1.0,
}


@pytest.fixture(scope="module")
def shared(default_pipeline):
    return Viewer(default_pipeline, **START)


@pytest.fixture
def viewer(shared, monkeypatch):
    viewer = shared
    for name, value in START.items():
        setattr(viewer, name, value)
    viewer.sent = []
    monkeypatch.setattr(viewer, "send", lambda content, buffers=None: viewer.sent.append((content, buffers)))
    return viewer


def ask(viewer, **content):
    """One message as the page sends it, and the answer with its block or file."""
    viewer._handle_custom_msg({"id": "x-1", **content}, [])
    answer, buffers = viewer.sent.pop()
    assert answer["id"] == "x-1"
    return answer, buffers[0] if buffers else None


def test_the_first_view_is_light(viewer):
    assert len(viewer._head) + MODULE.stat().st_size < 5e6
    header, _ = unpack(viewer._head)
    assert [track["key"] for track in header["tracks"]] == ["smile"]
    assert (header["seed"], header["person"]) == (7, viewer._person)


def test_the_module_is_small_and_asks_nobody():
    text = MODULE.read_text(encoding="utf-8")
    assert MODULE.stat().st_size < 700_000
    assert "import(" not in text
    assert "fetch(" not in text
    assert {line for line in text.split('"') if line.startswith("http")} <= {
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/2000/svg",
    }


def test_the_face_follows_the_traits(viewer, default_pipeline):
    assert torch.equal(viewer.face.verts, default_pipeline(seed=7, expression="smile", intensity=0.8).verts)
    assert viewer.face is viewer.face  # made once
    viewer.expression, viewer.intensity, viewer.detail_strength = {"grin": 0.5, "anger": 0.25}, 1.0, 0.5
    assert viewer.face.expression_weights() == [{"anger": 0.25, "grin": 0.5}]
    assert viewer.face.detail.strength == 0.5
    assert torch.equal(viewer.latents.expression, viewer.face.latents.expression)


def test_a_seed_brings_another_person(viewer, default_pipeline):
    seen, before = [], viewer._person
    viewer.observe(lambda change: seen.append(change["new"]), "seed")
    viewer.seed = 9
    header, arrays = unpack(viewer._head)
    assert (seen, header["seed"], header["person"]) == ([9], 9, before + 1)
    neutral = default_pipeline(seed=9, expression="neutral").verts[0]
    assert torch.equal(torch.from_numpy(arrays["verts"].copy()), neutral)
    assert viewer.face.metadata == {"seed": 9}


def test_sliders_cost_nothing(viewer, monkeypatch):
    """Python only computes for a new person or a new expression."""
    monkeypatch.setattr(viewer._subject, "source", None)
    viewer.set_state({"intensity": 1.2, "view": "tension", "light": "rim", "detail_strength": 0.3})
    assert (viewer.intensity, viewer.view, viewer.sent) == (1.2, "tension", [])


def test_widgets_link(viewer):
    ipywidgets = pytest.importorskip("ipywidgets")
    slider = ipywidgets.FloatSlider(min=0, max=1.5, step=0.01)
    link = ipywidgets.link((viewer, "intensity"), (slider, "value"))
    assert slider.value == 0.8
    slider.value = 1.1
    assert viewer.intensity == 1.1
    link.unlink()
    assert ipywidgets.jslink((slider, "value"), (viewer, "intensity")) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("expression", "simle"),
        ("expression", {}),
        ("intensity", 1.6),
        ("view", "x-ray"),
        ("seed", -1),
        ("light", "sun"),
    ],
)
def test_bad_traits_are_refused(viewer, name, value):
    with pytest.raises(traitlets.TraitError):
        setattr(viewer, name, value)


def test_an_expression_is_sent_when_it_is_asked_for(viewer):
    answer, block = ask(viewer, ask="track", expression="grin", person=viewer._person)
    header, arrays = unpack(block)
    assert (answer["answer"], header["tracks"][0]["key"], header["tracks"][0]["steps"]) == ("track", "grin", 15)
    assert arrays["grin/position/0"].dtype == "int16"
    answer, block = ask(viewer, ask="track", expression={"grin": 0.5, "smile": 1}, person=viewer._person)
    assert unpack(block)[0]["tracks"][0]["key"] == "grin:0.5+smile:1"


def test_requests_for_someone_who_has_left_are_late(viewer):
    answer, block = ask(viewer, ask="track", expression="grin", person=viewer._person - 1)
    assert (answer["answer"], block) == ("late", None)


def test_what_cannot_be_answered_is_told(viewer):
    answer, block = ask(viewer, ask="track", expression="simle", person=viewer._person)
    assert answer["answer"] == "problem"
    assert "an expression out of" in answer["message"]
    assert block is None
    assert ask(viewer, ask="hello")[0]["answer"] == "hello"


def test_downloads_are_exact(viewer, tmp_path):
    pose = {"expression": "grin", "intensity": 0.7, "stem": "face_7"}
    _, data = ask(viewer, ask="file", format="glb", **pose)
    path = tmp_path / "face.glb"
    path.write_bytes(data)
    rig = read_rig(path)
    assert rig.weights[rig.names.index("grin")] == pytest.approx(0.7)
    _, data = ask(viewer, ask="file", format="obj", **pose)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.namelist()[:3] == ["face_7.obj", "face_7.mtl", "face_7.png"]
    assert ask(viewer, ask="file", format="exe", **pose)[0]["answer"] == "problem"


def test_a_still_picture_stays(viewer):
    data, _ = viewer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    drawn = Image.fromarray(to_uint8(viewer.face.render(image_size=480).rgb[0]))
    near, true = (np.asarray(p.convert("RGB").reduce(6), dtype=float) for p in (picture, drawn))
    assert np.abs(near - true).max() < 12  # of 255; a palette of 256 colours turned blue eyes brown
    assert len(data["image/jpeg"]) < 60_000
    assert viewer._ipython_display_ is None  # or ipywidgets 7 shows the widget without the picture


def test_save_chooses_by_suffix(viewer, tmp_path):
    viewer.intensity = 1.0
    assert viewer.save(tmp_path / "face.obj").is_file()
    page = viewer.save(tmp_path / "face.html", expressions=["smile"]).read_text(encoding="utf-8")
    assert page.count("</script>") == 3
    assert '"intensity": 1.0' in page
    with pytest.raises(InputError, match="ends in"):
        viewer.save(tmp_path / "face.exe")


def test_of_a_face(default_pipeline, tiny_face):
    face = default_pipeline(seed=3, expression={"smile": 0.6, "anger": 0.3}, detail="static", detail_strength=0.5)
    viewer = Viewer.of(face)
    assert viewer.intensity == pytest.approx(0.6)
    assert (viewer.expression, viewer.seed) == ({"smile": 1.0, "anger": 0.5}, 3)
    assert (viewer._subject.detail, viewer.detail_strength) == ("static", 0.5)
    torch.testing.assert_close(viewer.face.verts, face.verts, atol=1e-3, rtol=0)
    tiny = Viewer.of(dataclasses.replace(tiny_face, source=RigSource(tiny_face.rig())))
    assert not tiny._people
    torch.testing.assert_close(tiny.face.verts, tiny_face.verts, atol=1e-3, rtol=0)


def test_of_latents(default_pipeline):
    latents = FaceLatents.sample(4).lerp(FaceLatents.sample(5), 0.5)
    viewer = Viewer(default_pipeline, latents=latents, expression="anger", detail=False)
    assert viewer.seed is None
    assert viewer.face.displacement is None
    assert torch.equal(viewer.face.latents.identity, latents.identity)


def test_bad_arguments_are_refused(default_pipeline):
    for wrong, message in (
        ({"latents": FaceLatents.sample(0, 2)}, "latents of one face"),
        ({"steps": 1}, "steps"),
        ({"expression": "simle"}, "an expression out of"),
        ({"view": "x-ray"}, "view out of"),
        ({"colour": "red"}, "settings out of"),
    ):
        with pytest.raises(InputError, match=message):
            Viewer(default_pipeline, **wrong)


def test_pose_of_the_neutral_face(tiny_pipe):
    assert pose_of(tiny_pipe(seed=1)) == ("smile", 0.0)


def test_without_anywidget_the_install_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "facekit.viz.viewer.widget")
    with pytest.raises(MissingDependencyError, match=re.escape(install_line("notebook"))):
        importlib.import_module("facekit.viz.viewer.widget")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' own books")
def test_viewers_that_are_dropped_free_their_memory(default_pipeline):
    """Widgets are never released, displayed or not, so they must hold little memory."""

    def megabytes() -> float:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # glibc keeps what was freed, in pieces
            trim(0)
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    for seed in (0, 1):  # a style is made ready once, and kept
        Viewer(default_pipeline, seed=seed, hair="long01")
    before = megabytes()
    for seed in range(2, 5):
        Viewer(default_pipeline, seed=seed, hair="long01")
    assert megabytes() - before <= 36, "12 MB each: what the browser was sent, hair with it"
