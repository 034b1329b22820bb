"""DISFA (Mavadati et al., IEEE TAC 2013): intensities 0 to 5 of twelve action units in every frame of 27 videos.

The layout of its labels::

    <folder>/ActionUnit_Labels/SN001/SN001_au1.txt           lines "frame,intensity", frames from 1
    <folder>/Videos_LeftCamera/LeftVideoSN001_comp.avi       optional

Not tested with the real data, which is licensed to institutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import FILMS
from facekit.errors import FileError
from facekit.files.atomic import expanded

ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
_LABELS = "ActionUnit_Labels"


@dataclass(frozen=True)
class Labels:
    """Labels of one video.

    Parameters
    ----------
    subject:
        Name of the folder: "SN001".
    frames:
        (T,) int64, from 1.
    intensities:
        (T, 12) float64, 0 to 5, in the order of :data:`ACTION_UNITS`.
    """

    subject: str
    frames: np.ndarray
    intensities: np.ndarray


FPS = 20.0


def clips(folder: str | Path) -> list[Clip]:
    """Read all subjects, with the left camera's videos if available; see :func:`load`."""
    root = expanded(folder)
    films = {path: path.stem for path in root.rglob("*") if path.suffix.lower() in FILMS and "Left" in path.stem}
    found = []
    for labels in load(root):
        film = next((path for path, stem in sorted(films.items()) if labels.subject in stem), None)
        units = dict(zip(ACTION_UNITS, labels.intensities.T, strict=True))
        numbers = {"frame": labels.frames}
        found.append(Clip("DISFA", labels.subject, labels.subject, film=film, fps=FPS, units=units, numbers=numbers))
    return found


def load(folder: str | Path) -> list[Labels]:
    """Read the labels of all subjects, by name.

    Raises
    ------
    FileError
        If files are missing or lines are not pairs of numbers, with the expected tree.
    """
    root = expanded(folder)
    root = root / _LABELS if (root / _LABELS).is_dir() else root
    subjects = sorted(path for path in root.glob("SN*") if path.is_dir())
    if not subjects:
        raise FileError(f"{_LABELS}/SN001/SN001_au1.txt and so on", f"none in {root}", "give DISFA's own folder")
    return [_read(path) for path in subjects]


def _read(folder: Path) -> Labels:
    columns, frames = [], None
    for unit in ACTION_UNITS:
        path = folder / f"{folder.name}_au{unit}.txt"
        try:
            pairs = np.loadtxt(path, delimiter=",", ndmin=2)
        except (OSError, ValueError) as error:
            raise FileError(f"lines frame,intensity in {path}", str(error), "take DISFA's own file") from error
        if pairs.shape[1:] != (2,) or not ((pairs[:, 1] >= 0) & (pairs[:, 1] <= 5)).all():
            raise FileError("two columns, intensities 0 to 5", f"{path}: {pairs.shape}", "take DISFA's own file")
        frames = pairs[:, 0].astype(np.int64) if frames is None else frames
        if not np.array_equal(frames, pairs[:, 0].astype(np.int64)):
            raise FileError("the same frames for each action unit", f"others in {path}", "take DISFA's own file")
        columns.append(pairs[:, 1])
    assert frames is not None
    return Labels(folder.name, frames, np.stack(columns, axis=1))
