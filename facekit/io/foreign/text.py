"""Text as other tools and systems write it: byte order marks, old encodings, all kinds of line ends, decimal commas."""

from __future__ import annotations

import codecs

from facekit.errors import FileError

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def decoded(data: bytes) -> tuple[str, bool]:
    """Return the text with line feeds alone at its line ends, and whether it had to be read as Latin-1.

    Raises
    ------
    FileError
        For data with zero bytes, which are no text.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            try:
                return _plain(data[len(mark) :].decode(encoding)), False
            except UnicodeDecodeError as error:
                raise FileError(f"text in {encoding}", f"{error}", "save it again as UTF-8") from error
    if b"\0" in data:
        raise FileError("text", "binary data", "check the file's format")
    try:
        return _plain(data.decode("utf-8")), False
    except UnicodeDecodeError:
        return _plain(data.decode("latin-1")), True


def _plain(text: str) -> str:
    # 0x1A is the end of file of DOS.
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")


def points_for_commas(words: list[str]) -> list[str]:
    """Return numbers with decimal points, where some have the commas of many countries."""
    return [word.replace(",", ".") for word in words]
