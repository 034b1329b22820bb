"""Videos: the frames of a file, one at a time, with their timestamps."""

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

#: Frames are scaled down to this longer side, pixels: landmarks are fitted to a tenth of a pixel in any case.
LONGEST = 1920
#: Plausible frame rates; containers give others if they do not know. The default is used instead.
_RATES, _USUAL = (1.0, 480.0), 30.0


@dataclass(frozen=True)
class Frame:
    """Frame of a video.

    Parameters
    ----------
    number:
        Index from 0.
    time:
        Timestamp in seconds from the beginning of the video.
    pixels:
        (H, W, 3) uint8 sRGB, upright.
    """

    number: int
    time: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Film:
    """Readable video file; iterate over it for its frames, as often as needed.

    Parameters
    ----------
    path:
        Path of the file.
    fps:
        Frames per second according to the container; frames have their own timestamps.
    size:
        (height, width) of the frames as read: upright, scaled down to :data:`LONGEST`.
    count:
        Number of frames according to the container, an estimate; None if unknown.
    """

    path: Path
    fps: float
    size: tuple[int, int]
    count: int | None

    @classmethod
    def open(cls, path: str | Path) -> Film:
        """Open a file and read its first frame.

        Raises
        ------
        FileError
            If the file is missing, is not a video, or has no readable frame.
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
                    "a video that OpenCV reads (MP4, MOV, WebM, AVI, …)",
                    f"{what} in {path.name}",
                    "convert it: ffmpeg -i VIDEO -c:v libx264 -pix_fmt yuv420p video.mp4",
                )
            fps, count = (float(capture.get(what)) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        finally:
            capture.release()
        fps = fps if math.isfinite(fps) and _RATES[0] <= fps <= _RATES[1] else _USUAL
        known = math.isfinite(count) and 0 < count < 1e9
        return cls(path, fps, (first.shape[0], first.shape[1]), round(count) if known else None)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order; the first unreadable frame ends the video."""
        cv2, capture = _capture(self.path)
        try:
            last = -math.inf
            number = 0
            while (pixels := _read(cv2, capture, self.path)) is not None:
                told = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
                # Containers without timestamps give 0 for all frames, and damaged ones go backwards.
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
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # telephones store the orientation in the file
    return cv2, capture


def _read(cv2: Any, capture: Any, path: Path) -> np.ndarray | None:
    """Return the next frame as RGB, or None at the end."""
    try:
        with quiet():
            found, pixels = capture.read()
    except cv2.error as error:
        raise FileError("a whole video", f"{path.name} ({error})", "convert it with ffmpeg") from error
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
