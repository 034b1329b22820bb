"""Looking again: the landmarker's points, corrected by the network of :mod:`facekit.models.dense_landmarks`.

No part of :func:`facekit.reconstruct` yet: docs/from-a-photograph.md says what it gains and where it does not.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.errors import optional_import
from facekit.files.readers import load_arrays, load_into, load_tensors
from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import CROP, CROP_MM, UNIT, DenseLandmarks
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import FaceLandmarks
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response

#: Pixels of a picture that one of the crop may stand for before they are averaged.
_COARSE = 1.5
#: Files of the network, and of the response of what it says.
NETWORK, RESPONSE = "dense.safetensors", "looked.npz"


@dataclass(frozen=True)
class Frame:
    """Where the mean head lies in a picture, by the affine map that lays it over points.

    Parameters
    ----------
    middle:
        (2,) float64 pixels, of the mean of its inner points.
    scale:
        Pixels a mm.
    up:
        (2,) float64, unit, where its up points in the picture, y down.
    """

    middle: np.ndarray
    scale: float
    up: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, normaliser: Normaliser) -> Frame:
        """Lay the mean head over points (478, 2), pixels."""
        inner = normaliser.inner.numpy()
        flat = points[inner] * (1, -1)
        affine = flat.T @ normaliser.inverse.double().numpy().T  # (2, 3)
        u, stretch, vt = np.linalg.svd(affine, full_matrices=False)
        x, y = (u @ vt)[:, 1]
        length = max(float(np.hypot(x, y)), 1e-6)
        return cls(points[inner].mean(axis=0), float(stretch.mean()), np.array([x, -y]) / length)

    def matrix(self, turn: float = 0.0, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """(2, 3): pixels of the picture to those of the crop, both counted from edges.

        Parameters
        ----------
        turn, zoom, shift:
            By how much it is off on purpose: radians clockwise, a factor, and crop pixels.
        """
        x, y = self.up
        upright = np.array([[-y, x], [-x, -y]])  # takes up to (0, -1)
        cos, sin = np.cos(turn), np.sin(turn)
        size = zoom * CROP / (CROP_MM * self.scale)
        linear = size * np.array([[cos, -sin], [sin, cos]]) @ upright
        return np.concatenate((linear, (np.array(shift) + CROP / 2 - linear @ self.middle)[:, None]), axis=1)


def cropped(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The crop (S, S, 3) uint8 of a picture (H, W, 3) uint8; pixels beyond the picture are its border's."""
    cv2 = optional_import("cv2", "photo", "reading photographs")
    matrix = matrix.copy()
    factor = 1 / float(np.hypot(*matrix[:, 0]))
    if factor > _COARSE:  # warping alone would skip pixels: those around the face are averaged first
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
    # Places from pixel edges, as everywhere here; OpenCV's count from the first pixel's centre.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(
        np.ascontiguousarray(pixels), matrix, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def standardised(crops: torch.Tensor) -> torch.Tensor:
    """Colours (B, 3, S, S) less their mean, over their deviation: brightness and contrast tell nothing."""
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    return (crops - mean) / (crops - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(0.02)


class Looker:
    """Looks again at faces that were found.

    Parameters
    ----------
    points:
        The rig at the landmarker's points.
    mirror:
        (478,) int64, each point's counterpart on the other side.
    network:
        As it was trained.
    """

    def __init__(self, points: FacePoints, mirror: np.ndarray, network: DenseLandmarks) -> None:
        self.normaliser, self.mirror = Normaliser(points), torch.from_numpy(np.asarray(mirror))
        self.network = network.requires_grad_(False).eval()

    @torch.no_grad()
    def __call__(self, pixels: np.ndarray, face: FaceLandmarks) -> FaceLandmarks:
        """Return the face with its points corrected, and with how surely they are known.

        It looks twice, the second time at the mirrored crop, and takes the mean.

        Parameters
        ----------
        pixels:
            (H, W, 3) uint8, the picture in which it was found.
        """
        frame = Frame.of(face.points, self.normaliser)
        matrix = frame.matrix()
        crop = torch.from_numpy(cropped(pixels, matrix)).permute(2, 0, 1)[None].float() / 255
        places = torch.from_numpy((face.points @ matrix[:, :2].T + matrix[:, 2]) / (CROP / 2) - 1).float()[None]
        offsets, pose = self.normaliser(torch.from_numpy(face.points[None]).float(), pixels.shape[:2])
        flip = crop.new_tensor([-1.0, 1.0])
        crops = standardised(torch.cat((crop, crop.flip(-1))))
        both = torch.cat((places, places[:, self.mirror] * flip))
        off = torch.cat((offsets, offsets[:, self.mirror] * flip))
        poses = torch.cat((pose, mirrored_pose(pose)))
        moved, spread = self.network(crops, both, off, poses)
        moved = (moved[:1] + moved[1:, self.mirror] * flip) / 2
        spread = (spread[:1] + spread[1:, self.mirror]) / 2
        crop_mm = UNIT * moved[0].double().numpy() * (1, -1) * CROP / CROP_MM
        points = face.points + crop_mm @ np.linalg.inv(matrix[:, :2]).T
        return dataclasses.replace(face, points=points, spread=UNIT * spread[0].double().exp().numpy())


def mirrored_pose(pose: torch.Tensor) -> torch.Tensor:
    """The pose (B, 6) of the same head in a mirrored picture."""
    return pose * pose.new_tensor([-1.0, 1.0, 1.0, 1.0, -1.0, 1.0])


def load(folder: Path, photo: PhotoModel) -> tuple[Looker, Response]:
    """Load what the stage ``landmarks`` of :mod:`facekit.train` left in a folder, and the response of its points.

    Raises
    ------
    WeightsError
        Where the files are not there, or are others.
    """
    with torch.inference_mode(False), torch.device("meta"):
        module = DenseLandmarks(DenseConfig())
    network = load_into(module, load_tensors(folder / NETWORK), NETWORK)
    found = Response.unpack(load_arrays(folder / RESPONSE))
    # What scores let expect was measured on more people.
    found = dataclasses.replace(found, scores=photo.response.scores, missed=photo.response.missed)
    return Looker(photo.points, photo.mirror, network), found
