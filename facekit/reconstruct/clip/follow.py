"""Fit expression, gaze and pose of a known person in each frame, then smooth all frames together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES, GAZE_SHAPES
from facekit.models.blendshapes import BLINKS
from facekit.reconstruct.clip.steady import smoothed
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import OVAL, POINTS, FaceLandmarks
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.response import Response, upright
from facekit.reconstruct.unknowns import Fitted, View, rotation_of, vector_of

#: Lower bounds of the noise estimates: blendshapes, radians, mm, logarithm of the scale.
_LEAST = {"shapes": 0.012, "turn": 0.002, "shift": 0.1, "scale": 0.0008}
#: A frame with a larger error, in % of the distance between the eyes, counts as not detected.
_OFF = 12.0
#: Blinks from which on lids that are nearly shut are shut, and from which on fully: readings err toward the mean, and
#: nobody's lids stay a hair's breadth apart.
_NEARLY, _SHUT = 0.70, 0.88
_GAZE = [BLENDSHAPES.index(name) for name, _, _ in GAZE_SHAPES]


@dataclass(frozen=True)
class Followed:
    """Fit of T frames of a face; arrays float64.

    Parameters
    ----------
    blendshapes:
        (T, 52) in [0, 1].
    rotation, translation:
        (T, 3, 3) and (T, 3) mm: map head to camera coordinates (+X right, +Y up, +Z toward the viewer).
    focal:
        Focal length in pixels, the same for all frames.
    found:
        (T,) bool: whether the face was detected.
    off:
        (T,): mean distance between fitted and detected landmarks in % of the iris distance; NaN without detection.
    """

    blendshapes: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    found: np.ndarray
    off: np.ndarray


def personal_bias_of(response: Response, fitted: Fitted, faces: list[FaceLandmarks]) -> np.ndarray:
    """Return the bias of a person's landmarks that is the same in all pictures, (478, 2) mm, upright.

    The mean residual of a fit, shrunk by the fraction of its variance that is constant.
    """
    left = []
    for k, face in enumerate(faces):
        size = fitted.focal[k] / -fitted.translation[k, 2]
        left.append((face.points - fitted.predicted[k]) * (1, -1) / size @ upright(fitted.rotation[k]).T)
    share, count = float(response.constant), len(faces)
    return np.mean(left, axis=0) * count * share / (1 + (count - 1) * share)


def follow(
    photo: PhotoModel,
    response: Response,
    fitted: Fitted,
    views: Iterable[View | None],
    times: np.ndarray,
    personal_bias: np.ndarray,
    calm: float,
) -> Followed:
    """Fit frame after frame, then smooth them.

    Parameters
    ----------
    response:
        Error model of the landmarks.
    fitted:
        Fit of the key frames; its identity and focal length stay fixed.
    views:
        One per frame; None without a face.
    times:
        (T,) seconds, ascending.
    personal_bias:
        See :func:`personal_bias_of`.
    calm:
        Factor on the noise level that is smoothed away; 0 for none.
    """
    shapes, turns, shifts, scales, off = [], [], [], [], []
    last: Fitted | None = None
    for view in views:
        last = None if view is None else fit(
            photo.points, response, [view], known=fitted.identity, start=last, personal_bias=personal_bias
        )  # fmt: skip
        error = float("nan") if last is None or view is None else _off(photo, last, view)
        off.append(error)
        if last is None or error > _OFF:
            last = None
            shapes.append(np.zeros(BLENDSHAPE_DIM)), turns.append(np.eye(3)), shifts.append(np.zeros(2))
            scales.append(0.0)
            continue
        shapes.append(last.blendshapes[0])
        turns.append(last.rotation[0])
        shifts.append(last.translation[0, :2])
        scales.append(float(np.log(last.focal[0] / -last.translation[0, 2])))
    error = np.array(off)
    found = error <= _OFF
    if not found.any():
        return Followed(np.zeros((0, BLENDSHAPE_DIM)), np.zeros((0, 3, 3)), np.zeros((0, 3)), 0.0, found, error)
    first = turns[int(np.flatnonzero(found)[0])]
    vectors = np.stack([vector_of(turn @ first.T) for turn in turns])
    kinds = {"shapes": np.stack(shapes), "turn": vectors, "shift": np.stack(shifts), "scale": np.array(scales)[:, None]}
    calmed = {kind: smoothed(rows, times, found, _LEAST[kind], calm) for kind, rows in kinds.items()}
    focal = float(fitted.focal[0])
    far = -focal / np.exp(calmed["scale"])
    calmed["shapes"][:, BLINKS] = closed(calmed["shapes"][:, BLINKS])
    return Followed(
        calmed["shapes"].clip(0, 1),
        np.stack([rotation_of(vector) @ first for vector in calmed["turn"]]),
        np.concatenate((calmed["shift"], far), axis=1),
        focal,
        found,
        error,
    )


def closed(blinks: np.ndarray) -> np.ndarray:
    """Return blinks (T, 2) with nearly closed lids closed."""
    share = ((blinks - _NEARLY) / (_SHUT - _NEARLY)).clip(0, 1)
    return blinks + (1 - blinks) * share**2 * (3 - 2 * share)


def _off(photo: PhotoModel, found: Fitted, view: View) -> float:
    inner = np.ones(POINTS, dtype=bool)
    inner[list(OVAL)] = False
    away = np.linalg.norm(found.predicted[0] - view.points, axis=1)[inner].mean()
    apart = float(np.linalg.norm(photo.points.centres[1] - photo.points.centres[0]))
    return float(100 * away / (apart * found.focal[0] / -found.translation[0, 2]))
