"""Track one face through a video.

The landmarker sees a window around the face, scaled to a fixed size, so that a face that is small in the video is
tracked as well as a large one, and other people are left out; it sees the window mirrored, too, as the average of two
detections is better than one. While the face stays near the window's centre the window does not move, and so the
landmarker's bias does not change either; when the face leaves it, a new window is placed. MediaPipe's own video mode is
not used: its filter lags by up to a frame, and smoothing all frames together afterwards
(:mod:`facekit.reconstruct.clip.steady`) works better.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from facekit.conventions import BLENDSHAPES
from facekit.errors import InputError, optional_import
from facekit.reconstruct.clip.film import Film, Frame
from facekit.reconstruct.clip.steady import smoothed
from facekit.reconstruct.find import all_faces, overlap
from facekit.reconstruct.landmarker import LEFT_IRIS, POINTS, RIGHT_IRIS, FaceLandmarks, Landmarker, Reading

#: A window's side in face sizes, and in pixels; the face's largest distance from its centre in face sizes, and largest
#: change of scale, before the window is placed anew.
_AROUND, _SIDE, _STRAY, _GROWTH = 2.2, 448, 0.3, 1.3
#: Least intersection over union with the face in the last frame; below it, it is another face.
_SAME = 0.25
#: Largest number of faces detected in a window.
_NEIGHBOURS = 3
#: A lost face is searched for in the whole frame: within this many face sizes, and this many more per second; anywhere
#: after this many seconds. Every so many frames the search includes small faces.
_NEAR, _SPEED, _ANYWHERE, _TILES_EVERY = 1.2, 4.0, 1.5, 10
#: Columns of a frame's row: refined points, predicted blendshapes, their standard deviations, the points' standard
#: deviations, rotation.
_POINTS = slice(0, 2 * POINTS)
_SHAPES = slice(_POINTS.stop, _POINTS.stop + len(BLENDSHAPES))
_UNSURE = slice(_SHAPES.stop, _SHAPES.stop + len(BLENDSHAPES))
_SPREAD = slice(_UNSURE.stop, _UNSURE.stop + POINTS)
_NUMBERS = _SPREAD.stop + 9
#: Frames smoothed at once, and their overlap; lower bounds of the noise of points, in iris distances, and of
#: blendshapes.
_PART, _OVERLAP, _LEAST, _LEAST_SHAPE = 600, 90, 1e-4, 4e-3


@dataclass(frozen=True)
class Seen:
    """Result of tracking in one frame; ``face`` is None without detection."""

    frame: Frame
    face: FaceLandmarks | None


class Track:
    """Detections of all frames, stored in a temporary file: long videos need no more memory than short ones."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="facekit-track-")  # noqa: SIM115  # lives as long as the track
        self.times: list[float] = []
        self.found: list[bool] = []

    def __len__(self) -> int:
        return len(self.times)

    def add(self, time: float, face: FaceLandmarks | None) -> None:
        """Append a frame with its refined face."""
        row = np.zeros(_NUMBERS, np.float32)
        if face is not None:
            assert face.reading is not None and face.spread is not None
            row[_POINTS] = face.points.reshape(-1)
            row[_SHAPES], row[_UNSURE] = face.reading.shapes, face.reading.shapes_spread
            row[_SPREAD], row[_SPREAD.stop :] = face.spread, face.matrix[:3, :3].reshape(-1)
        self._file.write(row.tobytes())
        self.times.append(time)
        self.found.append(face is not None)

    def faces(self, calm: float = 1.0) -> Iterator[FaceLandmarks | None]:
        """Yield the refined faces in order, smoothed.

        Parameters
        ----------
        calm:
            Factor on the noise level that is smoothed away.
        """
        times, found = np.array(self.times), np.array(self.found)
        for start in range(0, len(self), _PART):
            low, high = max(0, start - _OVERLAP), min(len(self), start + _PART + _OVERLAP)
            rows, there = self._rows(low, high), found[low:high]
            if there.any() and calm > 0:
                right, left = (rows[there][:, 2 * eye : 2 * eye + 2] for eye in (RIGHT_IRIS[0], LEFT_IRIS[0]))
                distance = np.median(np.linalg.norm(left - right, axis=1))
                kinds = ((_POINTS, _LEAST * float(distance)), (_SHAPES, _LEAST_SHAPE))
                for part, least in kinds:
                    rows[:, part] = smoothed(rows[:, part], times[low:high], there, least, calm)
            for k in range(start, min(start + _PART, len(self))):
                yield _face(rows[k - low]) if found[k] else None

    def _rows(self, low: int, high: int) -> np.ndarray:
        """Return some frames' rows (frames, N) float64."""
        self._file.flush()
        self._file.seek(4 * _NUMBERS * low)
        data = self._file.read(4 * _NUMBERS * (high - low))
        return np.frombuffer(data, np.float32).reshape(high - low, _NUMBERS).astype(np.float64)

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()


