"""BP4D-Spontaneous (Zhang et al., IVC 2014): 41 people in eight tasks, with presence of action units.

The layout::

    <folder>/F001/T1/2440.jpg …                              eight tasks of 41 people; or one folder further down
    <folder>/…/F001_T1.csv                                   header of FACS numbers; frame, then 0, 1, or 9 for unknown

Not tested with the real data, which is licensed to institutions.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import PICTURES, by_subject, folders, rows_of
from facekit.errors import FileError
from facekit.files.atomic import expanded

#: Action units that papers report.
ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
FPS = 25.0
_TREE, _UNKNOWN = "F001/T1/2440.jpg and AU_OCC/F001_T1.csv", 9
_PERSON = re.compile(r"[FM]\d{3}")


def clips(folder: str | Path) -> list[Clip]:
    """Read all tasks; unlabelled frames have NaN.

    Raises
    ------
    FileError
        If pictures or labels are missing, with the expected tree.
    """
    root = expanded(folder)
    tables = {path.stem: path for path in sorted(root.rglob("*.csv"))}
    found = by_subject(_with_people(root), "BP4D", _TREE, PICTURES, FPS)
    return [_labelled(tables, clip) for clip in found if _PERSON.fullmatch(clip.subject)]


def _with_people(root: Path) -> Path:
    """Return the folder that contains F001 and so on: this one, or one below."""
    inner = folders(root, _TREE)
    return next((place for place in (root, *inner) if any(_PERSON.fullmatch(p.name) for p in place.iterdir())), root)


def _labelled(tables: dict[str, Path], clip: Clip) -> Clip:
    name = clip.name.replace("/", "_")
    if name not in tables:
        raise FileError(_TREE, f"no {name}.csv", "unpack BP4D's codes, too")
    rows = rows_of(tables[name], _TREE)
    known = {int(row[0]): row for row in rows[1:]}
    empty = np.full(rows.shape[1], np.nan)
    values = np.stack([known.get(int(path.stem), empty) for path in clip.pictures])
    values[values == _UNKNOWN] = np.nan
    units = {int(unit): values[:, column] for column, unit in enumerate(rows[0]) if column and unit in ACTION_UNITS}
    return dataclasses.replace(clip, units=units, present_only=True)
