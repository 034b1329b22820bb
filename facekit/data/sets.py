"""Loaders by name: each reads a folder into a list of :class:`facekit.data.clip.Clip`.

Except for facekit's own sets, none was tested with the real data: the loaders follow the published layouts, and report
the expected tree if they find another.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from facekit.checks import one_of
from facekit.data.clip import Clip


@dataclass(frozen=True)
class DataSet:
    """A readable data set: title, description, and the function that reads it.

    Parameters
    ----------
    title, holds:
        Title, and description in a line.
    reader:
        "module.function" within :mod:`facekit.data`.
    seen:
        Whether it was tested with the real set.
    """

    title: str
    holds: str
    reader: str
    seen: bool = False


SETS: dict[str, DataSet] = {
    "facescape": DataSet("FaceScape", "people in 20 expressions, registered meshes", "facescape.clips"),
    "now": DataSet("NoW", "photographs of 20 people", "now.clips"),
    "nersemble": DataSet("NeRSemble SVFR", "391 photographs of 20 people", "nersemble.clips"),
    "disfa": DataSet("DISFA", "27 films, intensities of 12 action units", "disfa.clips"),
    "disfaplus": DataSet("DISFA+", "trials of 9 people, intensities of 12 action units", "disfaplus.clips"),
    "bp4d": DataSet("BP4D", "41 people in 8 tasks, action units present or not", "bp4d.clips"),
    "affectnet": DataSet("AffectNet", "pictures with emotion, valence, arousal, landmarks", "affectnet.clips"),
    "multiface": DataSet("Multiface", "13 people, meshes of one topology", "multiface.clips"),
    "vocaset": DataSet("VOCASET", "12 people speaking, meshes at 60 a second", "flame_sequences.vocaset"),
    "coma": DataSet("CoMA", "12 people in 12 expressions, meshes at 60 a second", "flame_sequences.coma"),
    "facesynthetics": DataSet("FaceSynthetics", "renders with 70 landmarks and classes", "synthetics.facesynthetics"),
    "synthface": DataSet("SynthFace", "renders, 5 a person, with 70 landmarks and cameras", "synthetics.synthface"),
    "folder": DataSet("a folder", "pictures and films of your own", "own.plain", seen=True),
    "generated": DataSet("facekit generate", "a set that facekit made", "own.generated", seen=True),
}


def load_clips(name: str, folder: str | Path) -> list[Clip]:
    """Read a data set.

    Parameters
    ----------
    name:
        One of :data:`SETS`.

    Raises
    ------
    InputError
        If the name is unknown.
    FileError
        If files are missing or damaged, with the expected tree.
    """
    module, _, function = SETS[one_of(name, SETS, "a data set")].reader.partition(".")
    return getattr(importlib.import_module(f"facekit.data.{module}"), function)(folder)
