"""Action units against DISFA's labels.

Detection: F1 of eight units, positive from intensity 2, pooled over the frames of each of three folds of subjects and
averaged. Intensity: ICC(3,1) and mean absolute error of all twelve, over the frames of all subjects, the mean over
units last. Published work fixes folds of nine subjects, but these differ between papers; here each fold is every third
subject by name, as its row states. Intervals of F1, ICC and error are over folds, folds and subjects.

AUFART (Kim and Lee, ICT Express 2025) compares a detector on the render with the same detector on the photograph. That
is not agreement with labels, and is not measured here.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facekit.data import disfa as labels
from facekit.errors import FileError
from facekit.evaluate.experiment import Cell, Experiment, Figure, sources
from facekit.files.atomic import expanded
from facekit.metrics.agreement import f1, icc

PROTOCOL = "disfa-1"
DETECTED: tuple[int, ...] = (1, 2, 4, 6, 9, 12, 25, 26)
POSITIVE = 2.0
FOLDS = 3
NOTES = (
    "Folds are every third subject by name. Papers fix folds of nine subjects without naming them alike, so F1 over "
    "folds differs a little from theirs; ICC and error do not depend on folds.",
    "A detector that was used in fitting is no judge of the fit: say which detector the predictions come from.",
)


def disfa(folder: str | Path, predictions: str | Path) -> Experiment:
    """Build the experiment.

    Parameters
    ----------
    folder:
        Folder with DISFA's ``ActionUnit_Labels``.
    predictions:
        Folder with ``SN001.csv`` and so on: header "frame,AU1,AU2,…" and intensities 0 to 5; missing units are skipped.
        ``facekit reconstruct`` can write such tables for videos.
    """
    folder, predictions = expanded(folder), expanded(predictions)
    cells = [
        Cell("DISFA", "all subjects", predictions.name, False, lambda: _figures(folder, predictions)),
        Cell("DISFA", "all subjects", "always absent", True, lambda: _figures(folder, None)),
    ]
    settings = sources(folder, predictions)
    return Experiment("disfa", f"DISFA: {predictions.name}", PROTOCOL, cells, settings, NOTES)


def read_predictions(path: Path) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Read frame numbers (T,) and intensities (T,) by action unit from a CSV file.

    Raises
    ------
    FileError
        If the column "frame" is missing or a cell is not a number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        head = [name.strip() for name in rows[0]]
        values = np.array([[float(cell) for cell in row] for row in rows[1:] if row])
        place = head.index("frame")
    except (OSError, ValueError, IndexError) as error:
        raise FileError(f"a head frame,AU1,AU2,… and numbers in {path}", str(error), "write it like that") from error
    units = {int(name[2:]): values[:, k] for k, name in enumerate(head) if name[:2] == "AU" and name[2:].isdigit()}
    return values[:, place].astype(np.int64), units


def _figures(folder: Path, predictions: Path | None) -> list[Figure]:
    """Return all figures; without predictions those of a rater who always answers 0."""
    videos = labels.load(folder)
    true, said = [], []
    for video in videos:
        wanted = np.full_like(video.intensities, np.nan)
        if predictions is None:
            wanted[:] = 0.0
        elif (path := predictions / f"{video.subject}.csv").is_file():
            frames, units = read_predictions(path)
            place = {frame: k for k, frame in enumerate(frames.tolist())}
            rows = [place.get(frame, -1) for frame in video.frames.tolist()]
            known = np.array(rows) >= 0
            for column, unit in enumerate(labels.ACTION_UNITS):
                if unit in units:
                    wanted[known, column] = units[unit][np.array(rows)[known]]
        true.append(video.intensities)
        said.append(wanted)
    if all(np.isnan(part).all() for part in said):
        raise FileError("SN001.csv and so on", f"none in {predictions}", "write one table per video")
    figures = []
    for column, unit in enumerate(labels.ACTION_UNITS):
        t, s = ([part[:, column] for part in parts] for parts in (true, said))
        errors = [_both(_error, b, a) for a, b in zip(t, s, strict=True)]
        figures.append(Figure("mae", errors, f"AU{unit}"))
        figures.append(Figure("icc_3_1", [_both(icc, np.concatenate(s), np.concatenate(t))], f"AU{unit}"))
        if unit in DETECTED:
            folds = [_both(_detected, np.concatenate(s[k::FOLDS]), np.concatenate(t[k::FOLDS])) for k in range(FOLDS)]
            figures.append(Figure("f1", folds, f"AU{unit}"))
    for metric, units in (("f1", DETECTED), ("icc_3_1", labels.ACTION_UNITS), ("mae", labels.ACTION_UNITS)):
        means = [float(np.nanmean(f.values)) for f in figures if f.metric == metric and not np.isnan(f.values).all()]
        figures.append(Figure(metric, [float(np.mean(means)) if means else np.nan], f"mean of {len(units)}"))
    return figures


def _detected(said: np.ndarray, true: np.ndarray) -> float:
    return f1(said >= POSITIVE, true >= POSITIVE)


def _error(said: np.ndarray, true: np.ndarray) -> float:
    return float(np.abs(said - true).mean())


def _both(measure: Callable[..., float], said: np.ndarray, true: np.ndarray) -> float:
    """Return the measure for a prediction; NaN without one."""
    known = ~np.isnan(said)
    return measure(said[known], true[known]) if known.sum() > 1 else float("nan")
