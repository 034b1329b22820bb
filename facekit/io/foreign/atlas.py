"""Pack several pictures, colours and wrap modes into the single texture of a FaceMesh, with UVs in [0, 1]."""

from __future__ import annotations

import math

import numpy as np
import torch

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import Material, Part

#: UVs outside of [0, 1] by at most this much count as at the edge.
_EDGE = 2e-3
#: Width in pixels of the repeated border around each picture, so that mip levels do not mix neighbours.
_BORDER = 8
_MOST_PIXELS, _MOST_REPEATS = 1 << 26, 16
#: Side in pixels of the patch for a part with a plain colour.
_PATCH = 8

Chart = tuple[np.ndarray, np.ndarray]


def lay_out(parts: list[Part], notes: ImportNotes) -> tuple[np.ndarray | None, list[Chart]]:
    """Pack the pictures of all parts into one texture.

    Returns
    -------
    tuple
        (H, W, 3) uint8 sRGB, or None if no part has a picture; and for each part its UVs (T, 2) float64 and their
        indices (F, 3).
    """
    pictured = [part.material.picture is not None and part.uvs is not None for part in parts]
    if not any(pictured):
        return None, [_as_they_are(part) for part in parts]
    if any(
        has and part.colours is not None and part.colours.min(initial=1.0) < 0.99
        for part, has in _pairs(parts, pictured)
    ):
        notes.add("vertex colours under a texture were left out")
    pictures: list[np.ndarray] = []
    charts: list[Chart] = []
    places: list[int] = []
    known: dict[tuple[int, int, int], int] = {}
    for part, has in _pairs(parts, pictured):
        if has:
            uvs, faces, repeats = _unfolded(part, notes)
            key = (id(part.material), *repeats)
            make = _tinted
        else:
            uvs, faces, repeats = np.full((1, 2), 0.5), np.zeros_like(part.faces), (1, 1)
            key, make = (id(part), 1, 1), _patch
        if key not in known:
            known[key] = len(pictures)
            picture = make(part)
            pictures.append(_repeated(picture, part.material, repeats))
        charts.append((uvs, faces))
        places.append(known[key])
    if len(pictures) == 1:
        return pictures[0], charts
    texture, boxes = _packed(pictures, notes)
    height, width = texture.shape[:2]
    moved = []
    for (uvs, faces), place in zip(charts, places, strict=True):
        x, y, w, h = boxes[place]
        inside = np.clip(uvs, 0.0, 1.0)
        u, v = (x + inside[:, 0] * w) / width, 1.0 - (y + (1.0 - inside[:, 1]) * h) / height
        moved.append((np.column_stack([u, v]), faces))
    return texture, moved


def _pairs(parts: list[Part], flags: list[bool]) -> list[tuple[Part, bool]]:
    return list(zip(parts, flags, strict=True))


def _as_they_are(part: Part) -> Chart:
    if part.uvs is None:
        return np.zeros((1, 2)), np.zeros_like(part.faces)
    return part.uvs, part.faces


