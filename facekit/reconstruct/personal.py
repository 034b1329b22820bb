"""Personal offsets: the shape of a head that its landmarks tell beyond its identity modes.

Brows, lids and lips are anywhere in a person, and modes that were learned from few people follow them only in part.
What the fit leaves at the landmarks moves the head at rest: the mean of a Gaussian process that has seen these
residuals (Lüthi et al., Gaussian Process Morphable Models, PAMI 2018). The displacement is smooth, up to millimetres
at the features and nothing far from them, where landmarks lie anywhere on even skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from facekit.conventions import PARTS
from facekit.reconstruct.algebra import solved
from facekit.reconstruct.dense import LANDMARKER_SHARE
from facekit.reconstruct.landmarker import LEFT_IRIS, OVAL, POINTS, RIGHT_IRIS, FaceLandmarks
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response, seen_from
from facekit.reconstruct.unknowns import Fitted, View
from facekit.template import Template

#: Landmarks of the features, right and left.
BROWS = (
    46, 52, 53, 55, 63, 65, 66, 70, 71, 105, 107,
    276, 282, 283, 285, 293, 295, 296, 300, 301, 334, 336,
)  # fmt: skip
EYES = (
    7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246,
    249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466,
)  # fmt: skip
LIPS = (
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191,
    267, 269, 270, 291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
)  # fmt: skip
NOSE = (1, 2, 4, 5, 19, 48, 60, 75, 94, 97, 98, 99, 115, 220, 278, 290, 305, 326, 327, 328, 344, 440)
#: Weight of the landmarker's points in the average with the network's, by feature; chosen on photographs with outlines
#: made by hand (benchmarks/outlines.py).
SHARES = ((BROWS, 1.0), (EYES, 0.8), (LIPS, 0.8), (NOSE, 0.4))
#: Fraction of the landmarks' measured bias that is taken out of them. All of it is best on renders, none on
#: photographs, where the landmarks are nearer to what people mark.
_BIAS = 0.25
#: Length scale, mm; standard deviation at features, mm; and the distance from them over which it decreases, mm.
_LENGTH, _FEATURE, _REACH = 8.0, 1.5, 9.0
#: Distance from features, mm, beyond which nothing moves: the standard deviation is a hundredth of a millimetre.
_FAR = 28.0
#: Angle from the front, in radians, at which variances count twice: as a head turns, landmarks slide.
_TURNED = np.radians(60.0)
#: Residuals beyond this many standard deviations are down-weighted.
_OUTLIER = 3.0
#: Places at a time: whole matrices of distances are slow for memory's sake.
_CHUNK = 512


@dataclass(frozen=True)
class Residuals:
    """Residuals of a fit at the landmarks of one picture.

    Parameters
    ----------
    away:
        (478, 2) float64, mm at the head, +X right, +Y up in the picture.
    rows:
        (2, 3) float64: first two rows of the head's rotation.
    spread:
        (478,) float64, mm: standard deviations of the landmarks along each axis.
    """

    away: np.ndarray
    rows: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class PersonalOffsets:
    """Displacement of a head at rest, a weighted sum of the kernel at the landmarks.

    Parameters
    ----------
    base:
        (N, 3) float64, mm: landmarks on the template.
    features:
        (F, 3) float64, mm: those of the features.
    weights:
        (N, 3) float64, mm.
    """

    base: np.ndarray
    features: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, points: FacePoints, pictures: Sequence[Residuals]) -> PersonalOffsets:
        """Return the posterior mean, given the residuals in each picture."""
        used = np.ones(POINTS, dtype=bool)
        used[[*OVAL, *RIGHT_IRIS, *LEFT_IRIS]] = False  # the outline slides, and irises move with the gaze
        features = points.base[sorted(_FEATURES)]
        used &= _apart(points.base, features) < _FAR
        base = points.base[used]
        size, count = _size(_apart(base, features)), len(base)
        precision, told = np.zeros((3, 3, count)), np.zeros((3, count))  # landmarks are independent
        for picture in pictures:  # their errors are alike, so that several count as one
            off = np.linalg.norm(picture.away, axis=1) / picture.spread
            weight = (1 / (picture.spread**2 * (1 + (off / _OUTLIER) ** 2) * len(pictures)))[used]
            precision += (picture.rows.T @ picture.rows)[..., None] * weight
            told += picture.rows.T @ (weight[:, None] * picture.away[used]).T
        kernel = size[:, None] * _alike(base, base) * size
        system = precision.transpose(0, 2, 1)[..., None] * kernel[:, None]  # (3, N, 3, N)
        weights = solved(system.reshape(3 * count, 3 * count) + np.eye(3 * count), told.ravel()).reshape(3, count).T
        return cls(base, features, size[:, None] * weights)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Return the displacement (P, 3), mm, at places (P, 3) on the template."""
        return np.concatenate([self._moved(places[k : k + _CHUNK]) for k in range(0, len(places), _CHUNK)])

    def _moved(self, places: np.ndarray) -> np.ndarray:
        apart = _apart(places, self.features)
        near = apart < _FAR
        moved = np.zeros_like(places)
        moved[near] = _size(apart[near])[:, None] * (_alike(places[near], self.base) @ self.weights)
        return moved

    def at_landmarks(self, points: FacePoints) -> np.ndarray:
        """Return the displacement (478, 3) of the landmarks; the irises move with their eyeballs."""
        moved = self(points.base)
        for iris in (RIGHT_IRIS, LEFT_IRIS):
            moved[list(iris)] = moved[list(iris)].mean(axis=0)
        return moved

    def on_mesh(self, template: Template, points: FacePoints) -> torch.Tensor:
        """Return the displacement (V, 3), float32 mm, of a template's vertices; eyeballs and teeth move as a whole."""
        verts, parts = template.verts.double().cpu().numpy(), template.parts.cpu().numpy()
        moved, irises = self(verts), self.at_landmarks(points)
        teeth = parts == PARTS.index("teeth")
        moved[teeth] = moved[teeth].mean(axis=0)
        eyes = np.flatnonzero(parts == PARTS.index("eyes"))
        left = _squares(verts[eyes], points.centres).argmin(axis=1) == 1
        for iris, side in ((RIGHT_IRIS, ~left), (LEFT_IRIS, left)):
            moved[eyes[side]] = irises[iris[0]]
        return torch.from_numpy(moved).to(template.verts)


