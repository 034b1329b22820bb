"""Landmarks as the encoder takes them, and what it tells of frames."""

from __future__ import annotations

import numpy as np
import torch

from facekit.models.encoder import SCALE
from facekit.reconstruct.landmarker import OVAL, POINTS
from facekit.reconstruct.points import FacePoints

#: Offsets beyond this many mm are cut: something else was found there.
_FAR = 24.0


class Normaliser:
    """Takes the head's pose out of landmarks.

    Parameters
    ----------
    points:
        The rig at the landmarks, whose mean head is laid over them: by the nearest affine map, of which the nearest
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
        """Offsets (N, 478, 2) in the encoder's unit, upright, and poses (N, 6).

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
        x, y = turn[:, 0, 1], turn[:, 1, 1]  # where up lies in the picture
        length = torch.hypot(x, y).clamp_min(1e-6)
        upright = torch.stack((y, -x, x, y), dim=1).unflatten(1, (2, 2)) / length[:, None, None]
        away = torch.einsum("nij,npj->npi", upright, away).clamp(-_FAR, _FAR) / SCALE
        off = (middle[:, 0] * flat.new_tensor([1.0, -1.0]) - flat.new_tensor([width / 2, height / 2])) / height
        # The mean head looks along third: its turn, its lift, how the affine map is stretched, and where it lies.
        stretched = (stretch[:, 0] / stretch[:, 1]).log() * 10
        pose = torch.stack(
            (third[:, 0], third[:, 1], stretched, (scale * 100 / height).log(), off[:, 0], off[:, 1]), dim=1
        )
        return away, pose
