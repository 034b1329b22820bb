"""The landmarker's response: where it reports points against where they are, as measured on renders.

Its errors are no noise. It reports about half of what sets a person apart, less than the whole of an expression, and
points slide as the head turns; what is left is correlated from point to point. All of that is known from synthetic
photographs (:mod:`facekit.train.photos`): a linear response to pose, expression and identity, and the covariance of
the rest. Offsets are in mm at the head, in the picture's plane, turned so that the head's own up is up.
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

#: Identity modes that the response tells of; and those of which it tells how it changes with yaw.
IDENTITY, TURNING = 80, 24
#: The distance, mm, at which perspective counts as usual.
_USUAL = 700.0
#: Where each kind of feature begins and ends.
POSE = slice(0, 15)
SHAPES = slice(POSE.stop, POSE.stop + BLENDSHAPE_DIM)
PEOPLE = slice(SHAPES.stop, SHAPES.stop + IDENTITY)
TURNED_PEOPLE = slice(PEOPLE.stop, PEOPLE.stop + TURNING)
TURNED_SHAPES = slice(TURNED_PEOPLE.stop, TURNED_PEOPLE.stop + BLENDSHAPE_DIM)
FEATURES = TURNED_SHAPES.stop
#: The share of what scores miss that hangs together as it does on renders.
_SHARED = 0.8
#: Cosines between a point's normal and the way to the camera at which the error's growth is told.
FACING = (-0.4, -0.1, 0.1, 0.3, 0.5, 0.7, 0.9)
#: Where blinks stand among the blendshapes, the right eye's first.
BLINKS = (BLENDSHAPES.index("eyeBlinkRight"), BLENDSHAPES.index("eyeBlinkLeft"))


def features(
    yaw: np.ndarray, pitch: np.ndarray, distance: np.ndarray, blendshapes: np.ndarray, identity: np.ndarray
) -> np.ndarray:
    """What the response is linear in, (N, FEATURES) float64.

    Parameters
    ----------
    yaw, pitch:
        (N,) radians: where the camera stands as seen from the head, as in :meth:`facekit.render.Camera.orbit`.
    distance:
        (N,) mm, of the camera: perspective is hidden as a person's own shape is.
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
    """A measured response.

    Parameters
    ----------
    weights:
        (FEATURES, 956) float64, mm: what each feature adds to the points' x and y (up), point by point.
    sigma:
        (478,) float64 mm, standard deviation along each axis of what is left at a point that faces the camera; where
        points come with deviations of their own, a factor on these.
    growth:
        (7,) float64: by how much that grows at the cosines of :data:`FACING`.
    factor, own:
        (956, R) and (956,) float64: the correlation of what is left, over sigma, is ``factor @ factor.T + diag(own)``.
    constant:
        () float64 in [0, 1]: the share of it that stays from picture to picture of a person.
    scores:
        (53, 52) float64: blendshapes as a linear function of 1 and the landmarker's 52 scores.
    missed:
        (52, 52) float64: the covariance of what that misses.
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
        """(956, 956) lower triangular: turns what is left, over sigma, into independent unit noise."""
        correlation = self.factor @ self.factor.T + np.diag(self.own)
        return np.linalg.inv(np.linalg.cholesky(correlation))

    def spread(self, facing: np.ndarray) -> np.ndarray:
        """Standard deviations (478,) mm of points whose normals have these cosines (478,) to the camera."""
        return self.sigma * np.interp(facing, FACING, self.growth)

    def bias(
        self, yaw: float, pitch: float, distance: float, blendshapes: np.ndarray, identity: np.ndarray
    ) -> np.ndarray:
        """Offsets (478, 2) mm at weights (52,) and (M,)."""
        place = np.array([[yaw], [pitch], [distance]])
        row = features(place[0], place[1], place[2], blendshapes[None], identity[None])
        return (row @ self.weights).reshape(POINTS, 2)

    def distance_slope(self, yaw: float, pitch: float, distance: float) -> np.ndarray:
        """How offsets change with the logarithm of the distance, (478, 2) mm."""
        near = _USUAL / distance
        row = -near * np.array([1.0, np.sin(yaw), np.sin(pitch), 2 * (near - 1)])
        return (row @ self.weights[POSE][-4:]).reshape(POINTS, 2)

    def slopes(self, yaw: float, modes: int) -> tuple[np.ndarray, np.ndarray]:
        """How offsets change with blendshapes, (478, 2, 52), and with identity weights, (478, 2, modes), mm."""
        across = np.sin(yaw)
        of_shapes = self.weights[SHAPES] + across * self.weights[TURNED_SHAPES]
        of_identity = np.zeros((modes, self.weights.shape[1]))
        count, turning = min(IDENTITY, modes), min(TURNING, modes)
        of_identity[:count] = self.weights[PEOPLE][:count]
        of_identity[:turning] += across * self.weights[TURNED_PEOPLE][:turning]
        return of_shapes.T.reshape(POINTS, 2, -1), of_identity.T.reshape(POINTS, 2, modes)

    def expected(self, scores: Mapping[str, float]) -> np.ndarray:
        """Blendshapes (52,) in [0, 1] that the landmarker's scores let expect."""
        row = np.array([1.0, *(scores.get(name, 0.0) for name in BLENDSHAPES)])
        return (row @ self.scores).clip(0, 1)

    def certainty(self, doubt: float, ruled_out: Sequence[int] = ()) -> np.ndarray:
        """(52, 52) with ``|certainty @ (weights - expected)|²`` the negative log prior, twice.

        Parameters
        ----------
        doubt:
            By how much the expectation is trusted less than on renders: a factor on its deviations.
        ruled_out:
            Shapes that are expected to be as expected.
        """
        return certainty(self.missed, doubt, ruled_out)

    def without(self) -> Response:
        """Return the response of a landmarker without bias, with the same noise: the control."""
        return dataclasses.replace(self, weights=np.zeros_like(self.weights))

    def pack(self) -> dict[str, np.ndarray]:
        """Arrays for a compressed npz, in half precision."""
        return {f"response.{name}": getattr(self, name).astype(np.float16) for name in self.__dataclass_fields__}

    @classmethod
    def unpack(cls, arrays: Mapping[str, torch.Tensor]) -> Response:
        """Return the response of arrays that :meth:`pack` made.

        Raises
        ------
        WeightsError
            For arrays that are none of these.
        """
        try:
            found = cls(**{n: arrays[f"response.{n}"].double().numpy() for n in cls.__dataclass_fields__})
        except KeyError as error:
            raise WeightsError(
                "arrays of a landmarker's response", f"none called {error}", "reinstall facekit"
            ) from error
        if found.weights.shape != (FEATURES, 2 * POINTS):
            raise WeightsError(f"a response of {FEATURES} features", f"{found.weights.shape}", "reinstall facekit")
        return found


def certainty(missed: np.ndarray, doubt: float, ruled_out: Sequence[int] = ()) -> np.ndarray:
    """As :meth:`Response.certainty`, of the covariance (52, 52) of what an expectation misses."""
    covariance = doubt**2 * (_SHARED * missed + (1 - _SHARED) * np.diag(np.diag(missed)))
    for shape in ruled_out:
        covariance[shape], covariance[:, shape] = 0, 0
        covariance[shape, shape] = 1e-6
    return np.linalg.inv(np.linalg.cholesky(covariance))


def upright(rotation: np.ndarray) -> np.ndarray:
    """Turn (2, 2) of the picture's plane (+X right, +Y up) after which a head with this rotation (3, 3) is upright."""
    x, y = rotation[0, 1], rotation[1, 1]
    length = max(float(np.hypot(x, y)), 1e-9)
    return np.array([[y, -x], [x, y]]) / length


def seen_from(rotation: np.ndarray, translation: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch (radians) and distance (mm) of the camera around a head that rotation and translation place."""
    x, y, z = -rotation.T @ translation - np.array(HEAD_CENTRE)
    return float(np.arctan2(x, z)), float(np.arctan2(y, np.hypot(x, z))), float(-translation[2])