_FEATURES = {point for feature, _ in SHARES for point in feature}


def left_over(
    photo: PhotoModel,
    response: Response,
    fitted: Fitted,
    views: Sequence[View],
    found: Sequence[FaceLandmarks],
    seen: Sequence[FaceLandmarks],
) -> list[Residuals]:
    """Return the residuals of a fit in each picture.

    Parameters
    ----------
    response:
        The error model of the refined landmarks.
    views:
        The fit's input.
    found, seen:
        The faces with the landmarker's landmarks, and with the refined ones.
    """
    residuals = []
    for k, (view, raw, face) in enumerate(zip(views, found, seen, strict=True)):
        assert face.spread is not None
        mesh = photo.landmarks(fitted, k) + view.principal
        expected = mesh + _BIAS * (fitted.predicted[k] - mesh)
        scale = fitted.focal[k] / -fitted.translation[k, 2]
        away = (_shared(face.points, raw.points) - expected) * (1, -1) / scale
        turned = np.hypot(*seen_from(fitted.rotation[k], fitted.translation[k])[:2])
        spread = face.spread * response.sigma * np.hypot(1, turned / _TURNED)
        residuals.append(Residuals(away, fitted.rotation[k, :2], spread))
    return residuals


def _shared(refined: np.ndarray, landmarker: np.ndarray) -> np.ndarray:
    """Return landmarks (478, 2) in which each feature has its own weight of the landmarker's."""
    weight = np.full((POINTS, 1), LANDMARKER_SHARE)
    for feature, own in SHARES:
        weight[list(feature)] = own
    return refined + (weight - LANDMARKER_SHARE) / (1 - LANDMARKER_SHARE) * (landmarker - refined)


def _alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlation (A, B) of the displacements of places (A, 3) and (B, 3), along each axis."""
    return np.exp(_squares(a, b) / (-2 * _LENGTH**2))


def _size(apart: np.ndarray) -> np.ndarray:
    """Return the standard deviation, mm, of displacements at this distance, mm, from features."""
    return _FEATURE * np.exp(-(apart**2) / (2 * _REACH**2))


def _apart(places: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return the distance (P,), mm, of places (P, 3) from the nearest feature."""
    return np.sqrt(_squares(places, features).min(axis=1))


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared distances (A, B)."""
    squares = a @ (-2 * b.T)
    squares += (a**2).sum(axis=1)[:, None]
    squares += (b**2).sum(axis=1)
    return squares.clip(0, None, out=squares)
