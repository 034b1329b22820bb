"""OBJ materials: colours and pictures, with the options before a picture's name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import Material
from facekit.io.foreign.pictures import find, pixels
from facekit.io.foreign.text import decoded, points_for_commas

#: Least and largest number of arguments per option. Variable arguments end at the first word that is not a number.
_OPTIONS = {
    "-s": (1, 3),
    "-o": (1, 3),
    "-t": (1, 3),
    "-mm": (2, 2),
    "-bm": (1, 1),
    "-boost": (1, 1),
    "-texres": (1, 1),
    "-blendu": (1, 1),
    "-blendv": (1, 1),
    "-cc": (1, 1),
    "-clamp": (1, 1),
    "-imfchan": (1, 1),
    "-type": (1, 1),
}


def read_materials(path: Path, libraries: list[str], notes: ImportNotes) -> dict[str, Material]:
    """Read the materials, by name, of an OBJ's libraries; missing files are noted.

    Parameters
    ----------
    path:
        Path of the OBJ, relative to which names are resolved.
    libraries:
        Arguments of its lines ``mtllib``.
    """
    found: dict[str, Material] = {}
    for line in libraries:
        quiet = ImportNotes(path)
        whole = find(line, path.parent, quiet, "the material file")
        # A line may name several files, but a file name with spaces is more likely.
        names = [line] if whole is not None or len(line.split()) < 2 else line.split()
        for name in names:
            library = find(name, path.parent, notes, "the material file")
            if library is not None:
                found |= _parse(library, notes)
    return found


def _parse(library: Path, notes: ImportNotes) -> dict[str, Material]:
    text, latin = decoded(library.read_bytes())
    if latin:
        notes.add(f"{library.name} is not UTF-8 and was read as Latin-1")
    found: dict[str, Material] = {}
    name = None
    for line in text.split("\n"):
        keyword, _, rest = line.strip().replace("\t", " ").partition(" ")
        keyword, rest = keyword.lower(), rest.strip()
        if keyword == "newmtl":
            name = rest
            found[name] = Material(name)
        elif name is not None and rest:
            found[name] = dataclasses.replace(found[name], **_statement(keyword, rest, library, notes))
    # A colour beside a picture is more often an exporter's default than a tint; Blender ignores it, too.
    return {key: m if m.picture is None else dataclasses.replace(m, colour=(1.0, 1.0, 1.0)) for key, m in found.items()}


def _statement(keyword: str, rest: str, library: Path, notes: ImportNotes) -> dict[str, Any]:
    if keyword == "kd":
        colour = _floats(rest.split())[:3]
        return {"colour": tuple(_linear(value) for value in colour)} if len(colour) == 3 else {}
    if keyword in ("d", "tr") and _floats(rest.split()[-1:]):
        value = _floats(rest.split()[-1:])[0]
        clear = value < 0.999 if keyword == "d" else value > 0.001
        if clear:
            notes.add("transparency was left out")
    if keyword != "map_kd":
        return {}
    name, fields = _without_options(rest)
    picture = find(name, library.parent, notes, "the texture") if name else None
    return {**fields, "picture": None if picture is None else pixels(picture.read_bytes(), notes, picture.name)}


def _without_options(rest: str) -> tuple[str, dict[str, Any]]:
    """Return the picture's name, which may contain spaces, and the options before it."""
    fields: dict[str, Any] = {}
    while rest.startswith("-"):
        option, _, after = rest.partition(" ")
        least, most = _OPTIONS.get(option.lower(), (0, 0))
        if not most:
            break  # a name that begins with a dash
        words: list[str] = []
        after = after.strip()
        while len(words) < most and after:
            word, _, later = after.partition(" ")
            if len(words) >= least and not _floats([word]):
                break
            words.append(word)
            after = later.strip()
        rest = after
        values = (_floats(words) + [None, None])[:2]
        if option.lower() == "-s":
            fields["scale"] = tuple(1.0 if v is None else v for v in values)
        elif option.lower() == "-o":
            fields["offset"] = tuple(0.0 if v is None else v for v in values)
        elif option.lower() == "-clamp" and words == ["on"]:
            fields["wrap"] = ("clamp", "clamp")
    return rest, fields


def _floats(words: list[str]) -> list[float]:
    """Return the leading numbers of a list of words."""
    numbers = []
    for word in points_for_commas(words):
        try:
            numbers.append(float(word))
        except ValueError:
            break
    return numbers


def _linear(value: float) -> float:
    """Convert from sRGB, the usual meaning of OBJ colours."""
    value = min(max(value, 0.0), 1.0)
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