class Tracker:
    """Track one face; use it as a context manager.

    Parameters
    ----------
    finder:
        Landmarker for single pictures with several faces.
    mirror:
        (478,) int64: index of each landmark's mirror image.
    face:
        Index of the face in the first frame with any; 0 is the largest and most central.
    """

    def __init__(self, finder: Landmarker, mirror: np.ndarray, face: int | None = None) -> None:
        self.finder, self.mirror, self.number = finder, mirror, face
        self._window: _Window | None = None
        self._looker = Landmarker(_NEIGHBOURS)
        self._last: FaceLandmarks | None = None
        self._lost, self._since = 0, 0.0
        #: Number of faces in the first frame with any.
        self.faces = 0

    def __call__(self, frame: Frame) -> FaceLandmarks | None:
        """Return the face in the next frame, None without detection."""
        face = None
        if self._window is not None and self._last is not None and self._lost == 0:
            face = self._window(frame, self._last)
            if face is not None and self._window.strayed(face):
                face = self._opened(frame, face) or face
        if face is None:
            found = self._searched(frame)
            face = None if found is None else self._opened(frame, found)
        if face is None:
            self._lost += 1
        else:
            self._last, self._lost, self._since = face, 0, frame.time
        return face

    def follow(self, film: Film) -> Iterator[Seen]:
        """Track the face through a video."""
        for frame in film:
            yield Seen(frame, self(frame))

    def _opened(self, frame: Frame, face: FaceLandmarks) -> FaceLandmarks | None:
        """Return the face detected in a new window around it."""
        self._window = _Window(face, self.mirror, self._looker)
        return self._window(frame, face)

    def _searched(self, frame: Frame) -> FaceLandmarks | None:
        """Search for the face in the whole frame."""
        first = self._last is None
        # If an index was given, small faces count as well.
        tiles = (first and self.number is not None) or self._lost % _TILES_EVERY == 0
        faces = all_faces(frame.pixels, self.finder, tiles=tiles, every=first and bool(self.number))
        if not faces:
            return None
        if self._last is None:
            self.faces = len(faces)
            number = self.number or 0
            if number >= len(faces):
                told = f"the first frame with any, at {frame.time:.2f} s, shows {len(faces)}"
                raise InputError(f"a video with a face {number}", told, "count from 0, or cut the video")
            return faces[number]
        gone = frame.time - self._since
        allowed = np.inf if gone > _ANYWHERE else _NEAR + _SPEED * gone
        ranked = sorted(faces, key=lambda one: _apart(one, self._last))
        return ranked[0] if _apart(ranked[0], self._last) <= allowed else None

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looker.close()


class _Window:
    """Square window of the frames, detected in as it is and mirrored."""

    def __init__(self, face: FaceLandmarks, mirror: np.ndarray, landmarker: Landmarker) -> None:
        self.mirror, self.landmarker = mirror, landmarker
        self.middle, self.size = _middle(face), _size(face)
        self.scale = _SIDE / (_AROUND * self.size)

    def strayed(self, face: FaceLandmarks) -> bool:
        """Return True if the face needs a new window."""
        away = float(np.abs(_middle(face) - self.middle).max()) / self.size
        grown = _size(face) / self.size
        return away > _STRAY or not 1 / _GROWTH < grown < _GROWTH

    def __call__(self, frame: Frame, expected: FaceLandmarks) -> FaceLandmarks | None:
        cv2: Any = optional_import("cv2", "photo", "reading films")
        corner = self.middle - _SIDE / 2 / self.scale
        # Coordinates are measured from pixel edges here; OpenCV measures from the centre of the first pixel.
        shift = -self.scale * corner + 0.5 * self.scale - 0.5
        matrix = np.array([[self.scale, 0, shift[0]], [0, self.scale, shift[1]]])
        pixels = frame.pixels
        if self.scale < 0.5:  # warping alone would alias
            factor = 2 ** int(np.log2(1 / self.scale))
            pixels = cv2.resize(pixels, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
            size = np.array([frame.pixels.shape[1] / pixels.shape[1], frame.pixels.shape[0] / pixels.shape[0]])
            matrix[:, 2] = -self.scale * corner + 0.5 * self.scale * size - 0.5
            matrix[:, :2] *= size
        look = cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        looks = []
        for mirrored in (False, True):
            faces = self.landmarker(np.ascontiguousarray(look[:, ::-1]) if mirrored else look)
            back = []
            for one in faces:
                points = (one.points * (-1, 1) + (_SIDE, 0))[self.mirror] if mirrored else one.points
                back.append(FaceLandmarks(points / self.scale + corner, one.scores, one.matrix))
            best = max(back, key=lambda one: overlap(one, expected), default=None)
            if best is not None and overlap(best, expected) > _SAME:
                looks.append((mirrored, best))
        if not looks or looks[0][0]:  # scores and rotation are taken from the unmirrored detection
            return None
        return FaceLandmarks(np.mean([one.points for _, one in looks], axis=0), looks[0][1].scores, looks[0][1].matrix)


def _face(row: np.ndarray) -> FaceLandmarks:
    """Rebuild a frame's refined face from its row."""
    matrix = np.eye(4)
    matrix[:3, :3] = row[_SPREAD.stop :].reshape(3, 3)
    nobody = np.zeros(0)  # identity was predicted from other frames
    reading = Reading(nobody, nobody, row[_SHAPES].clip(0, 1), row[_UNSURE])
    return FaceLandmarks(row[_POINTS].reshape(POINTS, 2), {}, matrix, row[_SPREAD], reading)


def _middle(face: FaceLandmarks) -> np.ndarray:
    left, top, right, bottom = face.box
    return np.array([(left + right) / 2, (top + bottom) / 2])


def _size(face: FaceLandmarks) -> float:
    left, top, right, bottom = face.box
    return max(right - left, bottom - top, 1.0)


def _apart(face: FaceLandmarks, last: FaceLandmarks | None) -> float:
    """Return the distance between two faces in face sizes; a difference in scale counts as distance."""
    if last is None:
        return 0.0
    away = float(np.linalg.norm(_middle(face) - _middle(last))) / _size(last)
    return away + abs(float(np.log(_size(face) / _size(last))))
