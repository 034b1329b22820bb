"""Read any PLY: normalise header and line ends for trimesh, and check for truncation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facekit.errors import FileError
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import Material, Mended, cut_off
from facekit.io.foreign.pictures import find, pixels
from facekit.io.foreign.text import decoded

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
#: Property names that trimesh does not know, and their equivalents.
_NAMES = {
    "diffuse_red": "red",
    "diffuse_green": "green",
    "diffuse_blue": "blue",
    "r": "red",
    "g": "green",
    "b": "blue",
    "texture_s": "texture_u",
    "texture_t": "texture_v",
}
_HEADER = re.compile(rb"\s*end_header[ \t]*(\r\n|\n|\r)")
_INDEX = ("vertex_indices", "vertex_index")
#: Elements that are passed on. Of edges, trimesh makes paths, for which it needs SciPy.
_KEPT = ("vertex", "face")


@dataclass
class _Element:
    name: str
    count: int
    #: Name, type, and for lists the type of their length.
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)


def mend(path: Path, data: bytes, notes: ImportNotes) -> Mended:
    """Rewrite a PLY for trimesh.

    Raises
    ------
    FileError
        If the file is not a PLY, is truncated, or has no faces.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    end = _HEADER.search(data)
    if data[:3].lower() != b"ply" or end is None:
        raise FileError("a PLY file", f"{path}, without a PLY's header", "check the file's format")
    header, _ = decoded(data[: end.start()])
    lines = [line.strip() for line in header.split("\n") if line.strip()]
    body = data[end.end() :]
    encoding, elements, textures = _parse(lines)
    faces = next((e for e in elements if e.name == "face"), None)
    if faces is None or not faces.count:
        raise FileError("a PLY file with faces", "points only", "export it with its triangles")
    if encoding == "ascii":
        body = _ascii(body, elements)
    elif encoding not in ("binary_little_endian", "binary_big_endian"):
        raise FileError("an ASCII or binary PLY", f"the format {encoding!r}", "export it again")
    else:
        body = _binary(body, elements, "<" if "little" in encoding else ">")
    texture = None
    for name in textures[:1]:
        picture = find(name, path.parent, notes, "the texture")
        texture = None if picture is None else pixels(picture.read_bytes(), notes, picture.name)
    if len(textures) > 1:
        notes.add(f"textures after the first one ({', '.join(textures[1:])}) were left out")
    head = [f"ply\nformat {encoding} 1.0\n"]
    for element in (e for e in elements if e.name in _KEPT):
        head.append(f"element {element.name} {element.count}\n")
        for name, kind, length in element.properties:
            head.append(f"property {f'list {length} ' if length else ''}{kind} {_NAMES.get(name, name)}\n")
    data = "".join([*head, "end_header\n"]).encode() + body
    mapped = any(name == "texcoord" for name, _, _ in faces.properties)
    return Mended(data, "ply", materials={"": Material("texture", texture)}, weld=mapped or texture is not None)


def _parse(lines: list[str]) -> tuple[str, list[_Element], list[str]]:
    """Return encoding, elements and texture names."""
    encoding, elements, textures = "", [], []
    try:
        for line in lines[1:]:
            words = line.split()
            keyword = words[0].lower()
            if keyword == "format":
                encoding = words[1].lower()
            elif keyword == "comment" and len(words) > 2 and words[1].lower() == "texturefile":
                textures.append(line.split(None, 2)[2])
            elif keyword == "element":
                elements.append(_Element(words[1], int(words[2])))
            elif keyword == "property" and words[1] == "list":
                _ = _TYPES[words[2]], _TYPES[words[3]]
                elements[-1].properties.append((words[4], words[3], words[2]))
            elif keyword == "property":
                _ = _TYPES[words[1]]
                elements[-1].properties.append((words[2], words[1], None))
    except (LookupError, ValueError) as error:
        raise FileError("a PLY file", f"a header with the line {line!r}", "export it again") from error
    if any(element.count < 0 for element in elements):
        raise FileError("a PLY file", "a negative number of elements", "export it again")
    return encoding, elements, textures


