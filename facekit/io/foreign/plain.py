"""STL, OFF and 3MF: meshes without pictures."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from facekit.errors import FileError, optional_import
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import Mended, cut_off, triangles_of
from facekit.io.foreign.text import decoded, points_for_commas

_STL_HEAD, _STL_TRIANGLE = 84, 50
_OFF_HEAD = re.compile(r"^(ST)?(C)?(N)?(4)?(n)?OFF\b", re.IGNORECASE)
#: Largest size in bytes of an unzipped 3MF.
_MOST_BYTES = 1 << 28


def mend_stl(path: Path, data: bytes, notes: ImportNotes) -> Mended:
    """Check an STL, ASCII or binary, and normalise the text of the former.

    Raises
    ------
    FileError
        If the file is neither, or is truncated.
    """
    if data[:3] == b"\xef\xbb\xbf" or data[:20].lstrip()[:5].lower() == b"solid" and b"facet" in data[:2000].lower():
        text = decoded(data)[0].lower()
        facets, ends, corners = (len(re.findall(rf"\b{word}\b", text)) for word in ("facet", "endfacet", "vertex"))
        if not facets or facets != ends or corners != 3 * facets or "endsolid" not in text[text.rfind("endfacet") :]:
            raise cut_off("STL", f"{facets} facets of {corners} corners, {ends} of them ended")
        try:
            return Mended("\n".join(_stl_line(line) for line in text.split("\n")).encode(), "stl", weld=True)
        except ValueError as error:
            raise FileError("a whole STL file", f"{error}", "check the file, or export it again") from error
    if len(data) < _STL_HEAD:
        raise cut_off("STL", f"{len(data)} bytes")
    count = struct.unpack_from("<I", data, _STL_HEAD - 4)[0]
    size = _STL_HEAD + count * _STL_TRIANGLE
    if len(data) < size:
        raise cut_off("STL", f"{len(data)} bytes where its header says {count} triangles, {size} bytes")
    return Mended(data[:size], "stl", weld=True)


def _stl_line(line: str) -> str:
    """Normalise a line for trimesh, which is strict about numbers; normals are recomputed."""
    words = line.split()
    if words[:1] == ["facet"]:
        return "facet normal 0 0 0"
    if words[:1] == ["vertex"]:
        x, y, z = (float(word) for word in points_for_commas(words[1:]))
        return f"vertex {x!r} {y!r} {z!r}"
    return " ".join(words)


def mend_off(path: Path, data: bytes, notes: ImportNotes) -> Mended:
    """Rewrite any OFF (colours, normals, polygons, comments) as plain triangles.

    Raises
    ------
    FileError
        If the file is not an OFF, is truncated or binary.
    """
    text = decoded(data)[0]
    lines = [line.split("#", 1)[0].split() for line in text.split("\n")]
    lines = [words for words in lines if words]
    head = _OFF_HEAD.match(lines[0][0]) if lines else None
    if head is None or (len(lines[0]) > 1 and lines[0][1].lower() == "binary"):
        raise FileError("an ASCII OFF file", f"{path}, which has another header", "check the file's format")
    first = lines[0][1:] or (lines[1] if len(lines) > 1 else [])
    rows = lines[1 if lines[0][1:] else 2 :]
    try:
        count, faces = int(first[0]), int(first[1])
        if min(count, faces) < 0 or len(rows) < count + faces:
            raise cut_off("OFF", f"{len(rows)} lines where its header says {count} vertices and {faces} faces")
        numbers = [[float(word) for word in points_for_commas(words)] for words in rows[:count]]
        verts = np.array([row[:3] for row in numbers], dtype=np.float64).reshape(count, 3)
        sizes = [int(words[0]) for words in rows[count : count + faces]]
        polygons = [[int(word) for word in words[1 : 1 + n]] for n, words in zip(sizes, rows[count:], strict=False)]
        if any(len(polygon) != n for polygon, n in zip(polygons, sizes, strict=True)):
            raise cut_off("OFF", "a face with fewer corners than it says")
        if any(not 0 <= corner < count for polygon in polygons for corner in polygon):
            raise ValueError("a face with a missing vertex")
        colours = _off_colours(head, numbers)
    except (LookupError, ValueError) as error:
        raise FileError("a whole OFF file", f"{error}", "check the file, or export it again") from error
    polygons = [polygon for polygon in polygons if len(polygon) >= 3]
    cut = triangles_of(polygons, verts) if polygons else np.zeros((0, 4), dtype=np.int64)
    corners = [[polygons[k][i] for i in places] for k, *places in cut.tolist()]
    out = [f"OFF\n{count} {len(corners)} 0\n", *(f"{x!r} {y!r} {z!r}\n" for x, y, z in verts.tolist())]
    out += [f"3 {a} {b} {c}\n" for a, b, c in corners]
    return Mended("".join(out).encode(), "off", colours=colours)


def _off_colours(head: re.Match[str], numbers: list[list[float]]) -> np.ndarray | None:
    """Return colours (V, 3) in [0, 1] after the positions, and after normals if there are any."""
    if not head[2] or not numbers:
        return None
    start = 3 + (1 if head[4] else 0) + (3 if head[3] else 0)
    values = np.array([row[start : start + 3] for row in numbers])
    if values.ndim != 2 or values.shape[1] != 3:
        raise ValueError("vertices without the colours that the header promises")
    return np.clip(values / (255.0 if values.max() > 1.0 else 1.0), 0.0, 1.0)


def mend_3mf(path: Path, data: bytes, notes: ImportNotes) -> Mended:
    """Check a 3MF.

    Raises
    ------
    FileError
        If the file is not a complete zip, or is too large when unzipped.
    MissingDependencyError
        If lxml and networkx, which trimesh needs for it, are not installed.
    """
    optional_import("lxml", "files", "reading 3MF files")
    optional_import("networkx", "files", "reading 3MF files")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            models = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".model")]
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise FileError("a 3MF file", f"one that unpacks to more than {_MOST_BYTES >> 20} MB", "split it")
            if archive.testzip() is not None or not models:
                raise cut_off("3MF", f"damaged data in {archive.testzip()}" if models else "no model inside")
            for entry in models:
                text = archive.read(entry)
                if not text.rstrip().endswith(b">"):
                    raise cut_off("3MF", f"an end within {entry.filename}")
                if any(word in text for word in (b"colorgroup", b"basematerials", b"texture2dgroup")):
                    notes.add("its colours were left out")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise FileError("a whole 3MF file", f"{error}", "check the file, or export it again") from error
    return Mended(data, "3mf")
