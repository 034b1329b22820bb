"""Landmarks in the encoder's input format, and the encoder's predictions for frames."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from facekit import weights
from facekit.conventions import BLENDSHAPES
from facekit.files.readers import load_into, load_tensors
from facekit.models.config import EncoderConfig
from facekit.models.encoder import SCALE, Encoder, Observed
from facekit.reconstruct.landmarker import OVAL, POINTS, FaceLandmarks, Reading
from facekit.reconstruct.points import FacePoints

#: Offsets are clipped at this many mm: larger ones are false detections.
_FAR = 24.0
#: Number of frames in one window of the encoder; seconds between stills of a person.
WINDOW, STILLS = 16, 10.0


class Normaliser:
    """Remove the head's pose from landmarks.

    Parameters
    ----------
    points:
        The rig evaluated at the landmarks. Its mean head is fitted to them by an affine map, of which the nearest
        scaled rotation is kept.
    """

    def __init__(self, points: FacePoints) -> None:
        inner = np.ones(POINTS, dtype=bool)
        inner[list(OVAL)] = False
        self.inner = torch.from_numpy(inner)
        base = torch.from_numpy(points.base).float()
        self.middle = base[self.inner].mean(dim=0)
        self.base = base - self.middle
        self.inverse = torch.linalg.pinv(self.base[self.inner].double()).float()  # (3, P)

    def __call__(self, points: torch.Tensor, size: tuple[int, int] | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return offsets (N, 478, 2) in the encoder's unit, upright, and poses (N, 6).

        Parameters
        ----------
        points:
            (N, 478, 2) float32 pixels, row 0 at the top.
        size:
            (height, width) of the pictures.
        """
        height, width = (float(side) for side in size)
        flat = points * points.new_tensor([1.0, -1.0])
        middle = flat[:, self.inner].mean(dim=1, keepdim=True)
        flat = flat - middle
        affine = torch.einsum("kp,npc->nck", self.inverse, flat[:, self.inner])  # (N, 2, 3)
        u, stretch, vt = torch.linalg.svd(affine, full_matrices=False)
        turn, scale = u @ vt, stretch.mean(dim=1)
        third = torch.linalg.cross(turn[:, 0], turn[:, 1], dim=1)
        expected = torch.einsum("nck,pk->npc", turn, self.base)
        away = flat / scale[:, None, None] - expected
        x, y = turn[:, 0, 1], turn[:, 1, 1]  # the head's up direction in the picture
        length = torch.hypot(x, y).clamp_min(1e-6)
        upright = torch.stack((y, -x, x, y), dim=1).unflatten(1, (2, 2)) / length[:, None, None]
        away = torch.einsum("nij,npj->npi", upright, away).clamp(-_FAR, _FAR) / SCALE
        off = (middle[:, 0] * flat.new_tensor([1.0, -1.0]) - flat.new_tensor([width / 2, height / 2])) / height
        # The third row is the mean head's viewing direction: yaw, pitch, the anisotropy of the affine map, and the
        # position.
        stretched = (stretch[:, 0] / stretch[:, 1]).log() * 10
        pose = torch.stack(
            (third[:, 0], third[:, 1], stretched, (scale * 100 / height).log(), off[:, 0], off[:, 1]), dim=1
        )
        return away, pose


@dataclass(frozen=True)
class EncoderOutput:
    """Encoder prediction for T frames; float64.

    Parameters
    ----------
    shapes, spread:
        (T, 52): blendshapes in [0, 1] and their standard deviations.
    identity, deviation:
        (M,): identity mode weights and their standard deviations.
    """

    shapes: np.ndarray
    spread: np.ndarray
    identity: np.ndarray
    deviation: np.ndarray

    def applied(self, faces: Sequence[FaceLandmarks]) -> list[FaceLandmarks]:
        """Return the T faces with this prediction in place of the network's: it contains that one."""
        return [
            dataclasses.replace(face, reading=Reading(self.identity, self.deviation, shapes, spread))
            for face, shapes, spread in zip(faces, self.shapes, self.spread, strict=True)
        ]


class Reader:
    """Run the packaged encoder on faces.

    Parameters
    ----------
    points:
        The rig evaluated at the landmarks.
    model:
        Another encoder; by default the packaged one.
    """

    def __init__(self, points: FacePoints, model: Encoder | None = None) -> None:
        self.normaliser, self.network = Normaliser(points), network() if model is None else model

    def __call__(
        self, faces: Sequence[FaceLandmarks], sizes: Sequence[tuple[int, int]], times: Sequence[float]
    ) -> EncoderOutput:
        """Predict from up to :data:`WINDOW` refined faces of one person, see :meth:`seen`."""
        with torch.no_grad():
            told = self.network(self.seen(faces, sizes, times))
        spread, deviation = ((0.5 * t[0]).exp().double().numpy() for t in (told.shapes_spread, told.identity_spread))
        return EncoderOutput(
            told.shapes[0].double().numpy().clip(0, 1), spread, told.identity[0].double().numpy(), deviation
        )

    def seen(
        self, faces: Sequence[FaceLandmarks], sizes: Sequence[tuple[int, int]], times: Sequence[float]
    ) -> Observed:
        """Return refined faces as the encoder's input (B = 1), given the (height, width) of their pictures and times
        in seconds; stills are to lie :data:`STILLS` apart.

        Raises
        ------
        ValueError
            If a face was not refined.
        """
        rows, told = [], []
        for face, size in zip(faces, sizes, strict=True):
            if face.reading is None:
                raise ValueError("the encoder needs faces that the landmark network has refined")
            rows.append(self.normaliser(torch.from_numpy(face.points[None]).float(), size))
            scores = np.array([face.scores.get(name, 0.0) for name in BLENDSHAPES])
            reading = np.concatenate((face.reading.identity, face.reading.shapes))
            unsure = np.concatenate((face.reading.identity_spread, face.reading.shapes_spread))
            told.append((scores, reading, np.log(unsure)))
        offsets, pose = (torch.cat(part)[None] for part in zip(*rows, strict=True))
        scores, reading, unsure = (
            torch.from_numpy(np.stack(column))[None].float() for column in zip(*told, strict=True)
        )
        when = torch.tensor([list(times)], dtype=torch.float32)
        return Observed(offsets, scores, pose, reading, unsure, when - when[:, :1], torch.ones(1, len(faces)))

    def stills(self, faces: Sequence[FaceLandmarks], sizes: Sequence[tuple[int, int]]) -> EncoderOutput:
        """Predict from any number of photographs of one person; more than :data:`WINDOW` are told window by window."""
        parts = []
        for start in range(0, len(faces), WINDOW):
            some = slice(start, start + WINDOW)
            parts.append(self(faces[some], sizes[some], [STILLS * k for k in range(len(faces[some]))]))
        weight = np.stack([len(part.shapes) / part.deviation**2 for part in parts])
        identity = (weight * np.stack([part.identity for part in parts])).sum(axis=0) / weight.sum(axis=0)
        shapes, spread = (np.concatenate([getattr(part, name) for part in parts]) for name in ("shapes", "spread"))
        # The errors of windows of one person are alike: more of them do not make it surer.
        return EncoderOutput(shapes, spread, identity, np.sqrt(len(faces) / weight.sum(axis=0)))


@functools.cache
def network() -> Encoder:
    """Load the encoder that ships with the package, once."""
    with torch.inference_mode(False), torch.device("meta"):
        module = Encoder(EncoderConfig())
    path = weights.verified("default", "encoder")
    return load_into(module, load_tensors(path), path.name).requires_grad_(False).eval()
