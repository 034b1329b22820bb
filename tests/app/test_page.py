"""The demo page in Chromium: the viewer moves in its frame, sliders change the face, downloads are complete."""

from __future__ import annotations

import contextlib
import time

import pytest
from PIL import Image

import facekit
from facekit.app import work
from facekit.app.page import serve
from facekit.app.space import write
from facekit.errors import FacekitError, InputError
from tests.viz.viewer.axe import violations
from tests.viz.viewer.browser import chromium, window


def test_controls_are_checked():
    for values in (
        (-1, "smile", 1, 1, True),
        (1.5, "smile", 1, 1, True),
        (1, "smlie", 1, 1, True),
        (1, "smile", 9, 1, 1),
    ):
        with pytest.raises(InputError):
            work.make(*values)
    with pytest.raises(InputError):
        work.save("exe", 1, "smile", 1, 1, True)
    assert work.make(3.0, "smile", 0.5, 1, False).displacement is None


def test_files_and_sheet():
    assert len(facekit.load(work.save(next(iter(work.DOWNLOADS)), 3, "smile", 0.5, 1, True)).faces) > 40_000
    assert isinstance(work.sheet(3, 1, 1), Image.Image)


def test_files_are_deleted_after_a_while(monkeypatch):
    monkeypatch.setattr(work, "KEPT", 0.2)
    folder = work._folder()
    (folder / "face.glb").write_bytes(b"somebody")
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists() and folder.parent.exists()


def test_motions(tmp_path):
    csv = next(kind for kind, suffix in work.MOTIONS.items() if suffix == ".csv")
    own = facekit.Motion.sample()
    assert len(work.motion_of(None)) == len(work.motion_of(work.save_motion(csv, None, 3, 1))) == len(own)
    long = facekit.Motion.idle(work.LONGEST + 5).save(tmp_path / "long.csv")
    assert work.motion_of(str(long)).duration <= work.LONGEST + 0.05
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FacekitError, match="no column"):
        work.motion_of(str(tmp_path / "no.csv"))
    with pytest.raises(InputError):
        work.save_motion("exe", None, 3, 1)


def test_a_space_is_whole(tmp_path):
    files = {path.name: path for path in write(tmp_path)}
    assert files["README.md"].read_text(encoding="utf-8").startswith("---\ntitle: facekit\n")
    compile(files["app.py"].read_text(), "app.py", "exec")
    assert "[app]" in files["requirements.txt"].read_text()


@pytest.fixture(scope="module")
def address():
    pytest.importorskip("gradio", reason="gradio is not installed")
    app, url, _ = serve(prevent_thread_lock=True, quiet=True, inbrowser=False)
    yield url
    app.blocks.close()


@pytest.fixture(scope="module")
def browser(address):
    """Closed when the module ends, since Playwright's event loop keeps others out."""
    with chromium() as opened:
        yield opened


@pytest.mark.slow
def test_a_visit(address, browser, tmp_path):
    with contextlib.closing(
        window(browser, viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    ) as context:
        page = context.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.set_default_timeout(90_000)
        page.goto(address)
        frame = page.frame_locator("iframe")
        frame.locator(".facekit-viewer[data-state=ready]").wait_for(state="attached")
        before = page.locator("iframe").get_attribute("title")
        page.get_by_label("Expression", exact=True).first.click()
        page.get_by_role("option", name="anger", exact=True).click()
        page.wait_for_function("title => document.querySelector('iframe')?.title !== title", arg=before)
        slider = page.get_by_role("slider").first
        slider.focus()
        slider.press("ArrowRight")
        page.get_by_role("button", name="Make the file").click()
        link = page.locator("a[download]").first
        link.wait_for()
        with page.expect_download() as waiting:
            link.click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        assert path.suffix == ".glb" and "anger" in path.name
        assert len(facekit.load(path).faces) > 40_000
        assert b'"targetNames"' in path.read_bytes()
        assert not [url for url in asked if not url.startswith((address, "blob:", "data:", "about:"))], (
            "no other server"
        )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(address, browser, scheme):
    options = {"viewport": {"width": 1300, "height": 1000}, "color_scheme": scheme}
    with contextlib.closing(window(browser, **options)) as context:
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.goto(address)
        page.frame_locator("iframe").locator(".facekit-viewer[data-state=ready]").wait_for(state="attached")
        tabs = page.get_by_role("tab").all()
        assert len(tabs) == 4
        for tab in tabs:
            tab.click()
            page.wait_for_timeout(500)  # tabs fade in, and what fades has little contrast
            assert violations(page) == [], tab.inner_text()
