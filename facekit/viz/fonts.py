"""Fonts of sheets: DejaVu Sans, which ships with matplotlib, and a system font for other letters (Korean)."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

from PIL import ImageFont

#: Font families with Hangul, in the order of preference: Linux, Colab, Windows, macOS.
FAMILIES = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "NanumBarunGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "Noto Sans CJK JP",
    "UnDotum",
    "Baekmuk Dotum",
)


def font(size: int, bold: bool = False, *texts: str | None) -> ImageFont.FreeTypeFont:
    """Return the font for texts: the same on every machine if DejaVu Sans has their letters.

    Parameters
    ----------
    texts:
        Texts to draw. If no system font has their letters either, a warning names one to install.
    """
    own = _own(bold)
    letters = "".join(text for text in texts if text)
    if lacks(own, letters):
        found = next((path for path in _others() if not lacks(path, letters)), None)
        if found is not None:
            return ImageFont.truetype(found, size)
        warnings.warn(
            "no installed font has these letters: install for instance Noto Sans CJK or NanumGothic", stacklevel=3
        )
    return ImageFont.truetype(own, size)


def lacks(path: str, text: str) -> str:
    """Return the letters of a text that a font file lacks."""
    known = _letters(path)
    return "".join(letter for letter in dict.fromkeys(text) if ord(letter) not in known and not letter.isspace())


def _own(bold: bool) -> str:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


@functools.cache
def _letters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


@functools.cache
def _others() -> tuple[str, ...]:
    from matplotlib import font_manager

    files = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    return tuple(files[name] for name in FAMILIES if name in files)
