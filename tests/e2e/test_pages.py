"""Self-contained pages, opened from disk without a network: the viewer without WebGL, and a comparison's report.

What the viewer's page does with WebGL is tested in tests/viz/viewer/test_page.py.
"""

from __future__ import annotations

import pytest

from facekit import compare
from tests.viz.viewer.browser import chromium

pytestmark = pytest.mark.slow


def watched(page) -> list[str]:
    """Errors in the page, and its network requests."""
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else None)
    return troubles


def test_with_webgl_off_there_is_a_message_and_the_picture(default_pipeline, tmp_path):
    face = default_pipeline(seed=42, expression="smile", intensity=0.8)
    path = face.to_html(tmp_path / "face.html", expressions=["smile"], steps=3)
    with chromium("--disable-3d-apis") as browser:
        page = browser.new_page(offline=True)
        troubles = watched(page)
        page.goto(path.as_uri())
        page.wait_for_selector('.facekit-viewer[data-state="still"]')
        still = page.locator(".facekit-viewer img.still")
        assert still.is_visible()
        assert still.evaluate("image => image.naturalWidth") >= 400
        assert "WebGL" in page.locator(".facekit-viewer .note").inner_text()
        # Chromium itself says on the console that it has no context.
        assert [text for text in troubles if "WebGL" not in text] == []


@pytest.fixture(scope="module")
def report(default_pipeline, tmp_path_factory):
    rows, columns = compare.expressions("smile"), compare.intensities(steps=3)
    folder = tmp_path_factory.mktemp("report")
    compare.grid(default_pipeline, rows, columns, title="A smile", image_size=64).save(folder)
    return folder / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_a_report_opens_anywhere(report, width, scheme):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        troubles = watched(page)
        page.goto(report.as_uri())
        assert page.title() == "A smile"
        sizes = page.eval_on_selector_all("img", "images => images.map((image) => image.naturalWidth)")
        assert len(sizes) == 3
        assert min(sizes) > 100
        assert page.locator("tbody tr").count() == 4
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, "wide tables scroll by themselves"
        assert troubles == []
