"""Renders that the landmark network has looked at: its landmarks, identity and blendshapes, with ground truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES
from facekit.reconstruct.dense import LandmarkRefiner
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker, Reading
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames, detected
from facekit.train.photos.photographs import Photograph

_READ = ("points", "spread", "identity", "identity_spread", "shapes", "shapes_spread")


@dataclass(frozen=True)
class ReadFrames(Frames):
    """N renders as arrays: what the landmarker found, the ground truth, and what the network reads.

    Parameters
    ----------
    read_points:
        (N, 478, 2) float32: refined landmarks in pixels.
    read_spread:
        (N, 478) float32: their standard deviations in mm.
    read_identity, read_identity_spread, read_shapes, read_shapes_spread:
        (N, M) and (N, 52) float32: the network's :class:`facekit.reconstruct.landmarker.Reading`.
    """

    read_points: torch.Tensor
    read_spread: torch.Tensor
    read_identity: torch.Tensor
    read_identity_spread: torch.Tensor
    read_shapes: torch.Tensor
    read_shapes_spread: torch.Tensor

    @classmethod
    def of(cls, frames: Frames, *read: torch.Tensor) -> ReadFrames:
        """Add what the network reads, in the order of the fields, to frames."""
        return cls(*(getattr(frames, field.name) for field in dataclasses.fields(Frames)), *read)

    @property
    def refined(self) -> Frames:
        """Return the frames with refined landmarks in place of the landmarker's."""
        return dataclasses.replace(self, points=self.read_points)

    @property
    def reading(self) -> torch.Tensor:
        """Return identity and blendshapes as the network reads them, (N, M + 52)."""
        return torch.cat((self.read_identity, self.read_shapes), dim=1)

    @property
    def reading_spread(self) -> torch.Tensor:
        """Return their standard deviations, (N, M + 52)."""
        return torch.cat((self.read_identity_spread, self.read_shapes_spread), dim=1)

    def face(self, k: int) -> FaceLandmarks:
        """Return one frame's face as reconstruction has it after the network."""
        scores = dict(zip(BLENDSHAPES, self.scores[k].tolist(), strict=True))
        matrix = np.eye(4)
        matrix[:3, :3] = self.matrices[k].double().numpy()
        points, spread, *reading = (getattr(self, f"read_{name}")[k].double().numpy() for name in _READ)
        return FaceLandmarks(points, scores, matrix, spread=spread, reading=Reading(*reading))


def read_pictures(
    pictures: Iterable[Photograph], anchors: Anchors, landmarker: Landmarker, refiner: LandmarkRefiner
) -> ReadFrames:
    """Detect and refine the face in each picture as in reconstruction; pictures without detection are dropped."""
    faces, frames = [], []
    for picture, found, frame in detected(pictures, anchors, landmarker):
        faces.append(refiner(picture.pixels, found))
        frames.append(frame)
    columns = [[face.points for face in faces], [face.spread for face in faces]]
    columns += [[getattr(face.reading, name) for face in faces] for name in _READ[2:]]
    return ReadFrames.of(Frames.cat(frames), *(torch.from_numpy(np.stack(column)).float() for column in columns))
