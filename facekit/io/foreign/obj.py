"""Read any OBJ: normalise its lines for trimesh, which is strict.

Tabs, indents, all kinds of line ends, continued lines, comments after numbers, decimal commas, negative indices,
corners with and without UVs, polygons, partial vertex colours: all are rewritten as lines ``v``, ``vt``, ``usemtl`` and
``f a/b/c`` of triangles. Each corner carries the indices of its vertex and its UV as its normal, which facekit does not
use otherwise: trimesh reorders vertices, and this recovers the file's order.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from facekit.errors import FileError
from facekit.io.foreign.mtl import read_materials
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import PLAIN, Mended, cut_off, triangles_of
from facekit.io.foreign.text import decoded, points_for_commas

_COUNT = re.compile(r"#\s*(vertices|faces)\s*:\s*(\d+)\s*$", re.IGNORECASE)  # MeshLab's header
_OWN_COUNT = re.compile(r"# counts: (\d+) vertices (\d+) uvs (\d+) triangles$")
_NOT_SHOWN = {"l": "lines", "p": "points", "curv": "curves", "curv2": "curves", "surf": "surfaces"}
#: Fraction of unused vertices at the end of a file from which it looks truncated.
_LONG_TAIL = 0.02


def mend(path: Path, data: bytes, notes: ImportNotes, textured: bool = True) -> Mended:
    """Rewrite an OBJ for trimesh.

    Parameters
    ----------
    textured:
        Whether to read the file's materials.

    Raises
    ------
    FileError
        If the file is not an OBJ, is truncated, or refers to missing vertices.
    """
    text, latin = decoded(data)
    lines = _Lines(notes)
    lines.read(text)
    if not lines.positions or not lines.polygons:
        raise FileError("an OBJ file with lines v and f", f"{path}", "check that it is an OBJ with faces, and whole")
    verts, colours = lines.vertices()
    uvs = lines.uvs()
    lines.check(len(verts), len(uvs), whole_line=text.endswith("\n"))
    cut = triangles_of([[corner[0] for corner in polygon] for polygon in lines.polygons], verts)
    widths = np.fromiter((len(polygon) for polygon in lines.polygons), np.int64, len(lines.polygons))
    first = np.concatenate([[0], np.cumsum(widths)[:-1]])
    flat = np.array([corner for polygon in lines.polygons for corner in polygon], dtype=np.int64)
    corners = flat[first[cut[:, :1]] + cut[:, 1:]]  # (F, 3, 2)
    corners[..., 1] = np.where(corners[..., 1] < 0, len(uvs), corners[..., 1])  # without UV: an added one
    groups = np.array(lines.groups)[cut[:, 0]]
    if latin and lines.libraries:
        notes.add("its text is not UTF-8 and was read as Latin-1")
    found = read_materials(path, lines.libraries, notes) if textured else {}
    materials = {str(k): found.get(name, PLAIN) for k, name in enumerate(lines.names)}
    plain = _plain_text(verts, uvs, corners, groups)
    mtl = "".join(f"newmtl {name}\nKd 1 1 1\n" for name in materials).encode()
    table = np.concatenate([uvs, np.zeros((1, 2))]) if corners[..., 1].max() == len(uvs) else uvs
    return Mended(plain, "obj", {"facekit.mtl": mtl}, materials, verts=verts, uvs=table, colours=colours)


class _Lines:
    """Statements of the file that matter here."""

    def __init__(self, notes: ImportNotes) -> None:
        self.notes = notes
        self.positions: list[list[str]] = []
        self.coordinates: list[list[str]] = []
        #: Corners (vertex, uv), counted from 0; uv is -1 if there is none.
        self.polygons: list[list[tuple[int, int]]] = []
        self.groups: list[int] = []
        self.names: dict[str, int] = {}
        self.libraries: list[str] = []
        self.stated: dict[str, int] = {}
        self._group = 0
        self._last = ""

    def read(self, text: str) -> None:
        """Parse all lines."""
        narrow = 0
        for number, line in enumerate(re.sub(r"\\[ \t]*\n", " ", text).split("\n"), 1):
            line = line.strip()
            if line.startswith("#"):
                self._comment(line)
                continue
            keyword, _, rest = line.replace("\t", " ").partition(" ")
            try:
                if keyword == "v":
                    self.positions.append(_numbers(rest))
                elif keyword == "vt":
                    self.coordinates.append(_numbers(rest))
                elif keyword in ("f", "fo"):  # fo: obsolete since 1992, and still written
                    narrow += not self._face(rest)
                elif keyword == "usemtl":
                    self._group = self.names.setdefault(rest.strip(), len(self.names))
                elif keyword == "mtllib" and rest.strip():
                    self.libraries.append(rest.strip())
                elif keyword in _NOT_SHOWN:
                    self.notes.add(f"{_NOT_SHOWN[keyword]} were left out")
            except ValueError as error:
                raise FileError(
                    "a whole OBJ file", f"line {number}: {line[:60]!r} ({error})", "correct the line"
                ) from error
            if keyword in ("v", "vt", "f"):
                self._last = line
        if narrow:
            self.notes.add(f"{narrow} face{'s' * (narrow > 1)} of fewer than three corners left out")

    def _comment(self, line: str) -> None:
        if found := _COUNT.match(line):
            self.stated[found[1].lower()] = int(found[2])
        elif found := _OWN_COUNT.match(line):
            self.stated.update(zip(("vertices", "uvs", "faces"), map(int, found.groups()), strict=True))

    def _face(self, rest: str) -> bool:
        corners = []
        for word in rest.split("#", 1)[0].split():
            vertex, _, others = word.partition("/")
            uv = others.partition("/")[0]
            corners.append((_index(vertex, len(self.positions)), _index(uv, len(self.coordinates)) if uv else -1))
        if len(corners) < 3:
            return False
        if not self.names:
            self.names[""] = 0  # faces before any usemtl
        self.polygons.append(corners)
        self.groups.append(self._group)
        return True

    def vertices(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return positions (V, 3), and colours (V, 3) sRGB if any vertex has one: the others are white."""
        verts = _array([row[:3] for row in self.positions], 3)
        coloured = [k for k, row in enumerate(self.positions) if len(row) >= 6]
        if not coloured:
            return verts, None
        colours = np.ones((len(verts), 3))
        values = _array([self.positions[k][3:6] for k in coloured], 3)
        colours[coloured] = np.clip(values / (255.0 if values.max() > 1.0 else 1.0), 0.0, 1.0)
        return verts, colours

    def uvs(self) -> np.ndarray:
        """Return UVs (T, 2); the second number defaults to 0."""
        return _array([(row[:2] + ["0"])[:2] for row in self.coordinates], 2)

    def check(self, verts: int, uvs: int, whole_line: bool) -> None:
        """Reject indices out of range, and files that are recognisably truncated."""
        for name, column, limit in (("vertex", 0, verts), ("UV", 1, uvs)):
            used = np.array([corner[column] for polygon in self.polygons for corner in polygon])
            if column and not limit:
                self.polygons = [[(vertex, -1) for vertex, _ in polygon] for polygon in self.polygons]
                break
            if used.max() >= limit or used.min() < -column:
                raise FileError(
                    "a whole OBJ file", f"a face with {name} {used.max() + 1} of {limit}", "export it again"
                )
            if column == 0:
                tail = limit - 1 - int(used.max())
        for name, got in (("vertices", verts), ("uvs", uvs), ("faces", len(self.polygons))):
            if got < self.stated.get(name, 0):
                raise cut_off("OBJ", f"{got} {name} where its header says {self.stated[name]}")
        if not whole_line and (tail or self._short()):
            raise cut_off("OBJ", f"an end within the line {self._last[:60]!r}")
        if tail > _LONG_TAIL * verts and tail > 2:
            self.notes.add(f"no face uses the last {tail} of {verts} vertices: it may be cut off")

    def _short(self) -> bool:
        """Return True if the last line is a face whose last corner has fewer numbers than the first."""
        words = self._last.split()
        return words[0] == "f" and words[-1].count("/") < words[1].count("/")


