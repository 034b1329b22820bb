"""Agreement of a judge with itself: on photographs, and on renders of what was reconstructed from them.

AUFART's form (Kim and Lee, ICT Express 2025): the detector's reading of the render against its own reading of the
photograph, not against labels. A judge that had a part in the reconstruction is no judge of it: its row has no figure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from facekit.data.layout import PICTURES, files
from facekit.errors import FileError
from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.judges import (
    NO_JUDGE,
    PERSON_JUDGES,
    UNIT_JUDGES,
    PersonJudge,
    UnitJudge,
    is_judge,
    likeness,
    person_judge,
    unit_judge,
)
from facekit.files.atomic import expanded
from facekit.files.images import load_image
from facekit.metrics.agreement import icc

PROTOCOL = "agreement-1"
#: In the folder of renders: a line for each tool that had a part in them.
FITTED_WITH = "fitted_with.txt"
Pictures = Sequence[np.ndarray]
NOTE = "This is a judge's agreement with itself, not with the truth: what it misses on both sides counts as right."


def agreement(
    folder: str | Path,
    renders: str | Path,
    units: Mapping[str, UnitJudge] | None = None,
    people: Mapping[str, PersonJudge] | None = None,
) -> Experiment:
    """Set the comparison up.

    Parameters
    ----------
    folder, renders:
        Pictures of the same names; the second with :data:`FITTED_WITH`, where "mediapipe" stands for whatever
        ``facekit reconstruct`` made.
    units, people:
        Judges by name; by default all that facekit knows of, of which those that are not installed are told in the
        notes.
    """
    folder, renders = expanded(folder), expanded(renders)
    units = {name: unit_judge(name) for name in UNIT_JUDGES} if units is None else units
    people = {name: person_judge(name) for name in PERSON_JUDGES} if people is None else people
    measures = {name: functools.partial(_units, judge) for name, judge in units.items()}
    measures |= {name: functools.partial(_people, judge) for name, judge in people.items()}
    judges = {**units, **people}
    cells = [
        Cell(folder.name, "pairs", name, False, functools.partial(_figures, folder, renders, judges[name], measure))
        for name, measure in measures.items()
    ]
    settings = {"data": str(folder), "predictions": str(renders)}
    return Experiment("agreement", f"Agreement: {renders.name}", PROTOCOL, cells, settings, [NOTE])


def _figures(
    folder: Path, renders: Path, judge: UnitJudge | PersonJudge, measure: Callable[[Pictures, Pictures], list[Figure]]
) -> list[Figure]:
    tree = "pictures of the same names in --data and --predictions"
    there = {path.stem: path for path in files(renders, PICTURES, tree)}
    pairs = [(path, there.get(path.stem)) for path in files(folder, PICTURES, tree)]
    if not any(render for _, render in pairs):
        raise FileError(tree, f"none of {folder} in {renders}", "give renders the names of their photographs")
    if not is_judge(judge, fitted_with(renders)):
        return [Figure("agreement", [np.nan] * len(pairs), NO_JUDGE)]
    both = [(load_image(photo), load_image(render)) for photo, render in pairs if render is not None]
    figures = measure([_colours(photo) for photo, _ in both], [_colours(render) for _, render in both])
    missing = [np.nan] * (len(pairs) - len(both))
    return [Figure(f.metric, [*f.values, *missing], f.region) if len(f.values) == len(both) else f for f in figures]


def _units(judge: UnitJudge, photos: Pictures, renders: Pictures) -> list[Figure]:
    said, again = judge(photos), judge(renders)
    figures = []
    for unit in sorted(set(said) & set(again)):
        a, b = said[unit], again[unit]
        seen = np.isfinite(a) & np.isfinite(b)
        figures.append(Figure("unit_difference", np.abs(a - b).tolist(), f"AU{unit}"))
        figures.append(Figure("icc_3_1", [icc(a[seen], b[seen]) if seen.sum() > 1 else np.nan], f"AU{unit}"))
    return figures


def _people(judge: PersonJudge, photos: Pictures, renders: Pictures) -> list[Figure]:
    """Likeness to one's own photograph, and to the next one's, which is the scale of the first."""
    own, made = judge(photos), judge(renders)
    figures = [Figure("likeness", likeness(own, made).tolist())]
    if len(own) > 1:
        figures.append(Figure("likeness_to_others", likeness(np.roll(own, 1, axis=0), made).tolist()))
    return figures


def fitted_with(renders: Path) -> set[str]:
    """Tools that had a part in what was rendered.

    Raises
    ------
    FileError
        Where nobody says so.
    """
    path = renders / FITTED_WITH
    if not path.is_file():
        raise FileError(f"{FITTED_WITH}, a tool per line", f"none in {renders}", "write it; leave it empty for none")
    return set(path.read_text(encoding="utf-8").split())


def _colours(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) of grey, coloured or transparent pixels."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., :3])
