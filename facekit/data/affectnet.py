"""AffectNet (Mollahosseini et al., IEEE TAC 2019): web pictures with emotion, valence and arousal.

The layout, with four small files per picture::

    <folder>/{train_set,val_set}/images/<n>.jpg
    <folder>/{train_set,val_set}/annotations/<n>_{exp,val,aro,lnd}.npy

Not tested with the real data, which is available on application.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import PICTURES, files, need
from facekit.errors import FileError
from facekit.files.atomic import expanded

#: Emotions by their number in the files, as defined by the authors.
EMOTIONS: tuple[str, ...] = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
_TREE = "{train_set,val_set}/images/<n>.jpg and annotations/<n>_{exp,val,aro,lnd}.npy"
_SPLITS = {"train_set": "train", "val_set": "validation"}


def clips(folder: str | Path, most: int | None = None) -> list[Clip]:
    """Read the available splits, as one clip each: there are no subject labels.

    Parameters
    ----------
    most:
        Largest number of pictures per split, the first by name; None for all, which takes minutes to read.

    Raises
    ------
    FileError
        If there is no split, or annotations are missing, with the expected tree.
    """
    root = expanded(folder)
    names = [name for name in _SPLITS if (root / name).is_dir()]
    if not names:
        raise FileError(_TREE, f"neither in {root}", "give AffectNet's own folder")
    return [_split(root / name, _SPLITS[name], most) for name in names]


def _split(root: Path, split: str, most: int | None) -> Clip:
    pictures = tuple(
        sorted(files(root / "images", PICTURES, _TREE), key=lambda path: (len(path.stem), path.stem))[:most]
    )
    columns = {
        name: np.array([_read(root, path, name).reshape(-1) for path in pictures]) for name in ("exp", "val", "aro")
    }
    marks = np.stack([_read(root, path, "lnd").reshape(-1, 2) for path in pictures])
    numbers = {
        "emotion": columns["exp"][:, 0].astype(np.int64),
        "valence": columns["val"][:, 0],
        "arousal": columns["aro"][:, 0],
    }
    return Clip("AffectNet", "", split, pictures, landmarks=marks, numbers=numbers, split=split)


def _read(root: Path, picture: Path, name: str) -> np.ndarray:
    path = need(root / "annotations" / f"{picture.stem}_{name}.npy", _TREE)
    try:
        return np.load(path, allow_pickle=False).astype(np.float64)
    except ValueError as error:  # numbers may be stored as text
        raise FileError("numbers", f"{path} ({error})", "take AffectNet's own file") from error
