"""Pages of a comparison: faces, and heat maps of the change between neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from facekit.compare import figures
from facekit.errors import InputError
from facekit.files.images import save_image
from facekit.geometry.uv import rasterize_uv
from facekit.metrics.geometry import displacement_map
from facekit.metrics.texture import delta_e
from facekit.viz.fonts import font
from facekit.viz.heat import colour_bar, heat_scale, render_heat
from facekit.viz.sheets import THEMES, as_pictures, contact_sheet

if TYPE_CHECKING:
    from facekit.compare.grid import Cell, Comparison
    from facekit.mesh import FaceMesh

KINDS = {"displacement": "Displacement, mm", "texture": "Colour difference of the albedo, ΔE"}
NEIGHBOURS = {"left": "the face on the left", "first": "the row's first face", "above": "the face above"}
# A single row of more faces is wrapped to this many columns.
_WIDE, _WRAP = 8, 5


def face_page(comparison: Comparison, theme: str) -> Image.Image:
    """Return the page of faces in rows and columns."""
    pictures = [[cell.picture for cell in row] for row in comparison.cells]
    return _page(pictures, comparison.rows, comparison.columns, comparison.title, theme)


def directions(comparison: Comparison) -> list[str]:
    """Return the informative ones of :data:`NEIGHBOURS`, among those with faces of one topology."""
    within = "left" if all(map(figures.is_sweep, comparison.cells)) else "first"
    return [against for against in (within, "above") if _there(comparison, against)]


def difference_page(comparison: Comparison, kind: str, against: str | None, theme: str) -> Image.Image:
    """Return heat maps from each face to its neighbour; blank if the topologies differ."""
    if kind not in KINDS:
        raise InputError(f"a kind out of {', '.join(KINDS)}", repr(kind), "choose one of these")
    if against not in (None, *NEIGHBOURS):
        raise InputError(f"against out of {', '.join(NEIGHBOURS)}", repr(against), "choose one of these")
    against = against or next(iter(directions(comparison)), "left")
    if not _there(comparison, against):
        got = f"{len(comparison.rows)} rows of {len(comparison.columns)}, against {NEIGHBOURS[against]}"
        raise InputError("neighbours with the same topology", got, "compare more faces of one model")
    height, width = comparison.cells[0][0].picture.shape[1:]
    size = int(height), int(width)
    pairs = _pairs(comparison, against)
    maps = _maps(kind, [pair for row in pairs for pair in row], 256 if max(size) <= 256 else 512)
    low, high = heat_scale(torch.cat([values.reshape(-1) for _, _, values in maps]))
    ground = tuple(channel / 255 for channel in THEMES[theme].page)
    empty = torch.tensor(ground)[:, None, None].expand(3, *size)
    pictures = [[empty for _ in row] for row in pairs]
    for places, mesh, values in maps:
        painted = render_heat(mesh, values, low, high, image_size=size, background=ground)
        for place, picture in zip(places, painted, strict=True):
            pictures[place // len(pairs[0])][place % len(pairs[0])] = picture
    rows, columns = comparison.rows, comparison.columns
    rows, columns = (rows[1:], columns) if against == "above" else (rows, columns[1:])
    page = _page(pictures, rows, columns, f"{comparison.title}: against {NEIGHBOURS[against]}", theme)
    bar = colour_bar(page.width, low, high, KINDS[kind], theme=theme)
    whole = Image.new("RGB", (page.width, page.height + bar.height), THEMES[theme].page)
    whole.paste(page, (0, 0))
    whole.paste(bar, (0, page.height))
    return whole


def write(picture: Image.Image, path: Path) -> Path:
    """Write the page to a file."""
    return save_image(np.asarray(picture), path)


def _there(comparison: Comparison, against: str) -> bool:
    return any(figures.comparable(*pair) for row in _pairs(comparison, against) for pair in row)


def _pairs(comparison: Comparison, against: str) -> list[list[tuple[Cell, Cell]]]:
    """Return pairs of each neighbour and face, in rows."""
    cells = comparison.cells
    if against == "above":
        return [list(zip(before, row, strict=True)) for before, row in zip(cells[:-1], cells[1:], strict=True)]
    return [[(row[0] if against == "first" else row[k - 1], row[k]) for k in range(1, len(row))] for row in cells]


def _maps(kind: str, pairs: Sequence[tuple[Cell, Cell]], size: int) -> list[tuple[list[int], FaceMesh, torch.Tensor]]:
    """Return for each topology the indices of its pairs, their second faces, and the change per texel (N, 1, S, S)."""
    groups: list[list[int]] = []
    for k, (before, cell) in enumerate(pairs):
        if figures.comparable(before, cell):
            own = next((group for group in groups if figures.comparable(pairs[group[0]][1], cell)), None)
            groups.append([k]) if own is None else own.append(k)
    found = []
    for group in groups:
        before, after = (_together([pairs[k][side].face.mesh for k in group], size) for side in (0, 1))
        if kind == "displacement":
            changed = displacement_map(before, after, size)
        else:
            ids, _ = rasterize_uv(after.uvs, after.faces_uvs, size)
            changed = delta_e(before.need("texture"), after.need("texture"))[:, None] * (ids >= 0)
        found.append((group, after, changed))
    return found


def _together(meshes: Sequence[FaceMesh], size: int) -> FaceMesh:
    """Batch meshes of one topology, with textures reduced to ``size``."""
    maps = {}
    for name in ("texture", "displacement"):
        values = [getattr(mesh, name) for mesh in meshes]
        if any(value is not None for value in values):
            # Meshes without detail have zero displacement.
            known = next(value for value in values if value is not None)
            values = [torch.zeros_like(known) if value is None else value for value in values]
            maps[name] = F.interpolate(torch.cat(values), (size, size), mode="area")
    return dataclasses.replace(meshes[0], verts=torch.cat([mesh.verts for mesh in meshes]), **maps)


def _page(
    pictures: Sequence[Sequence[torch.Tensor]], rows: Sequence[str], columns: Sequence[str], title: str, theme: str
) -> Image.Image:
    """Return rows with names on the left and columns with names on top; a single long row is wrapped."""
    cells = [as_pictures(torch.stack(list(row))) for row in pictures]
    width, height = cells[0][0].size
    if len(rows) == 1 and len(columns) > _WIDE:
        return contact_sheet(cells[0], columns, _WRAP, title, rows[0], width, theme)
    colours, gap, margin = THEMES[theme], max(3, width // 40), max(10, width // 10)
    small, large = font(max(11, width // 17), False, *rows, *columns), font(max(14, width // 11), True, title)
    words = [_wrapped(name, small, max(70, width * 2 // 3)) for name in rows]
    side = round(max(small.getlength(line) for lines in words for line in lines)) + margin
    head = round(large.size * 2.2) + round(small.size * 1.8)
    page = Image.new(
        "RGB",
        (
            margin + side + len(columns) * (width + gap) - gap + margin,
            margin + head + len(rows) * (height + gap) - gap + margin,
        ),
        colours.page,
    )
    draw = ImageDraw.Draw(page)
    draw.text((margin, margin), title, colours.text, large, anchor="lt")
    for k, name in enumerate(columns):
        place = (margin + side + k * (width + gap) + width / 2, margin + head - small.size)
        draw.text(place, name, colours.text, small, anchor="mm")
    for i, row in enumerate(cells):
        top = margin + head + i * (height + gap)
        text = "\n".join(words[i])
        draw.multiline_text((margin, top + height / 2), text, colours.text, small, anchor="lm", spacing=4)
        for k, picture in enumerate(row):
            page.paste(picture, (margin + side + k * (width + gap), top))
    return page


def _wrapped(text: str, letters, room: int) -> list[str]:
    """Wrap words to lines of at most ``room`` pixels; longer words have their own line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
