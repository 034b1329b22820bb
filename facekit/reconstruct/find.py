"""Face detection: in the whole picture, in overlapping tiles, and again in a close-up."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from facekit.checks import whole
from facekit.errors import InputError, optional_import
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS, FaceLandmarks, Landmarker
from facekit.reconstruct.observe import Picture

#: Longer side, pixels, of pictures given to the detector; side of a close-up, pixels; width of a close-up in face
#: sizes.
_SIDE, _CLOSE, _AROUND = 1280, 448, 1.9
#: Largest scale of a close-up relative to the picture; its views as (degrees of rotation, whether mirrored).
_LARGEST, _LOOKS = 4.0, ((0.0, False), (9.0, False), (-9.0, False), (0.0, True), (9.0, True), (-9.0, True))
#: Faces smaller than this fraction of the side are searched for in tiles; tiles per side; overlap of tiles.
_SMALL, _TILES, _OVERLAP = 0.12, (2, 3, 5), 0.4
#: Boxes with a larger intersection over union are the same face.
_SAME = 0.3
#: A face at the corner ranks like one in the centre of this fraction of its area.
_CORNER = 0.35
_DARK = 0.04


def find(
    picture: Picture, landmarker: Landmarker, mirror: np.ndarray | None = None, face: int | None = None
) -> tuple[Picture, FaceLandmarks, int]:
    """Find a face in a photograph.

    Parameters
    ----------
    mirror:
        See :func:`average_close_ups`.
    face:
        Index of the face; 0, the default (None), is the largest and most central.

    Returns
    -------
    tuple
        The photograph, turned upright; the face; and the number of faces.

    Raises
    ------
    InputError
        If there is no face, or none with this index.
    """
    for quarters in (0, 3, 1, 2):
        upright = picture if quarters == 0 else picture.turned(quarters)
        faces = all_faces(upright.pixels, landmarker, tiles=quarters == 0, every=face is not None)
        if not faces:
            continue
        number = 0 if face is None else whole(face, "face", 0, len(faces) - 1, _listed(faces))
        found = faces[number]
        lying = _quarters(found)
        if lying:
            upright = picture.turned(quarters + lying)
            found = found.turned(lying, (picture if quarters == 0 else picture.turned(quarters)).size)
        return upright, average_close_ups(upright.pixels, found, landmarker, mirror), len(faces)
    mean = float(picture.pixels[:: max(1, picture.size[0] // 256), :: max(1, picture.size[1] // 256)].mean()) / 255
    what = "an almost black picture" if mean < _DARK else "none"
    raise InputError(
        "a face in the photograph",
        f"{what} in {picture.name}",
        "use a sharp, well-lit, uncovered face turned less than 60° from the camera; crop the photograph around it",
    )


def all_faces(
    pixels: np.ndarray, landmarker: Landmarker, tiles: bool = True, every: bool = False
) -> list[FaceLandmarks]:
    """Detect the faces in a picture (H, W, 3) uint8, the largest and most central first.

    Parameters
    ----------
    tiles:
        Whether to search tiles for faces that are small in the picture.
    every:
        Whether to search tiles even if a large face was found.
    """
    height, width = pixels.shape[:2]
    found = _within(pixels, (0, 0, height, width), landmarker)
    for count in _TILES if tiles else ():
        if found and not every and max(_share(one, height, width) for one in found) > _SMALL / (count - 1):
            break
        for box in _tiles(height, width, count):
            found = _joined(found, _within(pixels, box, landmarker))
    if tiles and not found:  # a face that fills the picture is only found with a border around it
        border = max(height, width) // 2
        padded = np.pad(pixels, ((border, border), (border, border), (0, 0)), constant_values=128)
        around = _within(padded, (0, 0, height + 2 * border, width + 2 * border), landmarker)
        found = [one.moved(1.0, -border, -border) for one in around]
    return sorted(found, key=lambda one: -_weight(one, height, width))


def _within(pixels: np.ndarray, box: tuple[int, int, int, int], landmarker: Landmarker) -> list[FaceLandmarks]:
    """Detect faces in a part (top, left, height, width) of a picture."""
    top, left, height, width = box
    part = pixels[top : top + height, left : left + width]
    scale = max(1.0, max(height, width) / _SIDE)
    return [one.moved(scale, left, top) for one in landmarker(_scaled(part, scale))]


def average_close_ups(
    pixels: np.ndarray, face: FaceLandmarks, landmarker: Landmarker, mirror: np.ndarray | None
) -> FaceLandmarks:
    """Detect a face again in close-ups, slightly rotated and mirrored, and average the landmarks.

    This averages out half a millimetre of noise along each axis, an eighth of the total noise.

    Parameters
    ----------
    face:
        The face as detected in the picture (H, W, 3) uint8.
    mirror:
        (478,) int64: index of each landmark's mirror image; None for no mirrored close-ups.
    """
    cv2 = optional_import("cv2", "photo", "reading photographs")
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top) * _AROUND
    scale = min(_CLOSE / side, _LARGEST)
    size = max(16, round(side * scale))
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    looks, first = [], None
    for degrees, mirrored in _LOOKS:
        if mirrored and mirror is None:
            continue
        angle = np.deg2rad(degrees)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # Coordinates are measured from pixel edges here; OpenCV measures from the centre of the first pixel.
        shift = size / 2 - turn @ middle
        matrix = np.concatenate((turn, (shift + turn @ (0.5, 0.5) - 0.5)[:, None]), axis=1)
        reading = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        if scale < 0.5:  # warping alone would alias
            part, matrix = _shrunk(cv2, pixels, middle, side, matrix)
        else:
            part = pixels
        look = cv2.warpAffine(part, matrix, (size, size), flags=reading, borderMode=cv2.BORDER_REPLICATE)
        found = landmarker(np.ascontiguousarray(look[:, ::-1]) if mirrored else look)
        back = []
        for one in found:
            points = one.points.copy()
            if mirrored and mirror is not None:
                points[:, 0] = size - points[:, 0]
                points = points[mirror]
            back.append(dataclasses.replace(one, points=(points - shift) @ np.linalg.inv(turn).T))
        back = [one for one in back if overlap(one, face) > _SAME]
        if back:
            best = max(back, key=lambda one: overlap(one, face))
            looks.append(best.points)
            first = best if first is None and not mirrored and not degrees else first
    if first is None:
        return face
    return dataclasses.replace(first, points=np.mean(looks, axis=0))


def _shrunk(
    cv2: Any, pixels: np.ndarray, middle: np.ndarray, side: float, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a picture around a large face, averaged over whole pixels, and the matrix from it to the
    close-up.
    """
    height, width = pixels.shape[:2]
    reach = 0.75 * side
    x0, y0 = (max(0, int(value - reach)) for value in middle)
    x1, y1 = (min(most, int(value + reach)) for most, value in zip((width, height), middle, strict=True))
    factor = int(1 / np.hypot(matrix[0, 0], matrix[0, 1]))
    x1, y1 = x0 + (x1 - x0) // factor * factor, y0 + (y1 - y0) // factor * factor
    part = cv2.resize(pixels[y0:y1, x0:x1], ((x1 - x0) // factor, (y1 - y0) // factor), interpolation=cv2.INTER_AREA)
    offset = matrix[:, :2] @ ((factor - 1) / 2 + np.array([x0, y0])) + matrix[:, 2]
    return part, np.concatenate((matrix[:, :2] * factor, offset[:, None]), axis=1)


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Return a picture scaled down by a factor, or up if the factor is below 1."""
    if abs(scale - 1) < 0.05:
        return pixels
    cv2 = optional_import("cv2", "photo", "reading photographs")
    size = (max(1, round(pixels.shape[1] / scale)), max(1, round(pixels.shape[0] / scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC)


def _tiles(height: int, width: int, count: int) -> list[tuple[int, int, int, int]]:
    """Return overlapping tiles (top, left, height, width) of a picture, ``count`` per side."""
    side = [round(length / (1 + (count - 1) * (1 - _OVERLAP))) for length in (height, width)]
    starts = [
        [round(k * (length - s) / (count - 1)) for k in range(count)]
        for length, s in zip((height, width), side, strict=True)
    ]
    return [(top, left, side[0], side[1]) for top in starts[0] for left in starts[1]]


def _joined(known: list[FaceLandmarks], more: list[FaceLandmarks]) -> list[FaceLandmarks]:
    return [*known, *(one for one in more if all(overlap(one, other) < _SAME for other in known))]


def overlap(a: FaceLandmarks, b: FaceLandmarks) -> float:
    """Return the intersection over union of two faces' boxes."""
    (l1, t1, r1, b1), (l2, t2, r2, b2) = a.box, b.box
    both = max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))
    return both / max((r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - both, 1e-9)


def _quarters(face: FaceLandmarks) -> int:
    """Return the number of counter-clockwise quarter turns that make a face upright."""
    x, y = face.points[LEFT_IRIS[0]] - face.points[RIGHT_IRIS[0]]
    return round(float(np.degrees(np.arctan2(y, x))) / 90) % 4


def _share(face: FaceLandmarks, height: int, width: int) -> float:
    left, top, right, bottom = face.box
    return max(right - left, bottom - top) / max(height, width)


def _weight(face: FaceLandmarks, height: int, width: int) -> float:
    left, top, right, bottom = face.box
    off = np.hypot((left + right) / width - 1, (top + bottom) / height - 1) / np.sqrt(2)
    return (right - left) * (bottom - top) * (1 - (1 - _CORNER) * min(off, 1.0))


def _listed(faces: list[FaceLandmarks]) -> str:
    """Describe the positions of the faces, for an error message."""
    places = [
        f"{k} at x {(one.box[0] + one.box[2]) / 2:.0f}, y {(one.box[1] + one.box[3]) / 2:.0f}"
        for k, one in enumerate(faces)
    ]
    return f"the faces are {'; '.join(places)}"
