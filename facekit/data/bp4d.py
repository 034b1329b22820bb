"""BP4D-Spontaneous (Zhang et al., IVC 2014): 41 people in eight tasks, action units present or not.

The layout::

    <folder>/F001/T1/2440.jpg …                              eight tasks of 41 people
    <folder>/AU_OCC/F001_T1.csv                              a head of FACS numbers; frame, then 0, 1, or 9 for unknown

Never seen here with the real data: it is licensed to institutions.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import PICTURES, by_subject, need, rows_of
from facekit.files.atomic import expanded

#: Those that papers report.
ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
FPS = 25.0
_TREE, _UNKNOWN = "F001/T1/2440.jpg and AU_OCC/F001_T1.csv", 9


def clips(folder: str | Path) -> list[Clip]:
    """Read all tasks; frames that nobody labelled have NaN.

    Raises
    ------
    FileError
        When pictures or labels are missing, with the tree that was expected.
    """
    root = expanded(folder)
    found = [clip for clip in by_subject(root, "BP4D", _TREE, PICTURES, FPS) if clip.subject[:1] in "FM"]
    return [_labelled(root, clip) for clip in found]


def _labelled(root: Path, clip: Clip) -> Clip:
    rows = rows_of(need(root / "AU_OCC" / f"{clip.name.replace('/', '_')}.csv", _TREE), _TREE)
    known = {int(row[0]): row for row in rows[1:]}
    empty = np.full(rows.shape[1], np.nan)
    values = np.stack([known.get(int(path.stem), empty) for path in clip.pictures])
    values[values == _UNKNOWN] = np.nan
    units = {int(unit): values[:, column] for column, unit in enumerate(rows[0]) if column and unit in ACTION_UNITS}
    return dataclasses.replace(clip, units=units, present_only=True)
