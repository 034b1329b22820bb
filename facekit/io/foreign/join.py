"""Join the parts of a scene into one mesh with morph targets."""

from __future__ import annotations

import numpy as np
import torch

from facekit.errors import FileError
from facekit.files.images import to_float
from facekit.io.foreign.atlas import lay_out, shown_colours
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import PLAIN, Mended, Part
from facekit.mesh import FaceMesh
from facekit.source import FaceRig

#: Cosine of the angle between normals above which coincident vertices belong to one smooth surface.
_SMOOTH = 0.5
#: Tolerances of displacements (mm) and colours, for rounding errors.
_SAME_MM, _SAME_COLOUR = 1e-3, 2e-2
#: Largest plausible UV.
_FAR = 1e6
#: Largest plausible coordinate, mm: squares of lengths stay finite in float32.
_FARTHEST = 1e15
#: Largest plausible size in bytes of displacements.
_MOST_BYTES = 1 << 30


def join(parts: list[Part], notes: ImportNotes, mended: Mended | None = None, weld: bool = False) -> FaceRig:
    """Join all parts into one rig; :meth:`facekit.source.FaceRig.worn` applies its weights.

    Parameters
    ----------
    mended:
        If its ``verts`` are given, the parts' ``numbers`` are indices into these and its ``uvs``.
    weld:
        Whether to merge coincident vertices of a part, so that the surface is smooth across UV seams.

    Raises
    ------
    FileError
        If there are no faces, or numbers are not finite.
    """
    parts = [_seen(part, notes) for part in parts]
    parts = [part for part in parts if len(part.faces)]
    if not parts:
        raise FileError("a mesh with faces", "none", "export triangles, not points or lines")
    for part in parts:
        if part.uvs is not None and not (np.abs(part.uvs) < _FAR).all():
            notes.add("invalid UVs were moved to the texture's edge")
            part.uvs = np.nan_to_num(part.uvs, posinf=0.0, neginf=0.0).clip(-_FAR, _FAR)
        if not (np.abs(part.verts) < _FARTHEST).all():
            raise FileError("positions that are finite", "NaN or infinity", "export the file again")
        if part.faces.min() < 0 or part.faces.max() >= len(part.verts):
            got = f"faces with vertices {part.faces.min()} to {part.faces.max()} of {len(part.verts)}"
            raise FileError("faces with existing vertices", got, "export the file again")
    verts = uvs = colours = None
    if mended is not None:
        verts, uvs, colours = mended.verts, mended.uvs, mended.colours
    texture, charts = lay_out(parts, notes)
    tinted = texture is None and (
        colours is not None or any(part.colours is not None or part.material.colour != PLAIN.colour for part in parts)
    )
    shown = [shown_colours(part) for part in parts] if tinted else None
    if verts is None:
        numbers, verts, first = _numbered(parts, shown, weld)
        table = None if shown is None else np.concatenate(shown)[first]
    else:
        pairs, first = [_pairs(part) for part in parts], None
        numbers = [pair[:, 0] for pair in pairs]
        if uvs is not None and all(own is part.uvs for (own, _), part in zip(charts, parts, strict=True)):
            charts = [(uvs, np.concatenate([pair[part.faces, 1] for pair, part in zip(pairs, parts, strict=True)]))]
        table = _coloured(parts, numbers, colours, len(verts)) if tinted else None
    names, deltas, weights = _morphs(parts, first, len(verts))
    starts = np.cumsum([0, *(len(uvs) for uvs, _ in charts)])
    mesh = FaceMesh(
        verts=torch.from_numpy(verts.astype(np.float32))[None],
        faces=torch.from_numpy(np.concatenate([n[p.faces] for n, p in zip(numbers, parts, strict=True)])),
        uvs=torch.from_numpy(np.concatenate([uvs for uvs, _ in charts]).astype(np.float32)),
        faces_uvs=torch.from_numpy(np.concatenate([f + s for (_, f), s in zip(charts, starts, strict=False)])),
        texture=None if texture is None else to_float(texture),
        vertex_colors=None if table is None else torch.from_numpy(table.astype(np.float32)),
    )
    return FaceRig(mesh, names, torch.from_numpy(deltas), torch.tensor(weights, dtype=torch.float32))


def _pairs(part: Part) -> np.ndarray:
    """Return the indices (N, 2) in the file of a part's vertices and UVs."""
    if part.numbers is None:
        raise FileError("a mesh with recoverable vertex order", "one without its indices", "report this file")
    return part.numbers


