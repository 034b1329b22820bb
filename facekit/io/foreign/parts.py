"""Intermediate representation of all formats: parts with their materials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facekit.errors import FileError


@dataclass(frozen=True, eq=False)
class Material:
    """Material of a part, as far as facekit supports it.

    Parameters
    ----------
    name:
        Name for notes.
    picture:
        (H, W, 3 or 4) uint8 sRGB, or None.
    colour:
        (3,) linear factor on the picture or on the colours of the vertices.
    opacity:
        Factor in [0, 1] on the picture's alpha.
    cutoff:
        Alpha below which nothing is drawn; None for opaque materials.
    wrap:
        Wrap mode of the picture along u and v: "repeat", "mirror" or "clamp".
    scale, offset:
        Transform of the UVs, in facekit's convention.
    """

    name: str = "material"
    picture: np.ndarray | None = None
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    opacity: float = 1.0
    cutoff: float | None = None
    wrap: tuple[str, str] = ("repeat", "repeat")
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


#: Material of parts without one.
PLAIN = Material("none")


@dataclass
class Part:
    """Piece with one material, in millimetres and world coordinates.

    Parameters
    ----------
    verts:
        (N, 3) float64.
    faces:
        (F, 3) int64.
    uvs:
        (N, 2) float64 with the origin at the bottom left, or None.
    colours:
        (N, 3) float64 sRGB in [0, 1], or None.
    normals:
        (N, 3), or None: coincident vertices are merged if their normals agree.
    targets:
        Displacements (N, 3) by name of the morph target.
    weights:
        Weights of the morph targets.
    numbers:
        (N, 2) int64: indices of the file's vertices and UVs; None if each is its own.
    """

    verts: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray | None = None
    colours: np.ndarray | None = None
    normals: np.ndarray | None = None
    material: Material = PLAIN
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    numbers: np.ndarray | None = None


@dataclass(frozen=True)
class Mended:
    """Input that trimesh understands.

    Parameters
    ----------
    data, kind:
        Bytes of a file, and trimesh's name of its format.
    files:
        Files that it refers to, by name.
    materials:
        Materials by their names in ``data``.
    weld:
        Whether to merge coincident vertices, for formats without indices.
    verts, uvs, colours:
        All vertices (V, 3) and UVs (T, 2) of the file in its order, some of which trimesh may drop; colours of the
        vertices.
    scale:
        Millimetres per unit.
    """

    data: bytes
    kind: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    materials: Mapping[str, Material] = field(default_factory=dict)
    weld: bool = False
    verts: np.ndarray | None = None
    uvs: np.ndarray | None = None
    colours: np.ndarray | None = None
    scale: float = 1.0


def cut_off(what: str, got: Any) -> FileError:
    """Return the error for a truncated file."""
    return FileError(f"a whole {what} file", f"{got}", "the file is cut off or damaged: export or copy it again")


def triangles_of(polygons: list[list[int]], verts: np.ndarray) -> np.ndarray:
    """Triangulate polygons.

    Parameters
    ----------
    polygons:
        Vertices of each polygon, three or more, in [0, V).
    verts:
        (V, 3).

    Returns
    -------
    numpy.ndarray
        (F, 4) int64: polygon of each triangle, and positions of its three corners in that polygon.
    """
    sizes = np.fromiter((len(polygon) for polygon in polygons), np.int64, len(polygons))
    parts = []
    three = np.flatnonzero(sizes == 3)
    parts.append(np.column_stack([three, np.tile([0, 1, 2], (len(three), 1))]))
    four = np.flatnonzero(sizes == 4)
    if len(four):
        a, b, c, d = verts[np.array([polygons[k] for k in four])].transpose(1, 0, 2)
        # Use diagonal a c if both of its triangles face the same way, else b d: it lies inside concave quads, too.
        fine = (np.cross(b - a, c - a) * np.cross(c - a, d - a)).sum(1) >= 0
        cuts = np.where(fine[:, None, None], [[0, 1, 2], [0, 2, 3]], [[1, 2, 3], [1, 3, 0]])
        parts.append(np.column_stack([np.repeat(four, 2), cuts.reshape(-1, 3)]))
    for k in np.flatnonzero(sizes > 4):
        cuts = _ears(verts[np.array(polygons[k])])
        parts.append(np.column_stack([np.full(len(cuts), k), cuts]))
    cut = np.concatenate(parts).astype(np.int64)
    return cut[np.argsort(cut[:, 0], kind="stable")]


#: Number of corners above which a polygon is fanned: ear clipping takes cubic time.
_MOST_CORNERS = 200


def _ears(corners: np.ndarray) -> np.ndarray:
    """Triangulate one polygon (N, 3): convex ones as a fan, others by ear clipping (Meisters 1975)."""
    count = len(corners)
    fan = np.array([(0, k, k + 1) for k in range(1, count - 1)])
    rolled = np.roll(corners, -1, axis=0)
    normal = np.cross(corners, rolled).sum(0)  # Newell: twice the area vector
    turns = np.cross(rolled - corners, np.roll(corners, -2, axis=0) - rolled) @ normal
    if count > _MOST_CORNERS or (turns >= 0).all() or not normal.any():
        return fan
    drop = int(np.abs(normal).argmax())
    flat = np.delete(corners, drop, axis=1) * ([1, 1] if normal[drop] * (-1) ** drop > 0 else [-1, 1])

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return (q[0] - p[0]) * (r[..., 1] - p[1]) - (q[1] - p[1]) * (r[..., 0] - p[0])

    left, cut = list(range(count)), []
    while len(left) > 3:
        for k in range(len(left)):
            i, j, l = left[k - 1], left[k], left[(k + 1) % len(left)]  # noqa: E741
            a, b, c = flat[i], flat[j], flat[l]
            others = flat[[n for n in left if n not in (i, j, l)]]
            inside = (side(a, b, others) > 0) & (side(b, c, others) > 0) & (side(c, a, others) > 0)
            if side(a, b, c) > 0 and not inside.any():
                break
        else:
            return fan  # self-intersecting: no triangulation is right
        cut.append((i, j, l))
        left.pop(k)
    return np.array([*cut, tuple(left)])
