"""CoMA (Ranjan et al., ECCV 2018) and VOCASET (Cudeiro et al., CVPR 2019): meshes in FLAME's topology, 60 per second.

The layout of both::

    <folder>/FaceTalk_170725_00137_TA/<clip>/<clip>.000001.ply

where CoMA's clips are twelve expressions and VOCASET's forty sentences. Not tested with the real data.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from facekit.data.clip import Clip
from facekit.data.layout import by_subject

FPS = 60.0
_TREE = "FaceTalk_170725_00137_TA/<clip>/<clip>.000001.ply"
#: VOCASET's validation and test subjects, as split by its authors; all others are for training.
VALIDATION = ("FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA")
TEST = ("FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA")


def coma(folder: str | Path) -> list[Clip]:
    """Read CoMA's clips.

    Raises
    ------
    FileError
        If there are none, with the expected tree.
    """
    return by_subject(folder, "CoMA", _TREE, (".ply",), FPS)


def vocaset(folder: str | Path) -> list[Clip]:
    """Read VOCASET's sentences, each with its split.

    Raises
    ------
    FileError
        If there are none, with the expected tree.
    """
    splits: dict[str, str] = {**dict.fromkeys(VALIDATION, "validation"), **dict.fromkeys(TEST, "test")}
    found = by_subject(folder, "VOCASET", _TREE, (".ply",), FPS)
    return [dataclasses.replace(clip, split=splits.get(clip.subject, "train")) for clip in found]
