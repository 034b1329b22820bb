"""The viewer in a browser: the page from disk with the network off, and the notebook's module on a stand-in model."""

from __future__ import annotations

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import facekit
from facekit.io.glb_read import read_rig
from facekit.viz.viewer.block import Picture, pack
from facekit.viz.viewer.page import module_text, write_page
from facekit.viz.viewer.tracks import Subject, head_entries, track_entries
from tests.viz.viewer.browser import START, chromium
from tests.viz.viewer.browser import window as opened

HOST = "document.querySelector('.facekit-viewer')"
READY = ".facekit-viewer[data-state=ready]"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def face(default_pipeline):
    return default_pipeline(seed=3, expression="smile", intensity=0.8)


@pytest.fixture(scope="module")
def page_file(face, tmp_path_factory):
    path = tmp_path_factory.mktemp("viewer") / "face.html"
    return face.to_html(path, expressions=["smile", "mouth_stretch"], height=360)


@pytest.fixture(scope="module")
def blocks(default_pipeline, face):
    """A smiling head, and Python's answers, in base64."""
    source = Subject(default_pipeline, face.latents)
    header, arrays = head_entries(source)
    track, more = track_entries(source, "smile", 15)
    head = pack({**header, "seed": 3, "person": 0, "tracks": [track]}, {**arrays, **more})
    found = {"head": head, "other": pack({**header, "seed": 4, "person": 1, "tracks": [track]}, {**arrays, **more})}
    red = Image.new("RGB", (64, 64), (200, 20, 20))
    buffer = io.BytesIO()
    red.save(buffer, "PNG")
    blush = {"smile/texture": Picture(buffer.getvalue(), "image/png")}
    found["blush"] = pack({**header, "seed": 3, "person": 0, "tracks": [track]}, {**arrays, **more, **blush})
    for name in ("grin", "anger"):
        entry, parts = track_entries(source, name, 15)
        found[name] = pack({"tracks": [entry], "person": 0}, parts)
    return {name: base64.b64encode(block).decode() for name, block in found.items()}


STATE = {
    "expression": "smile",
    "intensity": 0.8,
    "seed": 3,
    "view": "texture",
    "light": "studio",
    "background": "studio",
    "detail_strength": 1.0,
    "height": 360,
    "_people": True,
}


class Window:
    """A browser page that records errors and network requests."""

    def __init__(self, browser, width=800, height=480, **options):
        self.context = opened(browser, viewport={"width": width, "height": height}, offline=True, **options)
        self.page = self.context.new_page()
        self.troubles, self.requests = [], []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.troubles.append(m.text))
        self.page.on("request", lambda r: self.requests.append(r.url))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def open(self, path):
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(READY)
        return self

    def start(self, blocks, **state):
        self.page.goto("about:blank")
        self.page.evaluate(START, [module_text(), {**STATE, **state}, blocks["head"]])
        self.page.wait_for_selector(READY)
        return self

    def state(self):
        return self.page.evaluate(f"{HOST}.facekit.state")

    def pixels(self):
        """The canvas as drawn, after what is pending was drawn."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shot = self.page.locator(".scene").screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)

    def control(self, name):
        return self.page.locator(f"[data-control={name}]")

    def download(self, name, path):
        with self.page.expect_download() as pending:
            self.control(f"save-{name}").click()
        pending.value.save_as(path)
        return path


def drag(window, share, release=True):
    """Drag the intensity slider's thumb to a fraction of its track with the mouse."""
    box = window.control("intensity").bounding_box()
    middle = box["y"] + box["height"] / 2
    mouse = window.page.mouse
    mouse.move(box["x"] + box["width"] * 0.8 / 1.5, middle)
    mouse.down()
    for k in range(1, 6):
        mouse.move(box["x"] + box["width"] * (0.8 / 1.5 + (share - 0.8 / 1.5) * k / 5), middle)
    if release:
        mouse.up()


