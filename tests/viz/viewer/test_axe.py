"""The viewer can be used by everybody, as far as axe tells; and it shows where the key light does not come."""

from __future__ import annotations

import pytest

import facekit
from tests.viz.viewer.axe import violations
from tests.viz.viewer.browser import START, chromium
from tests.viz.viewer.test_page import READY, STATE, Window, blocks, face  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(face, few_pairs, tmp_path_factory):  # noqa: F811
    """A page with all that there is: both tabs and a timeline."""
    path = tmp_path_factory.mktemp("viewer") / "face.html"
    return face.to_html(path, expressions=["smile"], steps=3, rig=True, motion=facekit.Motion.sample())


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (400, "dark")])
def test_axe_finds_nothing_in_a_page(browser, page_file, width, scheme):
    with Window(browser, width, 900, color_scheme=scheme).open(page_file) as window:
        assert violations(window.page) == []
        window.page.get_by_role("tab", name="Rig").click()
        assert violations(window.page) == []


def test_axe_finds_nothing_in_the_viewer(browser, blocks):  # noqa: F811
    from facekit.viz.viewer.page import module_text

    with Window(browser, 1100, 900) as window:
        # What a notebook's page has around its outputs.
        window.page.set_content("<!doctype html><html lang='en'><title>x</title><main></main></html>")
        window.page.evaluate(START.replace("document.body", "document.querySelector('main')"), [
            module_text(), STATE, blocks["head"],
        ])  # fmt: skip
        window.page.wait_for_selector(READY)
        assert [line for line in violations(window.page) if "page-has-heading-one" not in line] == []


def test_the_jaw_throws_its_shadow_on_the_neck(browser, face, tmp_path):  # noqa: F811
    path = face.without_hair().to_html(tmp_path / "bare.html", expressions=["smile"], steps=3)
    with Window(browser, 1100, 900).open(path) as window:
        grey = window.pixels().mean(axis=2)
        height, width = grey.shape
        lit, dark = (grey[int(0.9 * height) - 6 :, int(x * width) - 6 : int(x * width) + 6][:12] for x in (0.42, 0.58))
        assert dark.mean() < 0.8 * lit.mean()
