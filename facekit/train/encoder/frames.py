"""Renders that the landmark network has looked at: its landmarks, identity and blendshapes, with ground truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES
from facekit.files.atomic import atomic_write
from facekit.reconstruct.dense import LandmarkRefiner
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker, Reading
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames, found_in, frame_row
from facekit.train.photos.photographs import Photograph

_READ = ("points", "spread", "identity", "identity_spread", "shapes", "shapes_spread")


@dataclass(frozen=True)
class ReadFrames:
    """N renders as arrays.

    Parameters
    ----------
    frames:
        What the landmarker found, and the ground truth.
    points:
        (N, 478, 2) float32: refined landmarks in pixels.
    spread:
        (N, 478) float32: their standard deviations in mm.
    identity, identity_spread, shapes, shapes_spread:
        (N, M) and (N, 52) float32: the network's reading, see :class:`facekit.reconstruct.dense.Reading`.
    """

    frames: Frames
    points: torch.Tensor
    spread: torch.Tensor
    identity: torch.Tensor
    identity_spread: torch.Tensor
    shapes: torch.Tensor
    shapes_spread: torch.Tensor

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: torch.Tensor) -> ReadFrames:
        return ReadFrames(self.frames[index], **{name: getattr(self, name)[index] for name in _READ})

    @property
    def refined(self) -> Frames:
        """Return the frames with refined landmarks in place of the landmarker's."""
        return dataclasses.replace(self.frames, points=self.points)

    def face(self, k: int) -> FaceLandmarks:
        """Return one frame's face as reconstruction has it after the network."""
        scores = dict(zip(BLENDSHAPES, self.frames.scores[k].tolist(), strict=True))
        matrix = np.eye(4)
        matrix[:3, :3] = self.frames.matrices[k].double().numpy()
        reading = Reading(*(getattr(self, name)[k].double().numpy() for name in _READ[2:]))
        points, spread = (getattr(self, name)[k].double().numpy() for name in _READ[:2])
        return FaceLandmarks(points, scores, matrix, spread=spread, reading=reading)

    def save(self, path: Path) -> None:
        """Write an npz file."""
        arrays: dict[str, Any] = {f.name: getattr(self.frames, f.name).numpy() for f in dataclasses.fields(Frames)}
        arrays |= {f"read_{name}": getattr(self, name).numpy() for name in _READ}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> ReadFrames:
        """Read a file written by :meth:`save`."""
        with np.load(path, allow_pickle=False) as data:
            read = {name: torch.from_numpy(data[f"read_{name}"]) for name in _READ}
        return cls(Frames.load(path), **read)

    @classmethod
    def cat(cls, parts: list[ReadFrames]) -> ReadFrames:
        """Concatenate frames of one size."""
        read = {name: torch.cat([getattr(part, name) for part in parts]) for name in _READ}
        return cls(Frames.cat([part.frames for part in parts]), **read)


def read_pictures(
    pictures: Iterable[Photograph], anchors: Anchors, landmarker: Landmarker, refiner: LandmarkRefiner
) -> ReadFrames:
    """Detect and refine the face in each picture as in reconstruction; pictures without detection are dropped."""
    rows, faces, size = [], [], torch.tensor(0)
    for picture in pictures:
        size = torch.tensor(picture.pixels.shape[0])
        places = anchors(picture.verts)
        found = found_in(picture, places, landmarker, anchors)
        if found is not None:
            rows.append(frame_row(picture, places, anchors(picture.neutral), found))
            faces.append(refiner(picture.pixels, found))
    frames = Frames(size=size, **{name: torch.stack([row[name] for row in rows]) for name in rows[0]})
    columns = [[face.points for face in faces], [face.spread for face in faces]]
    columns += [[getattr(face.reading, name) for face in faces] for name in _READ[2:]]
    return ReadFrames(frames, *(torch.from_numpy(np.stack(column)).float() for column in columns))
