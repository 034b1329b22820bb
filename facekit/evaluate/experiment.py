"""Experiments: methods and their controls on data sets, computed cell by cell so that runs can be resumed.

A cell is one method on one set. Its result is written to ``cells/`` in the experiment's folder as soon as it is
complete; a run with the same settings continues from these files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.checks import one_of
from facekit.errors import FacekitError, FileError
from facekit.evaluate.results import Results, Row, summarised
from facekit.files.atomic import atomic_write, expanded
from facekit.progress import progress
from facekit.version import __version__

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Figure:
    """Values of one metric, one per person or picture; NaN for failures.

    Parameters
    ----------
    metric, region:
        As in :class:`facekit.evaluate.results.Row`.
    values:
        (N,) floats.
    """

    metric: str
    values: Sequence[float]
    region: str = "all"


@dataclass(frozen=True)
class Cell:
    """One method on one set.

    Parameters
    ----------
    dataset, split, method, control:
        As in :class:`facekit.evaluate.results.Row`.
    measure:
        Computes the figures.
    """

    dataset: str
    split: str
    method: str
    control: bool
    measure: Callable[[], Sequence[Figure]]


@dataclass(frozen=True)
class Experiment:
    """Cells and the protocol that they are measured by.

    Parameters
    ----------
    name, title:
        Name for the command, and title for reports.
    protocol:
        Name and version; it changes whenever a figure's meaning does.
    cells:
        Cells in order.
    settings:
        JSON values that determine the figures besides the protocol: seeds, counts, paths.
    notes:
        Notes for the reader of the results.
    pictures:
        Functions that draw pictures, by name; called only if all methods are measured.
    """

    name: str
    title: str
    protocol: str
    cells: Sequence[Cell]
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    pictures: Mapping[str, Callable[[], Image.Image]] = field(default_factory=dict)

    def run(self, folder: str | Path | None = None, methods: Sequence[str] | None = None) -> Results:
        """Measure all cells, or those of the given methods.

        If a method cannot be measured on a set, for lack of a file or because it does not fit, the notes give the
        reason.

        Parameters
        ----------
        folder:
            Folder to store and resume finished cells; None stores nothing.

        Raises
        ------
        InputError
            If a method is unknown.
        """
        names = list(dict.fromkeys(cell.method for cell in self.cells))
        for name in methods or ():
            one_of(name, names, "a method")
        chosen = [cell for cell in self.cells if methods is None or cell.method in methods]
        rows: list[Row] = []
        notes = list(self.notes)
        for cell in progress(chosen, len(chosen), self.name):
            path = None if folder is None else self._path(expanded(folder), cell)
            found = _read(path)
            if found is None:
                found = self._measured(cell)
                if path is not None and len(found):  # a missing file may be there next time
                    with atomic_write(path) as temporary:
                        temporary.write_text(found.to_json(), encoding="utf-8")
            rows += found
            notes += found.notes
        drawn = {name: draw() for name, draw in self.pictures.items()} if methods is None else {}
        return Results(rows, self.title, notes, drawn)

    def _measured(self, cell: Cell) -> Results:
        try:
            figures = cell.measure()
        except FacekitError as error:
            return Results([], notes=[f"{cell.method} on {cell.dataset}, {cell.split}, was not measured: {error}"])
        shared: dict[str, Any] = {k: getattr(cell, k) for k in ("dataset", "split", "method", "control")}
        shared["protocol"] = self.protocol
        return Results([Row(metric=f.metric, region=f.region, **shared, **summarised(f.values)) for f in figures])

    def _path(self, folder: Path, cell: Cell) -> Path:
        """Return the path of the cell's file, with a hash of everything that determines its figures."""
        decided = [self.protocol, cell.dataset, cell.split, cell.method, dict(self.settings), __version__]
        digest = hashlib.sha256(json.dumps(decided, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return folder / "cells" / f"{self.name}-{''.join(c if c.isalnum() else '-' for c in cell.method)}-{digest}.json"


def sources(folder: Path, predictions: Path) -> dict[str, str]:
    """Return settings of an experiment on predictions: both paths, and a digest of the predictions' files.

    The digest of names, sizes and times keeps figures of earlier predictions from being taken for those of new ones.
    """
    stats = [(p.relative_to(predictions).as_posix(), p.stat()) for p in sorted(predictions.rglob("*")) if p.is_file()]
    files = hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()[:12]
    return {"data": str(folder), "predictions": str(predictions), "files": files}


def _read(path: Path | None) -> Results | None:
    """Read a finished cell; None for a damaged one, which is measured again."""
    if path is None or not path.is_file():
        return None
    try:
        return Results.from_json(path.read_text(encoding="utf-8"))
    except FileError:
        return None
