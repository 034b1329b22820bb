"""Brute-force ray casting: depth and silhouettes independent of the renderer, for tests and checks of labels."""

from __future__ import annotations

from typing import Any

import torch

#: Number of rays per chunk.
_CHUNK = 48


def cast(verts: torch.Tensor, faces: torch.Tensor, camera: dict[str, Any], size: int) -> torch.Tensor:
    """Return depth (size, size) float64 in mm along the optical axis at the pixel centres; inf without a hit.

    Möller and Trumbore, *Fast, minimum storage ray/triangle intersection*, 1997. The camera is a sample's label
    ``camera``.

    Parameters
    ----------
    verts:
        (V, 3) mm in the model's space.
    faces:
        (F, 3) int64.
    """
    k, rotation, shift = (torch.tensor(camera[name], dtype=torch.float64) for name in ("K", "R", "t"))
    corners = (verts.double() @ rotation.T + shift)[faces]  # relative to the camera at the origin
    a, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    place = torch.arange(size, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(place, place, indexing="ij")
    rays = torch.stack(((x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], torch.ones_like(x)), dim=-1).view(-1, 3)
    # The camera is the origin, so that products which the method computes per ray are constant per triangle.
    normal = torch.linalg.cross(first, second)
    from_first, from_second = torch.linalg.cross(-a, first), torch.linalg.cross(-a, second)
    found = []
    for some in rays.split(_CHUNK):
        scale = -(some @ normal.T)
        u, v = -(some @ from_second.T) / scale, (some @ from_first.T) / scale
        depth = -(a * normal).sum(dim=1) / scale
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0)
        found.append(torch.where(hit, depth, torch.inf).amin(dim=1))
    return torch.cat(found).view(size, size)
