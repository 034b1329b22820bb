"""MediaPipe's face landmarker: 478 landmarks, 52 blendshape scores and a head matrix per face.

Google's model (Apache-2.0) is not part of this package. The extra ``photo`` installs MediaPipe and a package that
contains the file; a file from the official address works as well, see :func:`model_file`. The file's hash is checked
against the manifest's record ``landmarker``.
"""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import WeightsError, optional_import
from facekit.files.atomic import atomic_write, expanded
from facekit.install import install_line
from facekit.reconstruct.postponed import postponed
from facekit.reconstruct.quiet import quiet
from facekit.weights import ToolRecord, cache_folder, tool
from facekit.weights.cache import sha256_of

if TYPE_CHECKING:
    from types import TracebackType

#: Name of its record in the manifest, and of its folder in the cache.
_TOOL = "landmarker"
POINTS = 478
#: Landmarks on the face outline, which slide along the silhouette as the head turns.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
#: Inner contour of the upper and of the lower lip, without corners.
UPPER_LIP, LOWER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324)
#: Centre and rim of the irises, the subject's right and left eye.
RIGHT_IRIS, LEFT_IRIS = tuple(range(468, 473)), tuple(range(473, 478))


@dataclass(frozen=True)
class Reading:
    """Prediction of identity and blendshapes for one face, by the landmark network or by the encoder.

    Parameters
    ----------
    identity, identity_spread:
        (M,) float64: identity mode weights and their standard deviations.
    shapes, shapes_spread:
        (52,) float64: blendshape weights and their standard deviations.
    """

    identity: np.ndarray
    identity_spread: np.ndarray
    shapes: np.ndarray
    shapes_spread: np.ndarray


@dataclass(frozen=True)
class FaceLandmarks:
    """Landmarks detected in one face.

    Parameters
    ----------
    points:
        (478, 2) float64: landmarks in pixels from the picture's upper left corner.
    scores:
        Blendshape scores in [0, 1] by name (:data:`facekit.conventions.BLENDSHAPES` without tongueOut).
    matrix:
        (4, 4) float64: rotation (with a scale) of the head, +X to the image right, +Y up, +Z toward the viewer.
    spread:
        (478,) float64: standard deviations of the landmarks along each axis, in mm on a mean head, predicted by
        :class:`facekit.reconstruct.dense.LandmarkRefiner`; None without it.
    reading:
        Its prediction of identity and blendshapes; None without it.
    """

    points: np.ndarray
    scores: dict[str, float]
    matrix: np.ndarray
    spread: np.ndarray | None = None
    reading: Reading | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the landmarks, pixels."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def eye_distance(self) -> float:
        """Distance between the irises, pixels."""
        right, left = self.points[468:473].mean(axis=0), self.points[473:478].mean(axis=0)
        return float(np.hypot(*(left - right)))

    def moved(self, scale: float, x: float, y: float) -> FaceLandmarks:
        """Return the face in a picture ``scale`` times as large whose origin lies at (x, y)."""
        return replace(self, points=self.points * scale + (x, y))

    def turned(self, quarters: int, size: tuple[int, int]) -> FaceLandmarks:
        """Return the face after counter-clockwise quarter turns of a picture of this (height, width)."""
        (x, y), (height, width) = self.points.T, size
        places = {0: (x, y), 1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[quarters % 4]
        angle = np.deg2rad(90 * quarters)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return replace(self, points=np.stack(places, axis=1), matrix=turn @ self.matrix)


class Landmarker:
    """Landmark detector for single pictures; use it as a context manager, or close it.

    Parameters
    ----------
    faces:
        Largest number of faces per picture.
    confidence:
        Detection threshold in [0, 1].

    Raises
    ------
    MissingDependencyError
        If MediaPipe is not installed.
    WeightsError
        If the model file is missing or has another hash.
    """

    def __init__(self, faces: int = 8, confidence: float = 0.5) -> None:
        # Only MediaPipe's drawing and recording use them; importing them takes longer than all the rest of it.
        with quiet(), postponed("matplotlib.pyplot", "sounddevice"):
            media = optional_import("mediapipe", "photo", "landmarks of photographs")
            tasks = optional_import("mediapipe.tasks.python", "photo", "landmarks of photographs")
            vision = optional_import("mediapipe.tasks.python.vision", "photo", "landmarks of photographs")
            options = vision.FaceLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_path=str(model_file())),
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
                num_faces=faces,
                min_face_detection_confidence=confidence,
                min_face_presence_confidence=confidence,
            )
            self._media: Any = media
            self._task: Any = vision.FaceLandmarker.create_from_options(options)
            self._find(np.full((64, 64, 3), 128, np.uint8))  # warm up: it prints its messages at the first picture

    def __call__(self, pixels: np.ndarray) -> list[FaceLandmarks]:
        """Detect the faces in a picture (H, W, 3) uint8 sRGB, in the landmarker's order."""
        height, width = pixels.shape[:2]
        found = self._find(pixels)
        faces = []
        for k, marks in enumerate(found.face_landmarks):
            points = np.array([(mark.x * width, mark.y * height) for mark in marks], np.float64)
            scores = {c.category_name: float(c.score) for c in found.face_blendshapes[k]}
            scores.pop("_neutral", None)
            matrix = np.array(found.facial_transformation_matrixes[k], np.float64)
            faces.append(FaceLandmarks(points, scores, matrix))
        return faces

    def _find(self, pixels: np.ndarray) -> Any:
        image = self._media.Image(
            image_format=self._media.ImageFormat.SRGB, data=np.ascontiguousarray(pixels, np.uint8)
        )
        return self._task.detect(image)

    def close(self) -> None:
        """Close the landmarker; an open one can hang the interpreter at exit."""
        if self._task is not None:
            self._task.close()
            self._task = None

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def model_file() -> Path:
    """Return the path of the model file: an imported one, else the one in the installed package.

    Raises
    ------
    WeightsError
        If there is no file, or its hash differs.
    """
    entry = tool(_TOOL)
    for place in (cache_folder() / _TOOL / entry.file.name, *_carried(entry)):
        if place.is_file():
            return _checked(place)
    raise WeightsError(
        "the landmarker's model",
        "none",
        f"install it with: {install_line('photo')}\n"
        f"or download {entry.url}\nand run: facekit weights import landmarker --file PATH",
    )


def import_model(path: str | Path) -> Path:
    """Copy a downloaded model into the cache after checking its hash; return its new path.

    Raises
    ------
    WeightsError
        If the file is missing or has another hash.
    """
    entry = tool(_TOOL)
    source, target = expanded(path), cache_folder() / _TOOL / entry.file.name
    if not source.is_file():
        raise WeightsError(f"the file {entry.file.name}", f"none at {source}", f"download it from {entry.url}")
    data = _checked(source).read_bytes()
    with atomic_write(target) as temporary:
        temporary.write_bytes(data)
    _checked.cache_clear()
    return target


def _carried(entry: ToolRecord) -> list[Path]:
    """Return candidate paths inside the package that contains the model, without importing it."""
    try:
        files = importlib.metadata.distribution(entry.package).files or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == entry.file.name]


@functools.cache
def _checked(path: Path) -> Path:
    entry = tool(_TOOL)
    if path.stat().st_size != entry.file.size or sha256_of(path) != entry.file.sha256:
        wanted = f"{entry.file.name} with sha256 {str(entry.file.sha256)[:12]}…"
        raise WeightsError(wanted, f"another file at {path}", f"download {entry.url} again")
    return path
