"""Text of other tools and systems: byte order marks, old encodings, all line ends, decimal commas."""

from __future__ import annotations

import codecs

from facekit.errors import FileError

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def decoded(data: bytes) -> tuple[str, bool]:
    """Return the text with line feeds as line ends, and whether it was decoded as Latin-1.

    Raises
    ------
    FileError
        If the data contains zero bytes, and so is not text.
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
    # 0x1A marks the end of a file in DOS.
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")


def points_for_commas(words: list[str]) -> list[str]:
    """Convert decimal commas to points."""
    return [word.replace(",", ".") for word in words]
