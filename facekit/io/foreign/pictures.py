"""Files that a mesh file names: where they lie, and the pixels of its pictures."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, unquote_to_bytes

import numpy as np

from facekit.errors import FileError
from facekit.files.images import decode_texture
from facekit.io.foreign.parts import cut_off
from facekit.io.foreign.told import Told


def find(name: str, folder: Path, told: Told, what: str) -> Path | None:
    """Look for a file that another one names, and tell where it is not, or elsewhere.

    Names are taken with either slash and in any case; what is not where its folders say is looked for beside the file
    that names it.

    Parameters
    ----------
    what:
        What it is, for the note: ``"the texture"``.
    """
    name = name.strip().strip("\"'")
    parts = PureWindowsPath(name).parts
    exact = _is_file(Path(name) if Path(name).is_absolute() else folder / name)
    found = exact or (_below(folder, parts) if parts else None)
    if found is None and parts:
        found = _below(folder, parts[-1:])
        if found is not None:
            told.note(f"{what} {name} was taken from {found.name} beside the file")
    if found is None:
        told.note(f"{what} {name} is not there and was left out")
    return found


def uri_bytes(path: Path, uri: str, told: Told, what: str) -> bytes | None:
    """The data behind a URI, written out or beside the file; None where it is not there."""
    if uri.startswith("data:"):
        head, _, body = uri.partition(",")
        try:
            return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
        except (binascii.Error, ValueError) as error:
            raise cut_off("glTF", f"data in it that is no base64 ({error})") from error
    found = find(unquote(uri), path.parent, told, what)
    return None if found is None else found.read_bytes()


def pixels(data: bytes, told: Told, name: str) -> np.ndarray | None:
    """Return a picture's (H, W, 3 or 4) uint8, or None and a note for one that cannot be read."""
    try:
        picture, factor = decode_texture(data)
    except FileError as error:
        told.note(f"the texture {name} was left out ({error.got})")
        return None
    if factor > 1:
        told.note(f"the texture {name} was scaled down to {picture.shape[1]} x {picture.shape[0]}")
    return picture


def _is_file(path: Path) -> Path | None:
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # names that are too long, or have a zero in them
        return None


def _below(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """The file by these folders and its name, whatever their case and their way to write accents."""
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
