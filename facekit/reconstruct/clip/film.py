"""Films: the frames of a video file, one at a time, each with the time at which it is shown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facekit.errors import FileError, optional_import
from facekit.files.atomic import expanded
from facekit.reconstruct.quiet import quiet

#: Frames are scaled down to this longer side, pixels: faces are fitted to a tenth of a pixel anyway.
LONGEST = 1920
#: Rates that are believed; others are a container's way of saying that it does not know.
_RATES, _USUAL = (1.0, 480.0), 30.0


@dataclass(frozen=True)
class Frame:
    """A frame of a film.

    Parameters
    ----------
    number:
        From 0.
    time:
        Seconds at which it is shown, from the film's beginning.
    pixels:
        (H, W, 3) uint8 sRGB, upright.
    """

    number: int
    time: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Film:
    """A video file that can be read; iterate over it for its frames, as often as wanted.

    Parameters
    ----------
    path:
        The file.
    fps:
        Frames a second, as its container tells; frames have times of their own.
    size:
        (height, width) of a frame as it is read: upright, scaled down where it is larger than :data:`LONGEST`.
    count:
        How many frames its container tells of; an estimate, None for unknown.
    """

    path: Path
    fps: float
    size: tuple[int, int]
    count: int | None

    @classmethod
    def open(cls, path: str | Path) -> Film:
        """Look at a file's first frame.

        Raises
        ------
        FileError
            For a file that is missing or no film, and one without a frame that can be read.
        """
        path = expanded(path)
        if not path.is_file():
            raise FileError("a video file", f"none at {path}", "check its name")
        cv2, capture = _capture(path)
        try:
            first = _read(cv2, capture, path) if capture.isOpened() else None
            if first is None:
                what = "an empty file" if not path.stat().st_size else "no frame that can be read"
                raise FileError(
                    "a film that OpenCV reads (MP4, MOV, WebM, AVI, …)",
                    f"{what} in {path.name}",
                    "convert it: ffmpeg -i FILM -c:v libx264 -pix_fmt yuv420p film.mp4",
                )
            fps, count = (float(capture.get(what)) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        finally:
            capture.release()
        fps = fps if math.isfinite(fps) and _RATES[0] <= fps <= _RATES[1] else _USUAL
        known = math.isfinite(count) and 0 < count < 1e9
        return cls(path, fps, (first.shape[0], first.shape[1]), round(count) if known else None)

    def __iter__(self) -> Iterator[Frame]:
        """Frames in their order, none kept; what cannot be read ends the film."""
        cv2, capture = _capture(self.path)
        try:
            last = -math.inf
            number = 0
            while (pixels := _read(cv2, capture, self.path)) is not None:
                told = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
                # Containers without times tell 0 for all frames, and damaged ones go back.
                time = told if math.isfinite(told) and told > last else max(last, -1 / self.fps) + 1 / self.fps
                if pixels.shape[:2] != self.size:  # some streams change their size midway
                    pixels = cv2.resize(pixels, self.size[::-1], interpolation=cv2.INTER_AREA)
                yield Frame(number, time, pixels)
                last, number = time, number + 1
        finally:
            capture.release()


def _capture(path: Path) -> tuple[Any, Any]:
    cv2 = optional_import("cv2", "photo", "reading films")
    with quiet():
        capture = cv2.VideoCapture(str(path))
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # a telephone held upright tells so in the file
    return cv2, capture


def _read(cv2: Any, capture: Any, path: Path) -> np.ndarray | None:
    """The next frame as RGB, or None for none."""
    try:
        with quiet():
            found, pixels = capture.read()
    except cv2.error as error:
        raise FileError("a whole film", f"{path.name} ({error})", "convert it with ffmpeg") from error
    if not found or pixels is None or not pixels.size:
        return None
    if pixels.dtype != np.uint8:
        pixels = (pixels / 257).astype(np.uint8)
    kinds = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    pixels = cv2.cvtColor(pixels, kinds[1 if pixels.ndim == 2 else pixels.shape[2]])
    scale = LONGEST / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return pixels
