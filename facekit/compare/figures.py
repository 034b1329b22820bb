"""Figures of a comparison, a line per face and a line per row, explained in :data:`EXPLANATIONS`."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from facekit.latents import FaceLatents
from facekit.metrics.expression import flicker
from facekit.metrics.geometry import face_texels, face_vertices, same_topology, vertex_displacement
from facekit.metrics.identity import identity_distance, proportions, skin_tone
from facekit.metrics.texture import lab
from facekit.report import Table

if TYPE_CHECKING:
    from facekit.compare.grid import Cell, Comparison
    from facekit.pipeline import FacePipeline

#: Column names with unit and number of decimals.
FIGURES: dict[str, tuple[str, int]] = {
    "first mean": ("mm", 2),
    "first max": ("mm", 1),
    "left mean": ("mm", 2),
    "left max": ("mm", 1),
    "left ΔE": ("", 2),
    "above mean": ("mm", 2),
    "above max": ("mm", 1),
    "above ΔE": ("", 2),
    "identity": ("1: strangers", 3),
    "skin ΔE": ("", 2),
    "wrinkles": ("mm", 2),
    "flicker": ("", 2),
    "flicker ΔE": ("", 3),
}
#: Explanations of the columns, for reports.
EXPLANATIONS: dict[str, str] = {
    "first, left, above": "against the row's first face, the face on the left, the face above; blank between models of "
    "different topology",
    "mean, max": "how far the points of the face (skin, lips, lids) are apart, with displacement maps",
    "ΔE": "mean colour difference of the face's albedo (CIE76); about 1 is just seen",
    "identity": "how far the proportions between landmarks that expressions hardly move are from the first face's, "
    "after what the expression moves in the model's mean face was taken off; 0 is the same person, 1 is how far "
    "strangers of this model are apart (the median over pairs of 24 people)",
    "skin ΔE": "of the median skin colour, against the first face",
    "wrinkles": "what the expression adds to the person's own detail: the depth that 0.1 % of the face's texels exceed",
    "flicker": "of the albedo, in rows of three or more even steps of intensity: 0 where it changes steadily, 1 where "
    "it goes back and forth, 0.87 where noise is drawn anew at every step; flicker ΔE is its size",
    "whole row": "the mean over the row's faces; of max and wrinkles the largest",
}
_ALL = "whole row"
_LARGEST = ("first max", "left max", "above max", "wrinkles")
_PEOPLE = 24
# Measured once per pipeline, without keeping it alive.
_STRANGERS: weakref.WeakKeyDictionary[FacePipeline, float] = weakref.WeakKeyDictionary()


def measure(comparison: Comparison) -> Table:
    """Return the table of a comparison: two columns of names, then the available :data:`FIGURES`."""
    colours = _Colours()
    lines = []
    for i, row in enumerate(comparison.cells):
        own = []
        for k, cell in enumerate(row):
            found: dict[str, Any] = {"row": cell.row, "column": cell.column, "wrinkles": cell.wrinkles}
            if k:  # the first face has no difference from itself
                found |= _moved("first", row[0], cell) | _moved("left", row[k - 1], cell)
                found |= colours.difference("left", row[k - 1], cell) | colours.skin(row[0], cell)
                found |= _identity(row[0], cell)
            if i:
                above = comparison.cells[i - 1][k]
                found |= _moved("above", above, cell) | colours.difference("above", above, cell)
            own.append(found)
        lines += [*own, _whole(own) | _restless(row, colours)]
    used = [name for name in FIGURES if any(line.get(name) is not None for line in lines)]
    return Table({"row": ("", 0), "column": ("", 0), **{name: FIGURES[name] for name in used}}, tuple(lines))


def comparable(a: Cell, b: Cell) -> bool:
    """Return True if two faces share a topology, so that points and texels can be compared."""
    return same_topology(a.face.mesh, b.face.mesh)


def strangers(pipe: FacePipeline) -> float:
    """Return the difference between random people of a model in percent: the median identity distance over all pairs of
    24.
    """
    if pipe in _STRANGERS:
        return _STRANGERS[pipe]
    with torch.no_grad():
        verts = pipe.decode(FaceLatents.sample(100_000, _PEOPLE, intensity=0.0), texture=False, detail=False).verts
    people = proportions(verts[:, pipe.template.landmarks])
    pairs = [identity_distance(one, other) for one, other in itertools.combinations(people, 2)]
    _STRANGERS[pipe] = float(torch.stack(pairs).median())
    return _STRANGERS[pipe]


class _Colours:
    """L*a*b* colours of the faces' texels, computed once per face."""

    def __init__(self) -> None:
        self.of = functools.cache(self._of)
        self._shown: dict[tuple[int, int], torch.Tensor] = {}

    def _of(self, cell: Cell) -> torch.Tensor:
        """Return the colours (3, S)."""
        return lab(cell.face.mesh.need("texture")[:, :, self.shown(cell)][..., None])[0, :, :, 0]

    def shown(self, cell: Cell) -> torch.Tensor:
        size = cell.face.mesh.need("texture").shape[-1]
        topology = (len(cell.face.mesh.uvs), size)
        if topology not in self._shown:
            self._shown[topology] = face_texels(cell.face.mesh, size)
        return self._shown[topology]

    def difference(self, name: str, a: Cell, b: Cell) -> dict[str, float]:
        if not comparable(a, b):
            return {}
        return {f"{name} ΔE": float((self.of(a) - self.of(b)).norm(dim=0).mean())}

    def skin(self, a: Cell, b: Cell) -> dict[str, float]:
        tones = [skin_tone(c.face.mesh.need("texture"), self.shown(c))[0] for c in (a, b)]
        return {"skin ΔE": float((tones[0] - tones[1]).norm())}


def _moved(name: str, a: Cell, b: Cell) -> dict[str, float]:
    if not comparable(a, b):
        return {}
    way = vertex_displacement(a.face.mesh, b.face.mesh)[0, face_vertices(a.face.mesh)]
    return {f"{name} mean": float(way.mean()), f"{name} max": float(way.max())}


def _identity(first: Cell, cell: Cell) -> dict[str, float]:
    distance = float(identity_distance(first.proportions, cell.proportions))
    return {"identity": distance / strangers(first.settings["pipe"])}


def is_sweep(row: Sequence[Cell]) -> bool:
    """Return True if only the intensity differs between faces, in three or more even steps."""
    # Latents are not compared: the caller ensures that they are one person's, and different noise is what flickers.
    others = [{k: v for k, v in cell.settings.items() if k not in ("intensity", "latents")} for cell in row]
    if len(row) < 3 or any(other != others[0] for other in others):
        return False
    steps = torch.tensor([cell.settings.get("intensity", 1.0) for cell in row]).diff()
    return bool(steps[0] != 0) and bool((steps - steps[0]).abs().max() < 1e-3 * steps[0].abs())


def _restless(row: Sequence[Cell], colours: _Colours) -> dict[str, float]:
    if not is_sweep(row):
        return {}
    share, size = flicker(torch.stack([colours.of(cell) for cell in row]))
    return {"flicker": share, "flicker ΔE": size}


def _whole(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a row's summary line from its faces' lines."""
    whole: dict[str, Any] = {"row": lines[0]["row"], "column": _ALL, "whole": True}
    for name in FIGURES:
        values = [line[name] for line in lines if line.get(name) is not None]
        if values:
            whole[name] = max(values) if name in _LARGEST else sum(values) / len(values)
    return whole
