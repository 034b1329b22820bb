"""Curvature of meshes: where a surface is hollow and where it bulges."""

from __future__ import annotations

import torch

from facekit.geometry.lists import unique_pairs
from facekit.geometry.normals import vertex_normals


def mean_curvature(verts: torch.Tensor, faces: torch.Tensor, smoothing: int = 0) -> torch.Tensor:
    """Return the mean curvature (V,) float32, 1/mm: negative in hollows, positive on bulges; 0 without neighbours.

    Along an edge, curvature is the difference of the normals at its ends along it, divided by its length; a vertex has
    the mean over its edges.

    Parameters
    ----------
    verts:
        (V, 3) float32, mm.
    faces:
        (F, 3) int64, counter-clockwise seen from outside.
    smoothing:
        Number of times that values are averaged with the mean of their neighbours, in equal parts.
    """
    normals = vertex_normals(verts[None], faces)[0]
    sides = torch.stack((faces, faces.roll(-1, 1)), dim=-1).view(-1, 2)
    edges, _ = unique_pairs(sides, len(verts))
    a, b = torch.cat((edges, edges.flip(1))).unbind(1)
    side = verts[b] - verts[a]
    number = torch.bincount(a, minlength=len(verts)).clamp_min(1).to(verts)
    bend = ((normals[b] - normals[a]) * side).sum(1) / side.square().sum(1).clamp_min(1e-6)
    curvature = torch.zeros_like(number).index_add_(0, a, bend) / number
    for _ in range(smoothing):
        around = torch.zeros_like(number).index_add_(0, a, curvature[b]) / number
        curvature = torch.where(around != 0, 0.5 * (curvature + around), curvature)
    return curvature
