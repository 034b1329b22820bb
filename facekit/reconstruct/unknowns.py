"""Input, unknowns and result of the fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES, GAZE_ACROSS, GAZE_SHAPES, GAZE_UP
from facekit.geometry.angles import rotation_of

if TYPE_CHECKING:
    from facekit.reconstruct.personal import PersonalOffsets

#: Number of pose parameters: rotation (3), two shifts in mm, logarithm of pixels per mm.
POSE = 6
#: Penalty on weights outside [0, 1], in standard deviations per unit.
_BOUND = 1 / 0.04
#: Standard deviation, degrees, of the difference in gaze between the eyes.
_TOGETHER = 4.0


def _gaze_differs() -> np.ndarray:
    """Return rows (2, 52): how many standard deviations the eyes' gaze differs per blendshape, across and up."""
    rows = np.zeros((2, BLENDSHAPE_DIM))
    for name, axis, way in GAZE_SHAPES:
        side = 1 if name.endswith("Left") else -1
        rows[axis, BLENDSHAPES.index(name)] = side * way * (GAZE_ACROSS, GAZE_UP)[axis] / _TOGETHER
    return rows


_GAZE_DIFFERS = _gaze_differs()


@dataclass(frozen=True)
class View:
    """Fit input for one picture.

    Parameters
    ----------
    points:
        (478, 2) float64: landmarks in pixels.
    rotation:
        (3, 3) float64: initial head rotation.
    size:
        (height, width).
    principal:
        (2,) float64: principal point in pixels.
    expected, certainty:
        (52,) and (52, 52) float64: prior mean of the blendshapes and the inverse square root of their covariance; see
        :meth:`facekit.reconstruct.response.Response.certainty`.
    focal:
        Logarithm of the focal length in pixels and its standard deviation; None if unknown.
    camera:
        Pictures with the same number share a lens.
    spread:
        (478,) float64, mm: standard deviations of the landmarks; None for those of the error model.
    """

    points: np.ndarray
    rotation: np.ndarray
    size: tuple[int, int]
    principal: np.ndarray
    expected: np.ndarray
    certainty: np.ndarray
    focal: tuple[float, float] | None = None
    camera: int = 0
    spread: np.ndarray | None = None

    def prior(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prior's residuals (N,) of blendshapes (52,), as unit noise, and their derivatives (N, 52)."""
        eye = np.eye(BLENDSHAPE_DIM)
        rows, slopes = [self.certainty @ (weights - self.expected)], [self.certainty]
        for over, sign in ((-weights, -1.0), (weights - 1, 1.0)):
            rows.append(over.clip(0, None) * _BOUND)
            slopes.append(eye * (sign * _BOUND * (over > 0))[:, None])
        return np.concatenate((*rows, _GAZE_DIFFERS @ weights)), np.concatenate((*slopes, _GAZE_DIFFERS))


@dataclass(frozen=True)
class Fitted:
    """Result of the fit for K pictures; lengths in mm, camera space +X right, +Y up, +Z toward the viewer.

    Parameters
    ----------
    identity:
        (M,) float64: identity mode weights.
    covariance:
        (M, M) float64: posterior covariance of the identity.
    blendshapes:
        (K, 52) float64 in [0, 1].
    rotation, translation:
        (K, 3, 3) and (K, 3): ``X @ rotation.T + translation`` maps head to camera coordinates.
    focal:
        (K,) pixels.
    predicted:
        (K, 478, 2) pixels: predicted landmarks, including the landmarker's bias.
    rounds:
        Number of iterations.
    offsets:
        Displacement of the head at rest beyond its identity modes; None for none.
    """

    identity: np.ndarray
    covariance: np.ndarray
    blendshapes: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: np.ndarray
    predicted: np.ndarray
    rounds: int
    offsets: PersonalOffsets | None = None

    def picked(self, views: Sequence[int]) -> Fitted:
        """Return the result for some of the pictures."""
        names = ("blendshapes", "rotation", "translation", "focal", "predicted")
        return dataclasses.replace(self, **{name: getattr(self, name)[list(views)] for name in names})


@dataclass
class State:
    """Unknowns: identity (M,), log focal lengths (C,), blendshapes (K, 52), pose (K, 6), and base rotations (K, 3, 3)
    that the pose increments.
    """

    identity: np.ndarray
    focal: np.ndarray
    weights: np.ndarray
    turns: np.ndarray
    shifts: np.ndarray
    scales: np.ndarray

    def moved(self, step: np.ndarray) -> State:
        modes, lenses, count = len(self.identity), len(self.focal), len(self.weights)
        own = step[modes + lenses :].reshape(count, BLENDSHAPE_DIM + POSE)
        pose = own[:, BLENDSHAPE_DIM:]
        return State(
            self.identity + step[:modes],
            self.focal + step[modes : modes + lenses],
            self.weights + own[:, :BLENDSHAPE_DIM],
            np.stack([rotation_of(w) @ turn for w, turn in zip(pose[:, :3], self.turns, strict=True)]),
            self.shifts + pose[:, 3:5],
            self.scales + pose[:, 5],
        )

    def translation(self, k: int, lens: int) -> np.ndarray:
        return np.array([*self.shifts[k], -np.exp(self.focal[lens] - self.scales[k])])


def vector_of(rotation: np.ndarray) -> np.ndarray:
    """Return the rotation vector (3,), of at most half a turn, of a rotation matrix (3, 3); inverse of
    :func:`rotation_of`.
    """
    # By the unit quaternion, largest component first: stable at any angle.
    trace = np.trace(rotation)
    values = np.array([1 + trace, *(1 + 2 * np.diag(rotation) - trace)])
    largest = int(values.argmax())
    root = np.sqrt(values[largest]) / 2
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    if largest == 0:
        real, part = root, skew / (4 * root)
    else:
        axis = largest - 1
        part = (rotation[axis] + rotation[:, axis]) / (4 * root)
        part[axis] = root
        real = skew[axis] / (4 * root)
    length = float(np.linalg.norm(part))
    if length < 1e-12:
        return np.zeros(3)
    sign = 1.0 if real >= 0 else -1.0
    return sign * 2 * np.arctan2(length, abs(real)) * part / length
