"""Text in every language that a system font supports, without placeholder boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facekit.viz import fonts
from facekit.viz.sheets import contact_sheet

WORDS = "표정 강도"


def test_latin_is_the_same_everywhere():
    assert "DejaVuSans.ttf" in fonts.font(12, False, "smile 0.8 ΔE …").path
    assert "DejaVuSans-Bold.ttf" in fonts.font(12, True, None).path


def test_korean_has_its_letters():
    if not fonts._others():
        pytest.skip("no Korean font on this machine")
    found = fonts.font(24, False, WORDS)
    assert not fonts.lacks(found.path, WORDS)
    shapes = {found.getmask(letter).getbbox() and bytes(found.getmask(letter)) for letter in WORDS if letter != " "}
    assert len(shapes) == 4, "boxes would look alike"
    page = contact_sheet([np.zeros((32, 32, 3), np.uint8)], [WORDS], cell_size=200)
    assert isinstance(page, Image.Image)


def test_without_a_font_it_is_told(monkeypatch):
    monkeypatch.setattr(fonts, "_others", lambda: ())
    with pytest.warns(UserWarning, match="NanumGothic"):
        fonts.font(12, False, WORDS)
