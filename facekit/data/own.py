"""Your own data: folders of pictures and videos, and sets made by ``facekit generate``.

The layouts::

    <folder>/<anything>.jpg, .png or .webp                   one clip of pictures, by name <folder>/<anything>.mp4,
    .avi, .mov, .mkv or .webm       one clip each <folder>/<person>/…                                      the same per
    person, if there are folders
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import FILMS, PICTURES
from facekit.data.shards import FaceShards
from facekit.errors import FileError
from facekit.files.atomic import expanded

_TREE = "pictures or films, or folders of them"


def plain(folder: str | Path) -> list[Clip]:
    """Read a folder of pictures and videos.

    Raises
    ------
    FileError
        If there are neither.
    """
    root = expanded(folder)
    inner = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = _of(root, "") + [clip for path in inner for clip in _of(path, path.name)]
    if not found:
        raise FileError(_TREE, f"neither in {root}", "give the folder that holds them")
    return found


def generated(folder: str | Path) -> list[Clip]:
    """Read a complete set of ``facekit generate`` as one clip; pictures are read from its shards on demand.

    ``numbers["sample"]`` are the labels of each sample, described in the set's README. For training use
    :class:`facekit.data.FaceShards`, another view of the same data.

    Raises
    ------
    FileError
        If there is no complete set, or it has no pictures.
    """
    shards, bare = FaceShards(folder, only=("rgb",)), FaceShards(folder, only=())
    numbers = [bare[k]["numbers"] for k in range(len(bare))]
    marks = [sample.get("landmarks", {}).get("points") for sample in numbers]

    def read(frame: int) -> np.ndarray:
        sample = shards[frame]
        if "rgb" not in sample:
            raise FileError("a set with pictures", f"{folder}, which has none", "make it with rgb")
        return (255 * sample["rgb"] + 0.5).byte().permute(1, 2, 0).numpy()

    known = np.array(marks, np.float64) if all(mark is not None for mark in marks) else None
    return [Clip("generated", "", Path(folder).name, landmarks=known, numbers={"sample": numbers}, _read=read)]


def _of(root: Path, subject: str) -> list[Clip]:
    """Return the clips of one folder, without those of its subfolders."""
    paths = sorted(path for path in root.iterdir() if path.is_file()) if root.is_dir() else []
    pictures = tuple(path for path in paths if path.suffix.lower() in PICTURES)
    found = [Clip("folder", subject, subject or root.name, pictures)] if pictures else []
    films = (path for path in paths if path.suffix.lower() in FILMS)
    return found + [Clip("folder", subject, path.stem, film=path) for path in films]
