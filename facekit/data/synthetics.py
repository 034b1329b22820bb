"""FaceSynthetics (Wood et al., ICCV 2021) and SynthFace (from its successor): rendered people with labels.

The layouts::

    FaceSynthetics: <folder>/000123.png, 000123_seg.png (19 classes, 255 to ignore), 000123_ldmks.txt (70 points)
    SynthFace:      <folder>/img_0000123_004.jpg, segm_parts_0000123_004.png, metadata_0000123_004.json

The 70 points are iBUG's 68 and both pupils. Not tested with the real data, which is for research only.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import files, need, rows_of
from facekit.errors import FileError
from facekit.files.atomic import expanded

POINTS = 70
_SYNTHETICS = "000123.png, 000123_seg.png and 000123_ldmks.txt"
_SYNTHFACE = "img_0000123_004.jpg, segm_parts_0000123_004.png and metadata_0000123_004.json"
_NAME = re.compile(r"img_(\d+)_(\d+)")


def facesynthetics(folder: str | Path, most: int | None = None) -> list[Clip]:
    """Read FaceSynthetics as one clip of all pictures, each of which shows another person.

    ``numbers["mask"]`` are the files of class masks. ``most`` limits the number of pictures, the first by name.

    Raises
    ------
    FileError
        If there are none, or labels are missing, with the expected tree.
    """
    root = expanded(folder)
    pictures = tuple(path for path in files(root, (".png",), _SYNTHETICS) if path.stem.isdigit())[:most]
    if not pictures:
        raise FileError(_SYNTHETICS, f"none in {root}", "give FaceSynthetics' own folder")
    marks = np.stack(
        [_points(rows_of(need(root / f"{p.stem}_ldmks.txt", _SYNTHETICS), _SYNTHETICS), p) for p in pictures]
    )
    masks = [need(root / f"{path.stem}_seg.png", _SYNTHETICS) for path in pictures]
    return [Clip("FaceSynthetics", "", "all", pictures, landmarks=marks, numbers={"mask": masks})]


def synthface(folder: str | Path) -> list[Clip]:
    """Read SynthFace, one clip per identity.

    ``numbers`` are ``mask`` (files), ``world_to_camera`` (T, 4, 4) and ``camera_to_image`` (T, 3, 3).

    Raises
    ------
    FileError
        If there are no pictures, or labels are missing, with the expected tree.
    """
    root = expanded(folder)
    people: dict[str, list[Path]] = defaultdict(list)
    for path in files(root, (".jpg",), _SYNTHFACE):
        found = _NAME.fullmatch(path.stem)
        if found is not None:
            people[found[1]].append(path)
    if not people:
        raise FileError(_SYNTHFACE, f"none in {root}", "give SynthFace's own folder")
    return [_identity(root, who, pictures) for who, pictures in people.items()]


def _identity(root: Path, who: str, pictures: list[Path]) -> Clip:
    told = [_metadata(root, path.stem.removeprefix("img_")) for path in pictures]
    try:
        marks = np.stack(
            [_points(np.array(t["landmarks"]["2D"], np.float64), p) for t, p in zip(told, pictures, strict=True)]
        )
        cameras = {
            name: np.array([t["camera"][name] for t in told], np.float64)
            for name in ("world_to_camera", "camera_to_image")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise FileError("landmarks and camera in JSON", f"{pictures[0]} ({error!r})", "take SynthFace's own") from error
    masks = [need(root / f"segm_parts_{path.stem.removeprefix('img_')}.png", _SYNTHFACE) for path in pictures]
    return Clip("SynthFace", who, who, tuple(pictures), landmarks=marks, numbers={"mask": masks, **cameras})


def _metadata(root: Path, stem: str) -> dict[str, Any]:
    path = need(root / f"metadata_{stem}.json", _SYNTHFACE)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError("JSON", f"{path} ({error})", "take SynthFace's own file") from error


def _points(rows: np.ndarray, path: Path) -> np.ndarray:
    if rows.shape != (POINTS, 2):
        raise FileError(f"{POINTS} points", f"{rows.shape} of {path}", "take the data set's own file")
    return rows
