"""Clip: one person's frames in a data set (pictures, a video or meshes), with labels per frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facekit.errors import InputError
from facekit.files.images import load_image


@dataclass(frozen=True)
class Clip:
    """T frames of one person; files are opened on demand.

    Parameters
    ----------
    dataset, subject, name:
        Names of the set, the person and the clip; the subject is "" if unknown.
    pictures:
        T files, or none.
    film:
        A video in place of pictures; T is then that of ``units``, ``landmarks`` or ``numbers``, else 0 for unknown.
    meshes:
        T files, or none.
    fps:
        Frames per second; None for pictures that are not a sequence.
    units:
        (T,) float64 by FACS number, NaN if unlabelled: intensities 0 to 5, or 0 and 1 with ``present_only``.
    landmarks:
        (T, L, 2) float64 pixels.
    numbers:
        Other labels: arrays or lists of T by name, with the set's own names.
    split:
        "train", "validation", "test", or "" if the set has none.
    """

    dataset: str
    subject: str
    name: str
    pictures: tuple[Path, ...] = ()
    film: Path | None = None
    meshes: tuple[Path, ...] = ()
    fps: float | None = None
    units: Mapping[int, np.ndarray] = field(default_factory=dict)
    present_only: bool = False
    landmarks: np.ndarray | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""
    #: Function that reads picture k if it is not a file.
    _read: Callable[[int], np.ndarray] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        marks = () if self.landmarks is None else (self.landmarks,)
        lengths = {len(part) for part in (*self.units.values(), *self.numbers.values(), *marks)}
        lengths |= {len(part) for part in (self.pictures, self.meshes) if part}
        if len(lengths) > 1:
            raise InputError("one length of all parts of a clip", f"{sorted(lengths)} in {self.name}", "check the set")
        object.__setattr__(self, "_length", next(iter(lengths), 0))

    def __len__(self) -> int:
        return self._length  # pyright: ignore[reportAttributeAccessIssue]

    def picture(self, frame: int) -> np.ndarray:
        """Return the pixels (H, W, 3) uint8 sRGB of a frame.

        Raises
        ------
        InputError
            If the clip has no pictures; for a video see :mod:`facekit.reconstruct.clip.film`.
        """
        if self._read is not None:
            return self._read(frame)
        if not self.pictures:
            raise InputError("a clip with pictures", f"{self.name}, which has none", "open its video or its meshes")
        pixels = load_image(self.pictures[frame])
        return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]
