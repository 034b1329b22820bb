"""Finding faces: in the whole picture, in overlapping tiles, and again close up."""

from __future__ import annotations

import numpy as np

from facekit.checks import whole
from facekit.errors import InputError, optional_import
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.observe import Picture

#: Sides to which pictures are scaled down for the detector, and for a close-up; how wide a close-up is in face sizes.
_SIDE, _CLOSE, _AROUND = 1280, 720, 2.2
#: Faces smaller than this share of the side are looked for in tiles; tiles a side, and what they overlap.
_SMALL, _TILES, _OVERLAP = 0.12, (2, 3), 0.4
#: Boxes that overlap by more are one face.
_SAME = 0.3
#: A face at the corner counts as much as one of this share of its area in the middle.
_CORNER = 0.35
_DARK = 0.04


def find(picture: Picture, landmarker: Landmarker, face: int | None = None) -> tuple[Picture, FaceLandmarks, int]:
    """Find a face in a photograph.

    Parameters
    ----------
    face:
        Which one, 0 is the largest and most central; None for that.

    Returns
    -------
    tuple
        The photograph, turned where it lay on its side; the face; and how many there are.

    Raises
    ------
    InputError
        For a photograph without a face, or without the one that was asked for.
    """
    for quarters in (0, 3, 1, 2):
        upright = picture if quarters == 0 else picture.turned(quarters)
        faces = all_faces(upright.pixels, landmarker, thorough=quarters == 0)
        if faces:
            number = 0 if face is None else whole(face, "face", 0, len(faces) - 1, _listed(faces))
            return upright, _close_up(upright.pixels, faces[number], landmarker), len(faces)
    mean = float(picture.pixels[:: max(1, picture.size[0] // 256), :: max(1, picture.size[1] // 256)].mean()) / 255
    what = "an almost black picture" if mean < _DARK else "none"
    raise InputError(
        "a face in the photograph",
        f"{what} in {picture.name}",
        "take one that is sharp and lit, turned less than 60° from the camera and not covered; crop it around the face",
    )


def all_faces(pixels: np.ndarray, landmarker: Landmarker, thorough: bool = True) -> list[FaceLandmarks]:
    """Faces of a picture (H, W, 3) uint8, the largest and most central first."""
    height, width = pixels.shape[:2]
    found = _within(pixels, (0, 0, height, width), landmarker)
    if thorough and (not found or _share(found[0], height, width) < _SMALL):
        for count in _TILES:
            for box in _tiles(height, width, count):
                found = _joined(found, _within(pixels, box, landmarker))
    if thorough and not found:  # a face that fills the picture is found with a border around it
        border = max(height, width) // 2
        padded = np.pad(pixels, ((border, border), (border, border), (0, 0)), constant_values=128)
        around = _within(padded, (0, 0, height + 2 * border, width + 2 * border), landmarker)
        found = [one.moved(1.0, -border, -border) for one in around]
    return sorted(found, key=lambda one: -_weight(one, height, width))


def _within(pixels: np.ndarray, box: tuple[int, int, int, int], landmarker: Landmarker) -> list[FaceLandmarks]:
    """Faces in a part (top, left, height, width) of a picture."""
    top, left, height, width = box
    part = pixels[top : top + height, left : left + width]
    scale = max(1.0, max(height, width) / _SIDE)
    return [one.moved(scale, left, top) for one in landmarker(_scaled(part, scale))]


def _close_up(pixels: np.ndarray, face: FaceLandmarks, landmarker: Landmarker) -> FaceLandmarks:
    """The same face, looked at again in a square around it; as it was where that finds none."""
    left, top, right, bottom = face.box
    side = int(max(right - left, bottom - top) * _AROUND)
    x, y = int((left + right - side) / 2), int((top + bottom - side) / 2)
    height, width = pixels.shape[:2]
    part = pixels[max(0, y) : min(height, y + side), max(0, x) : min(width, x + side)]
    if min(part.shape[:2]) < 8:
        return face
    scale = max(part.shape[:2]) / _CLOSE
    scale = max(scale, 0.25)  # enlarged four times at most
    again = [one.moved(scale, max(0, x), max(0, y)) for one in landmarker(_scaled(part, scale))]
    again = [one for one in again if _overlap(one, face) > _SAME]
    return max(again, key=lambda one: _overlap(one, face)) if again else face


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    """A picture scaled down by a factor, or up where it is below 1."""
    if abs(scale - 1) < 0.05:
        return pixels
    cv2 = optional_import("cv2", "photo", "reading photographs")
    size = (max(1, round(pixels.shape[1] / scale)), max(1, round(pixels.shape[0] / scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC)


def _tiles(height: int, width: int, count: int) -> list[tuple[int, int, int, int]]:
    """Parts of a picture that overlap: ``count`` a side."""
    side = [round(length / (1 + (count - 1) * (1 - _OVERLAP))) for length in (height, width)]
    starts = [
        [round(k * (length - s) / (count - 1)) for k in range(count)]
        for length, s in zip((height, width), side, strict=True)
    ]
    return [(top, left, side[0], side[1]) for top in starts[0] for left in starts[1]]


def _joined(known: list[FaceLandmarks], more: list[FaceLandmarks]) -> list[FaceLandmarks]:
    return [*known, *(one for one in more if all(_overlap(one, other) < _SAME for other in known))]


def _overlap(a: FaceLandmarks, b: FaceLandmarks) -> float:
    """Intersection over union of two faces' boxes."""
    (l1, t1, r1, b1), (l2, t2, r2, b2) = a.box, b.box
    both = max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))
    return both / max((r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - both, 1e-9)


def _share(face: FaceLandmarks, height: int, width: int) -> float:
    left, top, right, bottom = face.box
    return max(right - left, bottom - top) / max(height, width)


def _weight(face: FaceLandmarks, height: int, width: int) -> float:
    left, top, right, bottom = face.box
    off = np.hypot((left + right) / width - 1, (top + bottom) / height - 1) / np.sqrt(2)
    return (right - left) * (bottom - top) * (1 - (1 - _CORNER) * min(off, 1.0))


def _listed(faces: list[FaceLandmarks]) -> str:
    """Where the faces are, for a message."""
    places = [
        f"{k} at x {(one.box[0] + one.box[2]) / 2:.0f}, y {(one.box[1] + one.box[3]) / 2:.0f}"
        for k, one in enumerate(faces)
    ]
    return f"the faces are {'; '.join(places)}"