def _numbers(rest: str) -> list[str]:
    words = rest.split("#", 1)[0].split()
    return points_for_commas(words) if len(words) > 1 and "," in rest else words


def _index(word: str, count: int) -> int:
    number = int(word)
    if number == 0 or number < -count:
        raise ValueError(f"there is no number {number}")
    return number - 1 if number > 0 else count + number


def _array(rows: list[list[str]], columns: int) -> np.ndarray:
    if not rows:
        return np.zeros((0, columns))
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise FileError("a whole OBJ file", f"lines without {columns} numbers ({error})", "export it again") from error
    if values.shape != (len(rows), columns) or not np.isfinite(values).all():
        raise FileError("a whole OBJ file", "numbers that are missing or not finite", "export it again")
    return values


def _plain_text(verts: np.ndarray, uvs: np.ndarray, corners: np.ndarray, groups: np.ndarray) -> bytes:
    from facekit.io.obj import decimal_lines

    pairs, which = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    numbers = np.column_stack([pairs + 1, np.ones(len(pairs), dtype=np.int64)])
    parts = [b"mtllib facekit.mtl\n"]
    parts.append("".join(f"v {x!r} {y!r} {z!r}\n" for x, y, z in verts.tolist()).encode())
    parts.append("".join(f"vt {u!r} {v!r}\n" for u, v in [*uvs.tolist(), [0.0, 0.0]]).encode())
    parts.append(decimal_lines(b"vn", numbers, 0))
    table = np.concatenate([corners, which.reshape(-1, 3, 1)], axis=2).reshape(-1, 9) + 1
    for group in np.unique(groups):
        parts += [f"usemtl {group}\n".encode(), decimal_lines(b"f", table[groups == group], 0, b" // // //")]
    return b"".join(parts)
