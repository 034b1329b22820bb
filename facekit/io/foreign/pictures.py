"""Files that a mesh file refers to: their paths, and the pixels of pictures."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, unquote_to_bytes

import numpy as np

from facekit.errors import FileError
from facekit.files.images import decode_texture
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import cut_off


def find(name: str, folder: Path, notes: ImportNotes, what: str) -> Path | None:
    """Find a file that another one refers to, and note if it is missing or elsewhere.

    Names may have either slash and any case; a file that is not at its path is searched for beside the file that refers
    to it.

    Parameters
    ----------
    what:
        Description for the note: ``"the texture"``.
    """
    name = name.strip().strip("\"'")
    parts = PureWindowsPath(name).parts
    exact = _is_file(Path(name) if Path(name).is_absolute() else folder / name)
    found = exact or (_below(folder, parts) if parts else None)
    if found is None and parts:
        found = _below(folder, parts[-1:])
        if found is not None:
            notes.add(f"{what} {name} was taken from {found.name} beside the file")
    if found is None:
        notes.add(f"{what} {name} is missing and was left out")
    return found


def uri_bytes(path: Path, uri: str, notes: ImportNotes, what: str) -> bytes | None:
    """Return the data of a URI, inline or in a file beside it; None if it is missing."""
    if uri.startswith("data:"):
        head, _, body = uri.partition(",")
        try:
            return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
        except (binascii.Error, ValueError) as error:
            raise cut_off("glTF", f"data in it that is no base64 ({error})") from error
    found = find(unquote(uri), path.parent, notes, what)
    return None if found is None else found.read_bytes()


def pixels(data: bytes, notes: ImportNotes, name: str) -> np.ndarray | None:
    """Return a picture's pixels (H, W, 3 or 4) uint8; for an unreadable one None, with a note."""
    try:
        picture, factor = decode_texture(data)
    except FileError as error:
        notes.add(f"the texture {name} was left out ({error.got})")
        return None
    if factor > 1:
        notes.add(f"the texture {name} was scaled down to {picture.shape[1]} x {picture.shape[0]}")
    return picture


def _is_file(path: Path) -> Path | None:
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # names that are too long or contain a zero byte
        return None


def _below(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """Return the file with these folders and this name, ignoring case and the encoding of accents."""
    for part in parts:
        if part in (".", "./", ".\\"):
            continue
        try:
            names = {_folded(entry.name): entry for entry in folder.iterdir()}
        except OSError:
            return None
        found = folder.parent if part == ".." else names.get(_folded(part))
        if found is None:
            return None
        folder = found
    return _is_file(folder)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