def _seen(part: Part, notes: ImportNotes) -> Part:
    """Remove faces that a transparent material hides."""
    material = part.material
    if material.cutoff is None:
        return part
    alpha = np.full((len(part.faces), 4), material.opacity)
    if material.picture is not None and material.picture.shape[2] == 4 and part.uvs is not None:
        corners = np.nan_to_num((part.uvs * material.scale + material.offset)[part.faces])
        middle = corners.mean(axis=1, keepdims=True)
        # Sample a little inside of each face: a corner on the picture's border wraps to the opposite one.
        spots = np.concatenate([corners + 0.01 * (middle - corners), middle], axis=1)
        height, width = material.picture.shape[:2]
        column = np.floor(spots[..., 0] % 1.0 * width).astype(int).clip(0, width - 1)
        row = np.floor((1.0 - spots[..., 1] % 1.0) * height).astype(int).clip(0, height - 1)
        alpha = alpha * material.picture[row, column, 3] / 255.0
    if alpha.min(initial=1.0) > 0.99:
        return part
    notes.add(f"the transparency of {material.name!r} is not supported: its faces are opaque or removed")
    part.faces = part.faces[alpha.max(axis=1) >= material.cutoff]
    return part


def _numbered(
    parts: list[Part], shown: list[np.ndarray] | None, weld: bool
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the vertex of each part's entries, all vertices in the file's order, and the entry that each comes
    from.
    """
    numbers, firsts, count, entries = [], [], 0, 0
    for k, part in enumerate(parts):
        first = _welded(part, None if shown is None else shown[k]) if weld else np.arange(len(part.verts))
        own, number = np.unique(first, return_inverse=True)
        numbers.append(number.reshape(-1) + count)
        firsts.append(own + entries)
        count, entries = count + len(own), entries + len(first)
    first = np.concatenate(firsts)
    return numbers, np.concatenate([part.verts for part in parts])[first], first


def _welded(part: Part, colours: np.ndarray | None) -> np.ndarray:
    """Return (N,) the first coincident vertex of each, if both belong to one smooth surface and move alike."""
    places = np.ascontiguousarray(part.verts.astype(np.float32) + np.float32(0.0))  # no negative zeros
    keys = places.view(np.dtype((np.void, 12))).reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    first = first[which.reshape(-1)]
    same = np.ones(len(first), dtype=bool)
    if part.normals is not None:
        same &= (part.normals * part.normals[first]).sum(axis=1) > _SMOOTH
    if colours is not None:
        same &= np.abs(colours - colours[first]).max(axis=1) < _SAME_COLOUR
    for delta in part.targets.values():
        same &= np.abs(delta - delta[first]).max(axis=1) < _SAME_MM
    return np.where(same, first, np.arange(len(first)))


def _coloured(parts: list[Part], numbers: list[np.ndarray], colours: np.ndarray | None, count: int) -> np.ndarray:
    """Return the colours of the file's vertices, times the material colours of their faces."""
    table = np.ones((count, 3)) if colours is None else colours.copy()
    for part, number in zip(parts, numbers, strict=True):
        part.colours = table[number] if colours is None else colours[number]
        table[number] = shown_colours(part)
    return table


def _morphs(parts: list[Part], first: np.ndarray | None, total: int) -> tuple[tuple[str, ...], np.ndarray, list[float]]:
    """Return names, displacements (K, V, 3) float32 and weights of all parts' morph targets, merged by name."""
    weights: dict[str, float] = {}
    columns: dict[str, list[np.ndarray | None]] = {}
    for k, part in enumerate(parts):
        for name, delta in part.targets.items():
            weight, key, n = part.weights.get(name, 0.0), name, 1
            while weights.setdefault(key, weight) != weight:  # different weights in two parts: two targets
                n += 1
                key = f"{name}_{n}"
            columns.setdefault(key, [None] * len(parts))[k] = delta
    if len(columns) * total * 12 > _MOST_BYTES:
        raise FileError("morph targets that fit in memory", f"{len(columns)} of {total} vertices", "export fewer")
    deltas = np.zeros((len(columns), total, 3), dtype=np.float32)
    for out, column in zip(deltas, columns.values(), strict=True):
        rows = [np.zeros_like(p.verts) if d is None else d for p, d in zip(parts, column, strict=True)]
        out[:] = np.concatenate(rows)[first]
    return tuple(columns), deltas, list(weights.values())
