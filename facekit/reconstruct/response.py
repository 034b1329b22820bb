"""Error model of the landmarker: bias and covariance of its points, measured on renders.

Its errors are systematic. It reproduces about half of a person's deviation from the mean, less than the full extent of
an expression, and its points slide as the head turns; the residuals are correlated between points. The model was fitted
to synthetic photographs (:mod:`facekit.train.photos`): a response linear in pose, expression and identity, and the
covariance of the residuals. Offsets are in mm at the head, in the image plane, rotated so that the head is upright.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES
from facekit.errors import WeightsError
from facekit.reconstruct.landmarker import POINTS
from facekit.render.camera import HEAD_CENTRE

#: Number of identity modes in the response, and of those whose effect varies with yaw.
IDENTITY, TURNING = 80, 24
#: Reference distance, mm, for the effect of perspective.
_USUAL = 700.0
#: Index ranges of the features.
POSE = slice(0, 15)
SHAPES = slice(POSE.stop, POSE.stop + BLENDSHAPE_DIM)
PEOPLE = slice(SHAPES.stop, SHAPES.stop + IDENTITY)
TURNED_PEOPLE = slice(PEOPLE.stop, PEOPLE.stop + TURNING)
TURNED_SHAPES = slice(TURNED_PEOPLE.stop, TURNED_PEOPLE.stop + BLENDSHAPE_DIM)
FEATURES = TURNED_SHAPES.stop
#: Weight of the measured correlation between the score residuals; on photographs the rest is uncorrelated.
_SHARED = 0.8
#: Cosines between a point's normal and the direction to the camera at which ``growth`` is tabulated.
FACING = (-0.4, -0.1, 0.1, 0.3, 0.5, 0.7, 0.9)


def features(
    yaw: np.ndarray, pitch: np.ndarray, distance: np.ndarray, blendshapes: np.ndarray, identity: np.ndarray
) -> np.ndarray:
    """Return the features (N, FEATURES) float64 that the response is linear in.

    Parameters
    ----------
    yaw, pitch:
        (N,) radians: direction of the camera as seen from the head, as in :meth:`facekit.render.Camera.orbit`.
    distance:
        (N,) mm: distance of the camera; the landmarker reproduces perspective only in part, as it does identity.
    blendshapes, identity:
        (N, 52) and (N, M) weights.
    """
    across, up = np.sin(yaw)[:, None], np.sin(pitch)[:, None]
    near = (_USUAL / distance - 1)[:, None]
    first = (np.ones_like(across), across, up, np.abs(across))
    second = (across**2, across * up, up**2, across**3, across**2 * up, across * up**2, up**3)
    perspective = (near, near * across, near * up, near**2)
    people = np.zeros((len(identity), IDENTITY))
    people[:, : identity.shape[1]] = identity[:, :IDENTITY]
    turned = (people[:, :TURNING] * across, blendshapes * across)
    return np.concatenate((*first, *second, *perspective, blendshapes, people, *turned), axis=1)


@dataclass(frozen=True)
class Response:
    """Measured error model.

    Parameters
    ----------
    weights:
        (FEATURES, 956) float64, mm: offset of each point's x and y (up) per feature.
    sigma:
        (478,) float64, mm: standard deviation of the residual along each axis for a point that faces the camera; for
        points with predicted standard deviations, a factor on these.
    growth:
        (7,) float64: factor on it at the cosines of :data:`FACING`.
    factor, own:
        (956, R) and (956,) float64: the correlation of the residuals is ``factor @ factor.T + diag(own)``.
    constant:
        () float64 in [0, 1]: fraction of the residual variance that is the same in all pictures of a person.
    scores:
        (53, 52) float64: linear map from 1 and the landmarker's 52 scores to blendshapes.
    missed:
        (52, 52) float64: covariance of its errors.
    """

    weights: np.ndarray
    sigma: np.ndarray
    growth: np.ndarray
    factor: np.ndarray
    own: np.ndarray
    constant: np.ndarray
    scores: np.ndarray
    missed: np.ndarray

    @cached_property
    def whitening(self) -> np.ndarray:
        """(956, 956) lower triangular matrix that maps the residuals, divided by sigma, to uncorrelated unit noise."""
        correlation = self.factor @ self.factor.T + np.diag(self.own)
        return np.linalg.inv(np.linalg.cholesky(correlation))

    def spread(self, facing: np.ndarray) -> np.ndarray:
        """Return standard deviations (478,) in mm for points whose normals have these cosines (478,) to the camera."""
        return self.sigma * np.interp(facing, FACING, self.growth)

    def bias(
        self, yaw: float, pitch: float, distance: float, blendshapes: np.ndarray, identity: np.ndarray
    ) -> np.ndarray:
        """Return the offsets (478, 2) in mm for blendshapes (52,) and identity weights (M,)."""
        place = np.array([[yaw], [pitch], [distance]])
        row = features(place[0], place[1], place[2], blendshapes[None], identity[None])
        return (row @ self.weights).reshape(POINTS, 2)

    def distance_slope(self, yaw: float, pitch: float, distance: float) -> np.ndarray:
        """Return the derivative (478, 2) of the offsets, mm, by the logarithm of the distance."""
        near = _USUAL / distance
        row = -near * np.array([1.0, np.sin(yaw), np.sin(pitch), 2 * (near - 1)])
        return (row @ self.weights[POSE][-4:]).reshape(POINTS, 2)

    def slopes(self, yaw: float, modes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of the offsets, mm, by blendshapes (478, 2, 52) and by identity weights (478, 2,
        modes).
        """
        across = np.sin(yaw)
        of_shapes = self.weights[SHAPES] + across * self.weights[TURNED_SHAPES]
        of_identity = np.zeros((modes, self.weights.shape[1]))
        count, turning = min(IDENTITY, modes), min(TURNING, modes)
        of_identity[:count] = self.weights[PEOPLE][:count]
        of_identity[:turning] += across * self.weights[TURNED_PEOPLE][:turning]
        return of_shapes.T.reshape(POINTS, 2, -1), of_identity.T.reshape(POINTS, 2, modes)

    def expected(self, scores: Mapping[str, float]) -> np.ndarray:
        """Predict blendshapes (52,) in [0, 1] from the landmarker's scores."""
        row = np.array([1.0, *(scores.get(name, 0.0) for name in BLENDSHAPES)])
        return (row @ self.scores).clip(0, 1)

    def certainty(self, doubt: float, ruled_out: Sequence[int] = ()) -> np.ndarray:
        """Return (52, 52) such that ``|certainty @ (weights - expected)|²`` is twice the negative log prior.

        Parameters
        ----------
        doubt:
            Factor on the standard deviations relative to renders.
        ruled_out:
            Blendshapes that are pinned to their expected values.
        """
        covariance = doubt**2 * (_SHARED * self.missed + (1 - _SHARED) * np.diag(np.diag(self.missed)))
        for shape in ruled_out:
            covariance[shape], covariance[:, shape] = 0, 0
            covariance[shape, shape] = 1e-6
        return np.linalg.inv(np.linalg.cholesky(covariance))

    def damped(self, factor: float) -> Response:
        """Return the model with this fraction of the bias that depends on pose alone."""
        weights = self.weights.copy()
        weights[POSE] *= factor
        return dataclasses.replace(self, weights=weights)

    def without(self) -> Response:
        """Return the control without bias and with the same noise."""
        return dataclasses.replace(self, weights=np.zeros_like(self.weights))

    def pack(self) -> dict[str, np.ndarray]:
        """Return arrays for a compressed npz, in half precision."""
        return {f"response.{name}": getattr(self, name).astype(np.float16) for name in self.__dataclass_fields__}

    @classmethod
    def unpack(cls, arrays: Mapping[str, torch.Tensor]) -> Response:
        """Return the model from arrays written by :meth:`pack`.

        Raises
        ------
        WeightsError
            If the arrays are not in this format.
        """
        try:
            found = cls(**{n: arrays[f"response.{n}"].double().numpy() for n in cls.__dataclass_fields__})
        except KeyError as error:
            raise WeightsError(
                "arrays of a landmarker's response", f"none named {error}", "reinstall facekit"
            ) from error
        if found.weights.shape != (FEATURES, 2 * POINTS):
            raise WeightsError(f"a response of {FEATURES} features", f"{found.weights.shape}", "reinstall facekit")
        return found


def upright(rotation: np.ndarray) -> np.ndarray:
    """Return the rotation (2, 2) of the image plane (+X right, +Y up) that makes a head with this rotation (3, 3)
    upright.
    """
    x, y = rotation[0, 1], rotation[1, 1]
    length = max(float(np.hypot(x, y)), 1e-9)
    return np.array([[y, -x], [x, y]]) / length


def seen_from(rotation: np.ndarray, translation: np.ndarray) -> tuple[float, float, float]:
    """Return yaw and pitch (radians) and distance (mm) of the camera relative to a head with this rotation and
    translation.
    """
    x, y, z = -rotation.T @ translation - np.array(HEAD_CENTRE)
    return float(np.arctan2(x, z)), float(np.arctan2(y, np.hypot(x, z))), float(-translation[2])
