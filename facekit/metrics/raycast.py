"""Rays against triangles, one by one: a judge of depth and silhouettes that shares nothing with the renderer."""

from __future__ import annotations

from typing import Any

import torch

#: Rays at a time.
_CHUNK = 48


def cast(verts: torch.Tensor, faces: torch.Tensor, camera: dict[str, Any], size: int) -> torch.Tensor:
    """Depth (size, size) float64 mm along the view axis at the pixels' centres, inf where nothing is.

    Möller and Trumbore, *Fast, minimum storage ray/triangle intersection*, 1997, from a sample's label ``camera``.

    Parameters
    ----------
    verts:
        (V, 3) mm in the model's space.
    faces:
        (F, 3) int64.
    """
    k, rotation, shift = (torch.tensor(camera[name], dtype=torch.float64) for name in ("K", "R", "t"))
    corners = (verts.double() @ rotation.T + shift)[faces]  # from the camera at the origin
    a, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    place = torch.arange(size, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(place, place, indexing="ij")
    rays = torch.stack(((x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], torch.ones_like(x)), dim=-1).view(-1, 3)
    # The camera is the origin: what the method multiplies out for each ray is a triangle's own.
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
