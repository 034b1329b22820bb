"""MediaPipe's 478 landmarks on heads of the embedded default's topology."""

from __future__ import annotations

import functools

import torch

from facekit import weights
from facekit.files.readers import load_arrays


@functools.cache
def dense_landmarks() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the landmarks as triangle corners (478, 3) int64 and barycentric weights (478, 3) float32.

    The irises come last, the right one first. The ring around the face is fixed to the head, whereas MediaPipe's points
    slide along the silhouette.
    """
    arrays = load_arrays(weights.verified("default", "landmarks"))
    return arrays["corners"].long(), arrays["shares"].float()


def has_dense_landmarks(faces: torch.Tensor) -> bool:
    """Return True if triangles (F, 3) are of this topology: each landmark lies on one of them."""
    corners = dense_landmarks()[0].sort(dim=1).values
    known = faces.cpu().sort(dim=1).values
    size = 1 + max(int(corners.max()), int(known.max()) if len(known) else 0)
    place = torch.tensor([size * size, size, 1])
    return bool(torch.isin((corners * place).sum(dim=1), (known * place).sum(dim=1)).all())
