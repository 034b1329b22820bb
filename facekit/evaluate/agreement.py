"""Consistency of a detector between photographs and renders of their reconstructions.

AUFART's protocol (Kim and Lee, ICT Express 2025): the detector's output for the render is compared with its own output
for the photograph, not with labels; of videos every tenth frame, as for DISFA's left camera. A detector that was used
to make the reconstruction cannot judge it: its row has no figure.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from facekit.data.layout import FILMS, PICTURES, files
from facekit.errors import FileError
from facekit.evaluate.experiment import Cell, Experiment, Figure, sources
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
from facekit.reconstruct.clip.film import Film

PROTOCOL = "agreement-1"
#: File in the folder of renders that lists the tools used to make them, one per line.
FITTED_WITH = "fitted_with.txt"
#: Step between the frames of videos that are compared.
EVERY = 10
_CHUNK = 64
_TREE = "pictures or films of the same names in --data and --predictions"
#: Photographs and renders, in chunks.
Chunks = Iterator[tuple[list[np.ndarray], list[np.ndarray]]]
NOTE = "This is a judge's agreement with itself, not with the truth: what it misses on both sides counts as right."


def agreement(
    folder: str | Path,
    renders: str | Path,
    units: Mapping[str, UnitJudge] | None = None,
    people: Mapping[str, PersonJudge] | None = None,
) -> Experiment:
    """Build the experiment.

    Parameters
    ----------
    folder, renders:
        Pictures or videos with the same names; ``renders`` contains the file :data:`FITTED_WITH`, with the line
        "mediapipe" for results of ``facekit reconstruct``.
    units, people:
        Names of judges; by default all that facekit knows. Those that are not installed are listed in the notes.
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
    settings = sources(folder, renders)
    return Experiment("agreement", f"Agreement: {renders.name}", PROTOCOL, cells, settings, [NOTE])


def _figures(
    folder: Path, renders: Path, judge: UnitJudge | PersonJudge, measure: Callable[[Chunks], list[Figure]]
) -> list[Figure]:
    pairs = _matched(folder, renders)
    if not any(render for _, render in pairs):
        raise FileError(_TREE, f"none of {folder} in {renders}", "name the renders like their originals")
    if not is_judge(judge, fitted_with(renders)):
        return [Figure("agreement", [np.nan] * len(pairs), NO_JUDGE)]
    figures = measure(_chunks((photo, render) for photo, render in pairs if render is not None))
    missing = [np.nan] * sum(render is None for _, render in pairs)
    return [f if f.metric == "icc_3_1" else Figure(f.metric, [*f.values, *missing], f.region) for f in figures]


def _units(judge: UnitJudge, chunks: Chunks) -> list[Figure]:
    readings = [(judge(photos), judge(renders)) for photos, renders in chunks]
    figures = []
    for unit in sorted({unit for said, again in readings for unit in set(said) & set(again)}):
        known = [(said[unit], again[unit]) for said, again in readings if unit in said and unit in again]
        a, b = (np.concatenate(part) for part in zip(*known, strict=True))
        seen = np.isfinite(a) & np.isfinite(b)
        figures.append(Figure("unit_difference", np.abs(a - b).tolist(), f"AU{unit}"))
        figures.append(Figure("icc_3_1", [icc(a[seen], b[seen]) if seen.sum() > 1 else np.nan], f"AU{unit}"))
    return figures


def _people(judge: PersonJudge, chunks: Chunks) -> list[Figure]:
    """Return the similarity of renders to their own photograph, and to the next one, as a baseline."""
    features = [(judge(photos), judge(renders)) for photos, renders in chunks]
    own, made = (np.concatenate(part) for part in zip(*features, strict=True))
    figures = [Figure("likeness", likeness(own, made).tolist())]
    if len(own) > 1:
        figures.append(Figure("likeness_to_others", likeness(np.roll(own, 1, axis=0), made).tolist()))
    return figures


def _matched(folder: Path, renders: Path) -> list[tuple[Path, Path | None]]:
    """Pair pictures and videos with the renders of the same name."""
    kinds = (*PICTURES, *FILMS)
    there = {path.stem: path for path in files(renders, kinds, _TREE)}
    return [(path, there.get(path.stem)) for path in files(folder, kinds, _TREE)]


def _chunks(pairs: Iterable[tuple[Path, Path]]) -> Chunks:
    """Yield pixels of both in chunks; of videos every tenth frame."""
    both = ((a, b) for photo, render in pairs for a, b in zip(_frames(photo), _frames(render), strict=False))
    while chunk := list(itertools.islice(both, _CHUNK)):
        yield [photo for photo, _ in chunk], [render for _, render in chunk]


def _frames(path: Path) -> Iterator[np.ndarray]:
    if path.suffix.lower() in PICTURES:
        pixels = load_image(path)
        yield np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., :3])
    else:
        yield from (frame.pixels for frame in Film.open(path) if frame.number % EVERY == 0)


def fitted_with(renders: Path) -> set[str]:
    """Read the names of the tools that were used to make the renders.

    Raises
    ------
    FileError
        If the file is missing.
    """
    path = renders / FITTED_WITH
    if not path.is_file():
        raise FileError(
            f"{FITTED_WITH} with a tool per line", f"none in {renders}", "write it; leave it empty for none"
        )
    return set(path.read_text(encoding="utf-8").split())