def _ascii(body: bytes, elements: list[_Element]) -> bytes:
    """Normalise the body line by line; each line has the numbers of its element. Extra elements are dropped."""
    lines = [line for line in decoded(body)[0].split("\n") if line.strip()]
    if len(lines) < sum(element.count for element in elements):
        raise cut_off("PLY", f"{len(lines)} lines where its header says {sum(e.count for e in elements)}")
    row, kept = 0, []
    for element in elements:
        lists = any(length for _, _, length in element.properties)
        for line in lines[row : row + element.count]:
            words = line.split()
            least = len(element.properties)
            if len(words) < least or (lists and len(words) < _length(words, element)):
                raise cut_off("PLY", f"the line {line[:60]!r}")
        if element.name in _KEPT:
            kept += lines[row : row + element.count]
        row += element.count
    return ("\n".join(kept) + "\n").encode()


def _length(words: list[str], element: _Element) -> int:
    """Return the number of values in a line with lists."""
    place = 0
    for _, _, length in element.properties:
        if length and place < len(words):
            try:
                place += max(int(words[place]), 0)
            except ValueError as error:
                raise FileError("a PLY file", f"a list of {words[place]!r} numbers", "export it again") from error
        place += 1
    return place


def _binary(body: bytes, elements: list[_Element], order: str) -> bytes:
    """Return the body without extra elements; faces with different numbers of corners, which trimesh does not read,
    are triangulated.
    """
    place = 0
    parts = []
    for element in elements:
        if not any(length for _, _, length in element.properties):
            size = element.count * sum(np.dtype(_TYPES[kind]).itemsize for _, kind, _ in element.properties)
            data = body[place : place + size]
            if place + size > len(body):
                raise cut_off("PLY", f"{len(body)} bytes where its header says more than {place + size}")
        else:
            data, size = _lists(body, place, element, order)
        if element.name in _KEPT:
            parts.append(data)
        place += size
    return b"".join(parts)


def _lists(body: bytes, place: int, element: _Element, order: str) -> tuple[bytes, int]:
    """Return the bytes of an element with lists and its size in the file: unchanged if all lists have the same
    length.
    """
    if not element.count:
        return b"", 0
    row, known = [], np.frombuffer(body, dtype=np.uint8)
    for name, kind, length in element.properties:
        value = np.dtype(order + _TYPES[kind])
        if length is None:
            row.append((name, value, ()))
            continue
        size = np.dtype(order + _TYPES[length])
        at = place + np.dtype(row).itemsize if row else place
        if at + size.itemsize > len(body):
            raise cut_off("PLY", f"an end within its first {element.name}")
        count = int(np.frombuffer(body, size, 1, at)[0])
        if not 0 <= count <= len(body):
            raise cut_off("PLY", f"a list of {count} numbers in {len(body)} bytes")
        row += [(f"{name} count", size, ()), (name, value, (count,))]
    table = np.dtype(row)
    total = table.itemsize * element.count
    if place + total <= len(body):
        rows = np.frombuffer(known[place : place + total].tobytes(), table)
        counts = [n for n in table.names or () if n.endswith(" count")]
        if all((rows[name] == rows[name][0]).all() for name in counts):
            return body[place : place + total], total
    return _unequal(body, place, element, order)


def _unequal(body: bytes, place: int, element: _Element, order: str) -> tuple[bytes, int]:
    """Read row by row; polygons are fanned, and other lists are dropped."""
    start = place
    fans: list[np.ndarray] = []
    kinds = [
        (n, np.dtype(order + _TYPES[k]), None if z is None else np.dtype(order + _TYPES[z]))
        for n, k, z in element.properties
    ]
    for _ in range(element.count):
        for name, value, size in kinds:
            count = 1
            if size is not None:
                if place + size.itemsize > len(body):
                    raise cut_off("PLY", f"an end within its {element.name}s")
                count = int(np.frombuffer(body, size, 1, place)[0])
                place += size.itemsize
            if count < 0 or place + count * value.itemsize > len(body):
                raise cut_off("PLY", f"an end within its {element.name}s")
            if size is not None and name in _INDEX and count >= 3:
                corner = np.frombuffer(body, value, count, place).astype(np.int32)
                fans.append(np.column_stack([np.full(count - 2, corner[0]), corner[1:-1], corner[2:]]))
            place += count * value.itemsize
    triangles = np.concatenate(fans) if fans else np.zeros((0, 3), np.int32)
    index = next((name for name, _, length in element.properties if length and name in _INDEX), "vertex_indices")
    if element.name != "face":  # not needed for a face
        element.count, element.properties = 0, [(index, "int", "uchar")]
        return b"", place - start
    element.count, element.properties = len(triangles), [(index, "int", "uchar")]
    table = np.zeros(len(triangles), np.dtype([("n", "u1"), ("v", order + "i4", (3,))]))
    table["n"], table["v"] = 3, triangles
    return table.tobytes(), place - start
