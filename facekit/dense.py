"""MediaPipe's 478 landmarks on heads of the embedded default's topology."""

from __future__ import annotations

import functools

import torch

from facekit import weights
from facekit.files.readers import load_arrays


@functools.cache
def dense_landmarks() -> tuple[torch.Tensor, torch.Tensor]:
    """Where they lie: corners (478, 3) int64 of a triangle each, and their shares (478, 3) float32.

    The irises come last, the right one first. The ring around the face lies on the head, where MediaPipe's own points
    slide along its outline.
    """
    arrays = load_arrays(weights.verified("default", "landmarks"))
    return arrays["corners"].long(), arrays["shares"].float()


def has_dense_landmarks(faces: torch.Tensor) -> bool:
    """Whether a mesh of triangles (F, 3) is of that topology: each landmark lies on one of its triangles."""
    corners = dense_landmarks()[0].sort(dim=1).values
    known = faces.cpu().sort(dim=1).values
    size = 1 + max(int(corners.max()), int(known.max()) if len(known) else 0)
    place = torch.tensor([size * size, size, 1])
    return bool(torch.isin((corners * place).sum(dim=1), (known * place).sum(dim=1)).all())
