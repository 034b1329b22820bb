"""Samples for the network that looks again: pictures with the landmarker's points and where these truly are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.errors import optional_import
from facekit.files.atomic import atomic_write
from facekit.models.dense_landmarks import CROP, CROP_MM, UNIT
from facekit.progress import progress
from facekit.reconstruct.dense import Frame, cropped, mirrored_pose, standardised
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.find import steady
from facekit.reconstruct.landmarker import Landmarker
from facekit.train.landmarks.studio import SIZE, Studio
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames, frame_row

#: A find further off than this, mm of the median point, is another face than the one in the picture.
_LOST = 12.0
#: What a crop is off on purpose, standard deviations: radians, logarithm of the size, pixels; and points, mm.
_TURN, _ZOOM, _SHIFT, _JITTER = 0.06, 0.05, 3.0, 0.25
#: How often the landmarker's offsets do not count, and how often pictures are mirrored.
_BLIND, _MIRRORED = 0.3, 0.5
#: Targets are cut here, in units.
_FAR = 6.0


def make_shard(
    studio: Studio, anchors: Anchors, landmarker: Landmarker, path: Path, start: int, count: int, looks: int
) -> None:
    """Take pictures of ``count`` strangers and keep those in which the face was found: ``path`` with .npy beside it."""
    pixels, points, true = [], [], []
    for number in progress(range(start, start + count), desc="pictures"):
        for shot, pictures in studio.pictures(number, 1, looks):
            places = shot.camera.project(anchors(shot.verts)[None], SIZE)[0, :, :2].numpy()
            for picture in pictures:
                found = found_at(landmarker, picture, places, shot.pose.height)
                if found is not None:
                    pixels.append(picture), points.append(found.points), true.append(places)
    _save(path, pixels, np.array(points, np.float32), np.array(true, np.float32))


def make_frames(
    studio: Studio, anchors: Anchors, landmarker: Landmarker, path: Path, start: int, people: int, shots: int
) -> None:
    """Take several pictures of each of ``people`` strangers whom blendshapes move: a frame each, and its pixels."""
    pixels, rows = [], []
    for number in progress(range(start, start + people), desc="frames"):
        for shot, (picture,) in studio.pictures(number, shots, 1, muscles=False):
            places = anchors(shot.verts)
            flat = shot.camera.project(places[None], SIZE)[0, :, :2].numpy()
            found = found_at(landmarker, picture, flat, shot.pose.height)
            if found is not None:
                found = steady(picture, found, landmarker, anchors.mirror.numpy())
                pixels.append(picture), rows.append(frame_row(shot, places, anchors(shot.neutral), found))
    frames = Frames(size=torch.tensor(SIZE), **{name: torch.stack([row[name] for row in rows]) for name in rows[0]})
    frames.save(path)
    _save_pixels(path, pixels)


def found_at(landmarker: Landmarker, picture: np.ndarray, places: np.ndarray, height: float) -> Any:
    """The face that the landmarker finds where the points are, or None."""
    for face in landmarker(picture):
        if float(np.median(np.linalg.norm(face.points - places, axis=1))) * height < _LOST * len(picture):
            return face
    return None


def _save(path: Path, pixels: list[np.ndarray], points: np.ndarray, true: np.ndarray) -> None:
    _save_pixels(path, pixels)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, points=points, true=true)


def _save_pixels(path: Path, pixels: list[np.ndarray]) -> None:
    with atomic_write(path.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(pixels, np.uint8))


@dataclass(frozen=True)
class Batch:
    """What the network is given of B crops, and what it should say: ``target`` (B, 478, 2), y up, in units."""

    crops: torch.Tensor
    places: torch.Tensor
    offsets: torch.Tensor
    pose: torch.Tensor
    target: torch.Tensor

    @property
    def given(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The network's arguments."""
        return self.crops, self.places, self.offsets, self.pose