def _unfolded(part: Part, notes: ImportNotes) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return UVs within [0, 1] of a picture that is repeated along u and v, and the numbers of repetitions."""
    material = part.material
    assert part.uvs is not None
    plain = material.scale == (1.0, 1.0) and material.offset == (0.0, 0.0)
    uvs = part.uvs if plain else part.uvs * material.scale + material.offset
    faces, repeats = part.faces, [1, 1]
    for axis, wrap in enumerate(material.wrap):
        values = uvs[:, axis]
        used = values[faces]
        if wrap == "clamp" or (used.min() >= -_EDGE and used.max() <= 1.0 + _EDGE):
            continue
        period = 2 if wrap == "mirror" else 1
        corners = used / period
        corners = corners - np.floor(corners.min(axis=1, keepdims=True) + _EDGE / period)
        count = math.ceil(float(corners.max()) - _EDGE / period)
        if count > _MOST_REPEATS:
            notes.add(f"the texture of {material.name!r} repeats too often and was cropped")
            corners, count = np.minimum(corners, _MOST_REPEATS), _MOST_REPEATS
        count = max(count, 1)
        if faces is part.faces:  # each corner now has its own UV
            uvs, faces = uvs[faces].reshape(-1, 2), np.arange(faces.size).reshape(-1, 3)
        uvs[:, axis] = corners.reshape(-1) / count
        repeats[axis] = count * period
    return uvs, faces, (repeats[0], repeats[1])


def _repeated(picture: np.ndarray, material: Material, repeats: tuple[int, int]) -> np.ndarray:
    """Tile the picture; if mirrored, every other copy is flipped. Rows run down, V up."""
    rows, columns = repeats[1], repeats[0]
    if rows == columns == 1:
        return picture
    height, width = picture.shape[:2]
    step = math.ceil(math.sqrt(height * width * rows * columns / _MOST_PIXELS))
    picture = picture[::step, ::step]
    across = [picture, picture[:, ::-1]] if material.wrap[0] == "mirror" else [picture] * 2
    row = np.concatenate([across[k % 2] for k in range(columns)], axis=1)
    down = [row, row[::-1]] if material.wrap[1] == "mirror" else [row] * 2
    return np.concatenate([down[k % 2] for k in reversed(range(rows))], axis=0)


def _tinted(part: Part) -> np.ndarray:
    """Multiply the picture by the material's colour, which is linear."""
    picture = part.material.picture
    assert picture is not None
    picture = picture[..., :3]
    if part.material.colour == (1.0, 1.0, 1.0):
        return picture
    levels = srgb_to_linear(torch.linspace(0.0, 1.0, 256))
    table = linear_to_srgb((levels[:, None] * torch.tensor(part.material.colour)).clamp(0, 1))
    table = (table * 255.0).round().to(torch.uint8).numpy()
    return np.stack([table[:, k][picture[..., k]] for k in range(3)], axis=2)


def _patch(part: Part) -> np.ndarray:
    """Return a small patch in the average colour of a part without a picture."""
    colour = shown_colours(part).mean(axis=0)
    return np.full((_PATCH, _PATCH, 3), np.rint(colour * 255.0).astype(np.uint8))


def shown_colours(part: Part) -> np.ndarray:
    """Return vertex colours times the material's colour, (N, 3) sRGB in [0, 1]; white if there are none."""
    own = np.ones((len(part.verts), 3)) if part.colours is None else part.colours
    if part.material.colour == (1.0, 1.0, 1.0):
        return own
    linear = srgb_to_linear(torch.from_numpy(own)) * torch.tensor(part.material.colour, dtype=torch.float64)
    return linear_to_srgb(linear.clamp(0, 1)).numpy().clip(0.0, 1.0)


def _packed(pictures: list[np.ndarray], notes: ImportNotes) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Pack all pictures into one, in rows sorted by height; return also x, y, width and height of each."""
    pixels = sum((p.shape[0] + 2 * _BORDER) * (p.shape[1] + 2 * _BORDER) for p in pictures)
    step = math.ceil(math.sqrt(pixels / _MOST_PIXELS))
    if step > 1:
        notes.add(f"its textures were scaled down by {step} to fit into one")
        pictures = [p[::step, ::step] for p in pictures]
    frame = 2 * _BORDER
    widest = max(p.shape[1] + frame for p in pictures)
    width = max(widest, math.ceil(math.sqrt(sum((p.shape[0] + frame) * (p.shape[1] + frame) for p in pictures))))
    boxes = [(0, 0, 0, 0)] * len(pictures)
    x = y = row = 0
    for k in sorted(range(len(pictures)), key=lambda n: -pictures[n].shape[0]):
        height, wide = pictures[k].shape[:2]
        if x + wide + frame > width:
            x, y, row = 0, y + row, 0
        boxes[k] = (x + _BORDER, y + _BORDER, wide, height)
        x, row = x + wide + frame, max(row, height + frame)
    texture = np.zeros((y + row, width, 3), dtype=np.uint8)
    for picture, (x, y, wide, height) in zip(pictures, boxes, strict=True):
        edged = np.pad(picture, ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)), mode="edge")
        texture[y - _BORDER : y + height + _BORDER, x - _BORDER : x + wide + _BORDER] = edged
    return texture, boxes