def test_the_page_works_from_disk_without_a_network(browser, page_file, face, default_pipeline, tmp_path):
    text = page_file.read_text(encoding="utf-8")
    assert len(text) < 10e6
    assert "src=http" not in text.replace('"', "")
    with Window(browser, accept_downloads=True).open(page_file) as window:
        first = window.pixels()
        drag(window, 1.0)
        assert window.state()["intensity"] == 1.5
        second = window.pixels()
        assert np.abs(second - first).mean() > 0.5
        # Expressions by keyboard, as a select has them; then a blend, whose sum shows at once.
        window.control("expression-0").select_option("mouth_stretch")
        third = window.pixels()
        assert np.abs(third - second).mean() > 1
        window.control("add-expression").click()
        assert window.state()["key"] == "mouth_stretch:1+smile:0.5"
        assert np.abs(window.pixels() - third).mean() > 0.1
        window.control("remove-1").click()
        for view in ("clay", "wireframe", "tension"):
            before = window.pixels()
            window.page.locator(f"[data-control=view] [value={view}]").check(force=True)
            assert np.abs(window.pixels() - before).mean() > 1, view
        assert window.control("new-face").is_disabled()
        assert "Python" in window.control("new-face").get_attribute("title")
        check_downloads(window, tmp_path, default_pipeline(seed=3, expression="mouth_stretch", intensity=1.5))
        assert window.troubles == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in window.requests)


def check_downloads(window, tmp_path, exact):
    """Files made by the page are complete, and its face equals Python's within a twentieth of a millimetre."""
    rig, own = read_rig(window.download("glb", tmp_path / "face.glb")), exact.rig()
    vertices = exact.verts.shape[1]
    assert (rig.neutral.verts[:, :vertices] - own.neutral.verts).abs().max() < 0.05
    assert rig.neutral.texture.shape == exact.texture.shape
    for name, delta in zip(rig.names, rig.deltas, strict=True):
        assert (delta[:vertices] - own.deltas[own.names.index(name)]).abs().max() < 0.05, name
    worn = dict(zip(rig.names, rig.weights.tolist(), strict=True))
    assert {name: weight for name, weight in worn.items() if weight} == exact.expression_weights()[0]
    check_hair((tmp_path / "face.glb").read_bytes(), exact, own)
    archive = zipfile.ZipFile(window.download("obj", tmp_path / "face.zip"))
    assert archive.testzip() is None
    assert {"_hair.png", "_hair_coverage.png"} <= {name[name.index("_hair") :] for name in archive.namelist()[3:]}
    told = archive.read(archive.namelist()[0]).decode()
    assert told.count("\nv ") == vertices + len(exact.hair[0].verts) and "\no hair\n" in told
    archive.extractall(tmp_path)
    mesh = facekit.load(tmp_path / archive.namelist()[0])
    assert (mesh.verts - exact.verts).abs().max() < 0.05
    assert (mesh.faces == exact.mesh.faces).all()
    picture = Image.open(window.download("png", tmp_path / "face.png"))
    assert picture.size[0] > 300
    assert np.asarray(picture.convert("RGB")).std() > 10


