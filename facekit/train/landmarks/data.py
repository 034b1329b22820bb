"""Samples for the landmark refinement network: cut-out heads with landmarks, identity and blendshapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from facekit.conventions import BLENDSHAPES
from facekit.files.atomic import atomic_write
from facekit.models.dense_landmarks import CROP, CROP_MM, UNIT
from facekit.progress import progress
from facekit.reconstruct.dense import Frame, mirrored_identity, standardised, swapped
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.train.landmarks.augment import Draw, changed
from facekit.train.landmarks.studio import SIZE, Studio, room
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames, detected

#: Standard deviations of the crop's misplacement: radians, logarithm of the size, pixels.
_TURN, _ZOOM, _SHIFT = 0.09, 0.06, 5.0
_MIRRORED = 0.5
#: Number of backgrounds shared by all samples, and their seed.
ROOMS, _ROOM_SEED = 600, 9
#: Identity weights are clipped at this; stride of the face vertices that they are solved from.
_FAR, _EVERY = 4.0, 5


def make_shard(
    studio: Studio, anchors: Anchors, photo: PhotoModel, path: Path, start: int, count: int, shots: int, views: int
) -> None:
    """Render ``count`` people: labels are written to ``path``, pixels to .npy beside it."""
    pixels, rows = [], []
    solve = identity_solver(photo, studio.pipe.template.parts)
    for number in range(start, start + count):
        for shot in studio.heads(number, shots, views=views):
            places = shot.camera.project(anchors(shot.verts)[None], SIZE)[0, :, :2].numpy()
            known = shot.blendshapes
            shapes = np.full(len(BLENDSHAPES), np.nan) if known is None else known.numpy()
            pixels.append(shot.pixels)
            rows.append((places, solve(shot.neutral - studio.pipe.template.verts), shapes))
    names = ("true", "identity", "shapes")
    arrays: dict[str, Any] = {
        name: np.array(column, np.float32) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    _save_pixels(path, pixels)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def identity_solver(photo: PhotoModel, parts: torch.Tensor) -> Any:
    """Return a solver for identity weights (M,) from neutral displacements (V, 3), on skin, lips and lids."""
    use = torch.nonzero(parts <= 2)[::_EVERY, 0]
    modes = photo.modes.deltas[:, use].flatten(1).double()
    gram = modes @ modes.T
    gram += 1e-3 * float(gram.diagonal().mean()) * torch.eye(len(modes), dtype=torch.float64)
    inverse = torch.linalg.solve(gram, modes)
    return lambda moved: (inverse @ moved[use].flatten().double()).clamp(-_FAR, _FAR).numpy()


def make_frames(
    studio: Studio, anchors: Anchors, landmarker: Landmarker, path: Path, start: int, people: int, shots: int
) -> None:
    """Render several pictures of each of ``people`` people with blendshape expressions: frames and their pixels."""
    numbers = progress(range(start, start + people), desc="frames")
    pictures = (shot for number in numbers for shot in studio.pictures(number, shots))
    shown, _, frames = zip(*detected(pictures, anchors, landmarker), strict=True)
    Frames.cat(list(frames)).save(path)
    _save_pixels(path, [shot.pixels for shot in shown])


def _save_pixels(path: Path, pixels: list[np.ndarray]) -> None:
    with atomic_write(path.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(pixels, np.uint8))


@dataclass(frozen=True)
class Batch:
    """Network input for B crops, with targets.

    Parameters
    ----------
    crops:
        (B, 3, S, S) float32, standardised.
    points:
        (B, 478, 2) float32, in the network's unit from the crop's centre, y down.
    identity, shapes:
        (B, M) and (B, 52) float32; NaN if unknown.
    """

    crops: torch.Tensor
    points: torch.Tensor
    identity: torch.Tensor
    shapes: torch.Tensor


class Samples:
    """All pictures of some shards, on the training device.

    Parameters
    ----------
    photo:
        Head model, and landmarks on it.
    capacity:
        Largest number of pictures.
    rooms:
        Number of backgrounds.
    """

    def __init__(self, photo: PhotoModel, capacity: int, device: torch.device, rooms: int = ROOMS) -> None:
        self.normaliser, self.count, self.device = Normaliser(photo.points), 0, device
        self.mirror, self.swapped = torch.from_numpy(photo.mirror).to(device), torch.tensor(swapped(), device=device)
        self.mirrored_identity = torch.from_numpy(mirrored_identity(photo.points, photo.mirror)).float().to(device)
        modes = photo.points.modes.shape[-1]
        self.pixels = torch.empty(capacity, SIZE, SIZE, 4, dtype=torch.uint8, device=device)
        self.true = torch.empty(capacity, len(photo.mirror), 2, device=device)
        self.identity, self.shapes = (torch.empty(capacity, n, device=device) for n in (modes, len(BLENDSHAPES)))
        self.frames = torch.empty(capacity, 5, device=device)
        rng = np.random.default_rng(_ROOM_SEED)
        self.rooms = torch.from_numpy(np.stack([room(rng) for _ in range(rooms)])).to(device)

    def __len__(self) -> int:
        return self.count

    def add(self, path: Path) -> None:
        """Read a file of :func:`make_shard`."""
        pixels = np.load(path.with_suffix(".npy"))
        some = slice(self.count, self.count + len(pixels))
        self.pixels[some] = torch.from_numpy(np.array(pixels)).to(self.device)
        with np.load(path, allow_pickle=False) as data:
            for name in ("true", "identity", "shapes"):
                getattr(self, name)[some] = torch.from_numpy(data[name]).to(self.device)
            frames = [Frame.of(points.astype(np.float64), self.normaliser) for points in data["true"]]
        rows = np.array([[*frame.middle, frame.scale, *frame.up] for frame in frames], np.float32)
        self.frames[some] = torch.from_numpy(rows).to(self.device)
        self.count = some.stop

    def batch(self, index: torch.Tensor, generator: torch.Generator | None) -> Batch:
        """Return crops of some pictures, augmented, or unchanged in front of the first background without a
        generator.
        """
        count, index = len(index), index.to(self.device)
        draw = None if generator is None else Draw(generator, count)
        turn, zoom, shift = (torch.zeros(count, n, device=self.device) for n in (1, 1, 2))
        if draw is not None:
            turn, zoom = (spread * draw.normal(count, 1) for spread in (_TURN, _ZOOM))
            shift = _SHIFT * draw.normal(count, 2)
        linear, offset = _matrices(self.frames[index], turn, zoom, shift)
        heads = _warped(self.pixels[index], linear, offset)
        points = torch.einsum("bij,bpj->bpi", linear, self.true[index]) + offset[:, None] - CROP / 2
        points = points * (CROP_MM / CROP / UNIT)
        identity, shapes = self.identity[index], self.shapes[index]
        if draw is None:
            behind = self._rooms(torch.zeros(count, dtype=torch.long, device=self.device))
            pictures = heads[:, :3] + behind * (1 - heads[:, 3:])
        else:
            assert generator is not None
            flip = draw.uniform(0, 1, count) < _MIRRORED
            heads = torch.where(flip[:, None, None, None], heads.flip(-1), heads)
            turned = points[:, self.mirror] * points.new_tensor([-1.0, 1.0])
            points = torch.where(flip[:, None, None], turned, points)
            identity = torch.where(flip[:, None], identity @ self.mirrored_identity.T, identity)
            shapes = torch.where(flip[:, None], shapes[:, self.swapped], shapes)
            which = torch.randint(len(self.rooms), (count,), generator=generator, device=self.device)
            pictures = changed(heads, self._rooms(which), generator)
        return Batch(standardised(pictures), points, identity, shapes)

    def _rooms(self, which: torch.Tensor) -> torch.Tensor:
        low = (SIZE - CROP) // 2
        part = self.rooms[which, low : low + CROP, low : low + CROP]
        return part.permute(0, 3, 1, 2).float() / 255


def _matrices(
    frames: torch.Tensor, turn: torch.Tensor, zoom: torch.Tensor, shift: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return :meth:`facekit.reconstruct.dense.Frame.matrix` for many frames: (B, 2, 2) and (B, 2)."""
    middle, scale, (x, y) = frames[:, :2], frames[:, 2:3], frames[:, 3:].unbind(dim=1)
    upright = torch.stack((-y, x, -x, -y), dim=1).unflatten(1, (2, 2))
    cos, sin = turn.cos(), turn.sin()
    turned = torch.cat((cos, -sin, sin, cos), dim=1).unflatten(1, (2, 2))
    size = zoom.exp() * CROP / (CROP_MM * scale)
    linear = size[..., None] * turned @ upright
    return linear, shift + CROP / 2 - torch.einsum("bij,bj->bi", linear, middle)


def _warped(pixels: torch.Tensor, linear: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """Return crops (B, 4, S, S) float32 in [0, 1] from pictures (B, H, H, 4) uint8."""
    along = torch.arange(CROP, device=pixels.device) + 0.5
    grid = torch.stack(torch.meshgrid(along, along, indexing="xy"), dim=-1)
    inverse = torch.linalg.inv(linear)
    places = torch.einsum("bij,bhwj->bhwi", inverse, grid - offset[:, None, None])
    heads = pixels.permute(0, 3, 1, 2).float() / 255
    return F.grid_sample(heads, places * (2 / SIZE) - 1, padding_mode="border", align_corners=False)
