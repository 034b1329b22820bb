"""Landmark refinement: landmarks, identity and blendshapes predicted by :mod:`facekit.models.dense_landmarks`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from facekit import weights
from facekit.conventions import BLENDSHAPES, other_side
from facekit.errors import optional_import
from facekit.files.readers import load_arrays, load_into, load_tensors
from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import CROP, CROP_MM, SHAPE_UNIT, UNIT, DenseLandmarks
from facekit.reconstruct.algebra import product, solved
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import FaceLandmarks, Reading
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response

#: Picture pixels per crop pixel above which the picture is averaged before it is warped.
_COARSE = 1.5
#: Weight of the landmarker's points in the average with the network's. The landmarker was trained on photographs and is
#: closer to hand-made points there, the network on renders and is closer to the truth there: a larger weight serves
#: photographs (benchmarks/photographs.py), a smaller one renders (benchmarks/reconstruct.py).
LANDMARKER_SHARE = 0.6
#: Fraction of the points' offsets by pose, as measured on renders, that is taken out of photographs: in part they are
#: how the two networks see renders.
_OFFSETS = 0.5
#: Number of passes; each crop is placed by the landmarks of the pass before.
_LOOKS = 2
#: Fraction of the variance of the identity's prediction error that is the same in all pictures of a person.
_ALIKE = 0.5


@dataclass(frozen=True)
class Frame:
    """Similarity frame of a face in a picture, from the affine map that best fits the mean head to its landmarks.

    Parameters
    ----------
    middle:
        (2,) float64, pixels: the mean of the inner landmarks.
    scale:
        Pixels per mm.
    up:
        (2,) float64 unit vector: the head's up direction in the picture, y down.
    """

    middle: np.ndarray
    scale: float
    up: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, normaliser: Normaliser) -> Frame:
        """Fit the mean head to landmarks (478, 2) in pixels."""
        inner = normaliser.inner.numpy()
        flat = points[inner] * (1, -1)
        affine = flat.T @ normaliser.inverse.double().numpy().T  # (2, 3)
        u, stretch, vt = np.linalg.svd(affine, full_matrices=False)
        x, y = (u @ vt)[:, 1]
        length = max(float(np.hypot(x, y)), 1e-6)
        return cls(points[inner].mean(axis=0), float(stretch.mean()), np.array([x, -y]) / length)

    def matrix(self, turn: float = 0.0, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """Return the (2, 3) affine matrix from picture pixels to crop pixels, both measured from pixel edges.

        Parameters
        ----------
        turn, zoom, shift:
            Deliberate misplacement, for augmentation: radians clockwise, a factor, and crop pixels.
        """
        x, y = self.up
        upright = np.array([[-y, x], [-x, -y]])  # maps up to (0, -1)
        cos, sin = np.cos(turn), np.sin(turn)
        size = zoom * CROP / (CROP_MM * self.scale)
        linear = size * np.array([[cos, -sin], [sin, cos]]) @ upright
        return np.concatenate((linear, (np.array(shift) + CROP / 2 - linear @ self.middle)[:, None]), axis=1)


def cropped(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the crop (S, S, 3) uint8 of a picture (H, W, 3) uint8; border pixels are repeated beyond the picture."""
    cv2 = optional_import("cv2", "photo", "reading photographs")
    matrix = matrix.copy()
    factor = 1 / float(np.hypot(*matrix[:, 0]))
    if factor > _COARSE:  # warping alone would alias: average pixels around the face first
        corners = np.array([[0, 0], [CROP, 0], [0, CROP], [CROP, CROP]]) - matrix[:, 2]
        places = corners @ np.linalg.inv(matrix[:, :2]).T
        (x0, y0), (x1, y1) = places.min(axis=0), places.max(axis=0)
        height, width = pixels.shape[:2]
        x0, y0 = max(0, int(x0) - 8), max(0, int(y0) - 8)
        x1, y1 = min(width, int(x1) + 8), min(height, int(y1) + 8)
        if x1 - x0 > factor and y1 - y0 > factor:
            part = pixels[y0:y1, x0:x1]
            size = (max(1, round((x1 - x0) / factor)), max(1, round((y1 - y0) / factor)))
            pixels = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            step = np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]])
            matrix[:, 2] += matrix[:, :2] @ (x0, y0)
            matrix[:, :2] *= step
    # Coordinates are measured from pixel edges here; OpenCV measures from the centre of the first pixel.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(
        np.ascontiguousarray(pixels), matrix, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def standardised(crops: torch.Tensor) -> torch.Tensor:
    """Normalise crops (B, 3, S, S) to zero mean and unit standard deviation each, which removes brightness and
    contrast.
    """
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    return (crops - mean) / (crops - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(0.02)


class LandmarkRefiner:
    """Refine the landmarks of detected faces with the network.

    Parameters
    ----------
    points:
        The rig evaluated at the landmarks.
    mirror:
        (478,) int64: index of each landmark's mirror image.
    network:
        The trained network.
    """

    def __init__(self, points: FacePoints, mirror: np.ndarray, network: DenseLandmarks) -> None:
        self.normaliser, self.mirror = Normaliser(points), np.asarray(mirror)
        self.mirrored_identity, self.swapped = mirrored_identity(points, mirror), swapped()
        self.network = network.requires_grad_(False).eval()

    def __call__(self, pixels: np.ndarray, face: FaceLandmarks) -> FaceLandmarks:
        """Return the face with refined landmarks, their standard deviations, and the predicted identity and
        blendshapes.

        Two passes: the landmarks of the first place the crop of the second. Each pass averages the predictions for the
        crop and for the mirrored crop. The result is averaged with the landmarker's points.

        Parameters
        ----------
        pixels:
            (H, W, 3) uint8: the picture that shows the face.
        """
        points = face.points
        for _ in range(_LOOKS):
            points, spread, reading = self.predict(pixels, Frame.of(points, self.normaliser))
        return self._shared(face, points, spread, reading)

    def refine_once(self, pixels: np.ndarray, face: FaceLandmarks) -> FaceLandmarks:
        """Refine in one pass without mirroring, in a quarter of the time."""
        return self._shared(face, *self.predict(pixels, Frame.of(face.points, self.normaliser), mirrored=False))

    def _shared(self, face: FaceLandmarks, points: np.ndarray, spread: np.ndarray, reading: Reading) -> FaceLandmarks:
        points = points + LANDMARKER_SHARE * (face.points - points)
        return dataclasses.replace(face, points=points, spread=spread, reading=reading)

    @torch.no_grad()
    def predict(
        self, pixels: np.ndarray, frame: Frame, mirrored: bool = True
    ) -> tuple[np.ndarray, np.ndarray, Reading]:
        """Return landmarks (478, 2) in pixels, standard deviations (478,) in mm, and the rest of the prediction."""
        matrix = frame.matrix()
        crop = torch.from_numpy(cropped(pixels, matrix)).permute(2, 0, 1)[None].float() / 255
        told = self.network(standardised(torch.cat((crop, crop.flip(-1))) if mirrored else crop))
        points, identity, shapes = (t.double().numpy() for t in (told.points, told.identity, told.shapes))
        spread, own, unsure = (
            t.double().exp().numpy() for t in (told.spread, told.identity_spread, told.shapes_spread)
        )
        if mirrored:
            points = (points[:1] + points[1:, self.mirror] * (-1.0, 1.0)) / 2
            spread = (spread[:1] + spread[1:, self.mirror]) / 2
            identity = (identity[:1] + identity[1:] @ self.mirrored_identity.T) / 2
            shapes, unsure = ((t[:1] + t[1:, self.swapped]) / 2 for t in (shapes, unsure))
        local = points[0] * (UNIT * CROP / CROP_MM) + CROP / 2
        reading = Reading(identity[0], own[0], shapes[0].clip(0, 1), SHAPE_UNIT * unsure[0])
        return (local - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T, UNIT * spread[0], reading


def swapped() -> list[int]:
    """Return the index of each blendshape's mirror image."""
    return [BLENDSHAPES.index(other_side(name)) for name in BLENDSHAPES]


def mirrored_identity(points: FacePoints, mirror: np.ndarray) -> np.ndarray:
    """Return the matrix (M, M) from a person's identity weights to those of the mirrored person."""
    modes = points.modes.reshape(-1, points.modes.shape[-1])
    turned = (points.modes[mirror] * np.array([-1.0, 1.0, 1.0])[:, None]).reshape(modes.shape)
    return solved(product(modes.T, modes) + 0.5 * np.eye(modes.shape[1]), product(modes.T, turned))


def expected_identity(faces: Sequence[FaceLandmarks]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (M,) of the identity, given predictions from several pictures of one person.

    Prediction errors are correlated between pictures of a person, so that part of them does not average out.
    """
    readings = [face.reading for face in faces if face.reading is not None]
    identity, spread = (np.stack([getattr(r, name) for r in readings]) for name in ("identity", "identity_spread"))
    weight = spread**-2
    mean = (weight * identity).sum(axis=0) / weight.sum(axis=0)
    return mean, np.sqrt((_ALIKE + (1 - _ALIKE) / len(readings)) / weight.mean(axis=0))


def load_refiner(photo: PhotoModel) -> tuple[LandmarkRefiner, Response]:
    """Load the refiner and the error model of its landmarks on photographs."""
    return LandmarkRefiner(photo.points, photo.mirror, _network()), _response()


@functools.lru_cache(maxsize=1)
def _network() -> DenseLandmarks:
    with torch.inference_mode(False), torch.device("meta"):
        module = DenseLandmarks(DenseConfig())
    path = weights.verified("default", "dense")
    return load_into(module, load_tensors(path), path.name)


@functools.lru_cache(maxsize=1)
def _response() -> Response:
    return Response.unpack(load_arrays(weights.verified("default", "looked"))).damped(_OFFSETS)