def check_hair(data, exact, rig):
    """The page's GLB has hair as a separate primitive, whose strand texture equals Python's."""
    length = int.from_bytes(data[12:16], "little")
    told, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    head, hair = told["meshes"][0]["primitives"]
    assert len(hair["targets"]) == len(head["targets"])
    material = told["materials"][hair["material"]]
    assert material["alphaMode"] == "BLEND"
    source = told["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]["source"]

    def view(index):
        where = told["bufferViews"][index]
        return binary[where["byteOffset"] : where["byteOffset"] + where["byteLength"]]

    picture = np.asarray(Image.open(io.BytesIO(view(told["images"][source]["bufferView"])))).transpose(2, 0, 1) / 255
    wanted = exact.hair[0].texture.numpy()
    seen = wanted[3] > 0.35
    assert picture.shape == wanted.shape and np.abs(picture - wanted)[:, seen].max() < 0.06
    assert np.abs(picture[3] - wanted[3]).max() < 0.01 and picture[:3, wanted[3] == 0].mean() > 0.01
    places = told["accessors"][hair["attributes"]["POSITION"]]
    verts = np.frombuffer(view(places["bufferView"]), np.float32).reshape(-1, 3)[: len(rig.hair.neutral.verts)]
    assert np.abs(1000 * verts - rig.hair.neutral.verts.numpy()).max() < 0.01


@pytest.mark.parametrize("steps", [15, 60])
def test_a_frame_takes_a_few_milliseconds(browser, face, tmp_path, steps):
    """Blending and normals of 25k vertices: at most 10 ms. The best of some rounds: the machine does other things."""
    page = face.to_html(tmp_path / "face.html", expressions=["smile"], steps=steps)
    with Window(browser).open(page) as window:
        rounds = [window.page.evaluate(f"{HOST}.facekit.measure(40)") for _ in range(4)]
        assert rounds[0]["vertices"] == face.verts.shape[1]
        assert min(r["total"] for r in rounds) < 10


def test_it_fits_a_phone(browser, page_file):
    with Window(browser, 400, 800, has_touch=True, color_scheme="dark").open(page_file) as window:
        wide = window.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 400
        for name in ("intensity", "play", "expression-0", "save-glb", "reset"):
            box = window.control(name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 400
        before = window.state()["intensity"]
        window.control("play").tap()
        window.page.wait_for_function(f"{HOST}.facekit.state.intensity !== {before}")
        window.control("play").tap()
        assert not window.state()["playing"]


def test_keys_turn_and_everything_has_a_name(browser, page_file):
    with Window(browser).open(page_file) as window:
        canvas = window.page.get_by_role("application", name="The face in 3D")
        before = window.pixels()
        canvas.focus()
        for _ in range(4):
            window.page.keyboard.press("ArrowRight")
        assert np.abs(window.pixels() - before).mean() > 1
        window.page.keyboard.press("0")
        inside = slice(8, -8)  # of the mark that has the focus
        assert np.abs(window.pixels() - before)[inside, inside].mean() < 0.5
        slider = window.page.get_by_role("slider", name="Intensity")
        slider.focus()
        window.page.keyboard.press("ArrowRight")
        assert window.state()["intensity"] == pytest.approx(0.81)
        names = """[...document.querySelector('.facekit-viewer').shadowRoot
          .querySelectorAll('button, input, select')]
          .map((e) => e.getAttribute('aria-label') || (e.closest('label') ?? e).textContent.trim())"""
        assert all(window.page.evaluate(names))


def test_without_webgl_the_picture_stays(browser, page_file):
    with Window(browser) as window:
        window.page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        window.page.goto(page_file.as_uri())
        window.page.wait_for_selector(".facekit-viewer[data-state=still]")
        assert "WebGL" in window.page.locator(".note").inner_text()
        assert window.page.locator("img.still").bounding_box()["width"] > 300


def test_the_texture_follows_the_expression(browser, blocks):
    with Window(browser).start({"head": blocks["blush"]}, light="flat", intensity=0.0) as window:

        def redness():
            window.page.wait_for_timeout(200)  # pictures are decoded beside
            middle = window.pixels()[150:200, 200:250]
            return (middle[..., 0] - middle[..., 2]).mean()

        pale = redness()
        window.page.evaluate("model.set('intensity', 1.0)")
        assert redness() > pale + 50
        window.page.evaluate("model.set('intensity', 0.0)")
        assert redness() == pytest.approx(pale, abs=3)


def test_a_lost_context_can_be_had_again(browser, page_file):
    with Window(browser, smooth=True).open(page_file) as window:  # this one as everybody has it
        lose = (
            ".shadowRoot.querySelector('.face').getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()"
        )
        window.page.evaluate(HOST + lose)
        window.page.wait_for_selector(".facekit-viewer[data-state=still]")
        window.control("restore").click()
        window.page.wait_for_selector(READY)
        before = window.pixels()
        drag(window, 1.0)
        assert np.abs(window.pixels() - before).mean() > 0.5


def test_a_drag_sends_nothing(browser, blocks):
    with Window(browser).start(blocks) as window:
        window.page.evaluate("model.sent.length = 0")
        before = window.pixels()
        drag(window, 1.0, release=False)
        assert np.abs(window.pixels() - before).mean() > 0.5
        assert window.page.evaluate("[model.sent, model.saves]") == [[], []]
        assert window.page.evaluate("model.get('intensity')") == 1.5  # linked widgets see it already
        window.page.mouse.up()
        assert window.page.evaluate("[model.sent, model.saves]") == [[], [{"intensity": 1.5}]]
        window.page.evaluate("model.set('intensity', 0.25)")  # another widget
        assert window.state()["intensity"] == 0.25
        assert window.troubles == []


def answer(window, block, **content):
    """Python's answer to the last request."""
    window.page.evaluate(
        """([block, content]) => {
          const { id, person } = model.sent.filter((m) => m.ask === "track").at(-1);
          model.fire("msg:custom", { answer: "track", id, person, ...content }, block ? [bytes(block)] : []);
        }""",
        [block, content],
    )
    window.page.wait_for_timeout(50)


def asked(window):
    return [m["expression"] for m in window.page.evaluate("model.sent") if m["ask"] == "track"]


def test_the_last_request_wins(browser, blocks):
    with Window(browser).start(blocks) as window:
        for name in ("grin", "jaw_left", "anger"):
            window.control("expression-0").select_option(name)
        assert asked(window) == ["grin"]  # one at a time
        assert window.state()["busy"]
        answer(window, blocks["grin"])
        assert asked(window) == ["grin", "anger"]  # what was wanted in between is not asked for
        answer(window, blocks["anger"])
        state = window.state()
        assert (state["key"], state["busy"], state["note"]) == ("anger", False, "")
        assert sorted(state["tracks"]) == ["anger", "grin", "smile"]
        # The blend's own keyframes: asked for when the weight is let go.
        window.control("add-expression").click()
        assert asked(window)[2:] == [{"anger": 1, "smile": 0.5}]
        answer(window, None, answer="problem", message="no luck")
        assert window.state()["note"] == "no luck"
        assert asked(window)[3:] == []
        assert window.troubles == []


def test_a_new_face_is_asked_for_through_the_trait(browser, blocks):
    with Window(browser).start(blocks) as window:
        window.control("new-face").click()
        seed = window.page.evaluate("model.saves.at(-1).seed")
        assert window.state()["busy"]
        window.page.evaluate("block => model.set('_head', bytes(block))", blocks["other"])
        assert window.state()["shown"] == 3  # that is somebody else
        assert seed != 4
        window.control("seed").fill("4")
        window.control("seed").press("Enter")
        window.page.evaluate("block => model.set('_head', bytes(block))", blocks["other"])
        window.page.wait_for_selector(".facekit-viewer[data-seed='4']")
        assert not window.state()["busy"]
        assert window.troubles == []


def test_nothing_leaks(browser, blocks):
    with Window(browser) as window:
        window.page.add_init_script(
            """window.contexts = [];
            const get = HTMLCanvasElement.prototype.getContext;
            HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
              const context = get.call(this, kind, ...rest);
              if (kind.startsWith("webgl") && context) contexts.push(context);
              return context;
            };"""
        )
        window.start(blocks)
        two = window.page.evaluate(
            "async () => { window.second = start(); await second.host.facekit.ready; return 2; }"
        )
        living = "contexts.filter((context) => !context.isContextLost()).length"
        assert window.page.evaluate(living) == two
        listeners = window.page.evaluate("model.listeners.length")
        window.page.evaluate("second.close()")
        window.page.wait_for_function(f"{living} === 1")
        assert window.page.evaluate("model.listeners.length") == listeners / 2
        assert window.page.evaluate("document.querySelectorAll('.facekit-viewer').length") == 1
        drag(window, 1.0)
        assert window.state()["intensity"] == 1.5
        assert window.troubles == []


def test_settings_are_in_the_page(page_file):
    text = page_file.read_text(encoding="utf-8")
    state = json.loads(text.split('id="facekit-state">')[1].split("</script>")[0])
    assert state == {
        **{k: v for k, v in STATE.items() if not k.startswith("_")},
        "height": 360,
        "lang": "",
        "intensity": state["intensity"],
        "blendshapes": {},
    }
    assert state["intensity"] == pytest.approx(0.8)


def test_only_known_expressions_are_written(face, tmp_path):
    with pytest.raises(facekit.FacekitError, match="an expression out of"):
        write_page(face, tmp_path / "face.html", expressions=["simle"])
    assert list(tmp_path.iterdir()) == []
