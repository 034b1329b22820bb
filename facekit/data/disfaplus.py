"""DISFA+ (Mavadati et al., CVPRW 2016): posed and spontaneous action units of nine people of DISFA.

The layout::

    <folder>/Images/SN001/<trial>/000.jpg …
    <folder>/Labels/SN001/<trial>/AU1.txt …                  lines "000.jpg 0", intensities 0 to 5

Not tested with the real data, which is licensed to institutions.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import PICTURES, by_subject, need
from facekit.errors import FileError
from facekit.files.atomic import expanded

_TREE = "Images/SN001/<trial>/000.jpg and Labels/SN001/<trial>/AU1.txt"
_LINE = re.compile(r"(\S+?)(?:\.\w+)?[\s,]+([0-5])\s*$")


def clips(folder: str | Path) -> list[Clip]:
    """Read all trials.

    Raises
    ------
    FileError
        If pictures or labels are missing, with the expected tree.
    """
    root = expanded(folder)
    return [_labelled(root, clip) for clip in by_subject(root / "Images", "DISFA+", _TREE, PICTURES)]


def _labelled(root: Path, clip: Clip) -> Clip:
    paths = sorted(need(root / "Labels" / clip.name, _TREE).glob("AU*.txt"))
    if not paths:
        raise FileError(_TREE, f"no labels in {root / 'Labels' / clip.name}", "unpack all of DISFA+")
    units = {}
    for path in paths:
        lines = (_LINE.match(line) for line in path.read_text(encoding="utf-8-sig").splitlines())
        said = {found[1]: float(found[2]) for found in lines if found is not None}
        units[int(path.stem[2:])] = np.array([said.get(picture.stem, np.nan) for picture in clip.pictures])
    return dataclasses.replace(clip, units=units)