class Samples:
    """All pictures of some shards.

    Parameters
    ----------
    files:
        Of :func:`make_shard`.
    normaliser:
        Takes the pose out of points.
    mirror:
        (478,) int64.
    """

    def __init__(self, files: list[Path], normaliser: Normaliser, mirror: np.ndarray) -> None:
        self.pixels = [np.load(path.with_suffix(".npy"), mmap_mode="r") for path in files]
        self.where = np.array([(k, row) for k, part in enumerate(self.pixels) for row in range(len(part))])
        loaded = [np.load(path, allow_pickle=False) for path in files]
        self.points, self.true = (np.concatenate([part[name] for part in loaded]) for name in ("points", "true"))
        self.mirror = np.asarray(mirror)
        self.frames = [Frame.of(points.astype(np.float64), normaliser) for points in self.points]
        told = [normaliser(torch.from_numpy(self.points[k : k + 512]), (SIZE, SIZE)) for k in range(0, len(self), 512)]
        self.offsets, self.pose = (torch.cat(part) for part in zip(*told, strict=True))

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, index: np.ndarray, rng: np.random.Generator | None) -> Batch:
        """Crops of some pictures, changed at random, or as they are where there is no ``rng``."""
        crops, places, offsets, poses, targets = [], [], [], [], []
        for k in index.tolist():
            part, row = self.where[k]
            crop, place, off, pose, target = self._one(k, self.pixels[part][row], rng)
            crops.append(crop), places.append(place), offsets.append(off), poses.append(pose), targets.append(target)
        seen = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
        return Batch(
            standardised(seen),
            torch.from_numpy(np.stack(places)).float(),
            torch.stack(offsets),
            torch.stack(poses),
            torch.from_numpy(np.stack(targets)).float(),
        )

    def _one(self, k: int, pixels: np.ndarray, rng: np.random.Generator | None) -> tuple:
        frame, points, true = self.frames[k], self.points[k].astype(np.float64), self.true[k].astype(np.float64)
        turn, zoom, shift = 0.0, 1.0, (0.0, 0.0)
        if rng is not None:
            turn, zoom = _TURN * rng.normal(), float(np.exp(_ZOOM * rng.normal()))
            shift = tuple((_SHIFT * rng.normal(size=2)).tolist())
        matrix = frame.matrix(turn, zoom, shift)
        place, goal = (p @ matrix[:, :2].T + matrix[:, 2] for p in (points, true))
        off, pose = self.offsets[k], self.pose[k]
        crop = cropped(pixels, matrix)
        if rng is not None:
            crop = changed(crop, rng)
            place = place + _JITTER * CROP / CROP_MM * (rng.normal(size=place.shape) + 1.5 * rng.normal(size=2))
            cos, sin = np.cos(turn), np.sin(turn)  # clockwise in the crop; offsets have y up
            off = off @ off.new_tensor([[cos, -sin], [sin, cos]])
            if rng.random() < _BLIND:
                off = torch.zeros_like(off)
        target = (goal - place) * (1, -1) * CROP_MM / CROP / UNIT
        place = place / (CROP / 2) - 1
        if rng is not None and rng.random() < _MIRRORED:
            crop, flip = crop[:, ::-1], np.array([-1.0, 1.0])
            place, target = place[self.mirror] * flip, target[self.mirror] * flip
            off = off[self.mirror] * off.new_tensor([-1.0, 1.0])
            pose = mirrored_pose(pose[None])[0]
        return np.ascontiguousarray(crop), place, off, pose, target.clip(-_FAR, _FAR)


def changed(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera's, another light's picture (S, S, 3) uint8: colours, a shade, blur, noise, JPEG, patches."""
    cv2 = optional_import("cv2", "photo", "reading photographs")
    size = len(crop)
    picture = crop.astype(np.float32) / 255
    if rng.random() < 0.25:  # something in front of the face, or of the lens
        for _ in range(int(rng.integers(1, 4))):
            height, width = rng.integers(size // 12, size // 3, 2)
            y, x = rng.integers(-height // 2, size - height // 2), rng.integers(-width // 2, size - width // 2)
            patch = picture[max(0, y) : y + height, max(0, x) : x + width]
            colour = rng.uniform(0, 1, 3) if rng.random() < 0.6 else picture[rng.integers(size), rng.integers(size)]
            patch[:] = colour + rng.normal(0, rng.uniform(0, 0.15), patch.shape)
    if rng.random() < 0.4:  # a light that falls off across the picture, or a shadow's edge
        field = cv2.resize(rng.normal(0, 0.35, (3, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        if rng.random() < 0.3:
            field = 0.7 * np.tanh(6 * field)
        picture = picture * np.exp(field)[..., None]
    gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.1, 3)).astype(np.float32)
    picture = (picture.clip(0, None) * gain).clip(0, 1) ** float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.2:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.25:  # a small picture
        small = int(size * rng.uniform(0.3, 0.8))
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.8)))
    elif rng.random() < 0.35:  # sharpened, as telephones do
        soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
        picture = picture + float(rng.uniform(0.3, 1.2)) * (picture - soft)
    if rng.random() < 0.6:
        picture = picture + np.float32(rng.uniform(0.003, 0.05)) * rng.standard_normal(picture.shape, np.float32)
    crop = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    if rng.random() < 0.35:
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))])
        crop = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return crop
