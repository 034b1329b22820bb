"""Frames: detected landmarks in synthetic photographs, with ground truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES
from facekit.files.atomic import atomic_write
from facekit.reconstruct.find import average_close_ups
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.photographs import Photograph

#: Median distance in mm beyond which a detection is another face.
_LOST = 12.0

_F = TypeVar("_F", bound="Frames")


@dataclass(frozen=True)
class Frames:
    """N photographs as arrays.

    Parameters
    ----------
    person:
        (N,) int64.
    points:
        (N, 478, 2) float32: detected landmarks in pixels.
    scores:
        (N, 52) float32: scores in the order of :data:`facekit.conventions.BLENDSHAPES`.
    matrices:
        (N, 3, 3) float32: the landmarker's head rotations.
    posed, neutral:
        (N, 478, 3) float32 mm: true landmarks on the head, posed and neutral.
    blendshapes:
        (N, 52) float32: true blendshapes.
    rotation, translation, focal:
        (N, 3, 3), (N, 3), (N,) float32: head to camera (+X right, +Y up, +Z to the viewer), mm, and pixels.
    size:
        () int64: side of the pictures.
    """

    person: torch.Tensor
    points: torch.Tensor
    scores: torch.Tensor
    matrices: torch.Tensor
    posed: torch.Tensor
    neutral: torch.Tensor
    blendshapes: torch.Tensor
    rotation: torch.Tensor
    translation: torch.Tensor
    focal: torch.Tensor
    size: torch.Tensor

    def __len__(self) -> int:
        return len(self.person)

    def __getitem__(self: _F, index: torch.Tensor) -> _F:
        picked = {name: getattr(self, name)[index] for name in self.__dataclass_fields__ if name != "size"}
        return dataclasses.replace(self, **picked)

    def projected(self, places: torch.Tensor) -> torch.Tensor:
        """Project positions (N, P, 3) in mm on the heads to pixels (N, P, 2)."""
        view = places @ self.rotation.transpose(1, 2) + self.translation[:, None]
        flat = view[..., :2] / -view[..., 2:] * self.focal[:, None, None]
        return self.size / 2 + flat * flat.new_tensor([1.0, -1.0])

    @property
    def pixels_a_mm(self) -> torch.Tensor:
        """Return pixels per millimetre (N,) at the depth of the head's origin."""
        return self.focal / -self.translation[:, 2]

    def save(self, path: Path) -> None:
        """Write an npz file."""
        arrays: dict[str, Any] = {name: getattr(self, name).numpy() for name in self.__dataclass_fields__}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def cat(cls: type[_F], parts: list[_F]) -> _F:
        """Concatenate frames of one size."""
        names = [name for name in cls.__dataclass_fields__ if name != "size"]
        return cls(size=parts[0].size, **{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    @classmethod
    def load(cls: type[_F], path: Path) -> _F:
        """Read a file written by :meth:`save`."""
        with np.load(path, allow_pickle=False) as data:
            return cls(**{name: torch.from_numpy(data[name]) for name in cls.__dataclass_fields__})


def observed(pictures: Iterable[Photograph], anchors: Anchors, landmarker: Landmarker) -> Frames:
    """Detect the face in each picture as in reconstruction; pictures without detection are dropped."""
    return Frames.cat([frame for _, _, frame in detected(pictures, anchors, landmarker)])


def detected(
    pictures: Iterable[Photograph], anchors: Anchors, landmarker: Landmarker
) -> Iterator[tuple[Photograph, FaceLandmarks, Frames]]:
    """Yield the pictures with a detected face, the face, and its frame (N = 1)."""
    for picture in pictures:
        places = anchors(picture.verts)
        face = found_in(picture, places, landmarker, anchors)
        if face is not None:
            yield picture, face, frame_of(picture, places, anchors(picture.neutral), face)


def found_in(
    picture: Photograph, places: torch.Tensor, landmarker: Landmarker, anchors: Anchors
) -> FaceLandmarks | None:
    """Return the detected face at the head's points (478, 3) in mm, as in reconstruction."""
    size = picture.pixels.shape[0]
    true = picture.camera.project(places[None], size)[0, :, :2]
    for face in landmarker(picture.pixels):
        away = (torch.from_numpy(face.points).float() - true).norm(dim=1).median()
        if float(away) * picture.pose.height < _LOST * size:
            return average_close_ups(picture.pixels, face, landmarker, anchors.mirror.numpy())
    return None


def frame_of(picture: Photograph, posed: torch.Tensor, neutral: torch.Tensor, face: FaceLandmarks) -> Frames:
    """Return one picture's frame (N = 1)."""
    scores = torch.tensor([face.scores.get(name, 0.0) for name in BLENDSHAPES])
    rotation = picture.camera.rotation()[0]
    shapes = torch.zeros(len(BLENDSHAPES)) if picture.blendshapes is None else picture.blendshapes
    return Frames(
        person=torch.tensor([picture.person]),
        points=torch.from_numpy(face.points).float()[None],
        scores=scores[None],
        matrices=torch.from_numpy(face.matrix[:3, :3]).float()[None],
        posed=posed[None],
        neutral=neutral[None],
        blendshapes=shapes[None],
        rotation=rotation[None],
        translation=(-rotation @ picture.camera.position[0])[None],
        focal=picture.camera.focal(picture.pixels.shape[0])[:1],
        size=torch.tensor(picture.pixels.shape[0]),
    )
