"""Curvature of meshes: where a surface is hollow and where it bulges."""

from __future__ import annotations

import torch

from facekit.geometry.normals import vertex_normals
from facekit.geometry.strain import StrainGraph


def mean_curvature(verts: torch.Tensor, faces: torch.Tensor, graph: StrainGraph) -> torch.Tensor:
    """Return the mean curvature (V,) float32, 1/mm: negative in hollows, positive on bulges; 0 without neighbours.

    Along an edge, curvature is the difference of the normals at its ends along it, divided by its length; a vertex has
    the mean over its edges.

    Parameters
    ----------
    verts:
        (V, 3) float32, mm.
    faces:
        (F, 3) int64, counter-clockwise seen from outside.
    graph:
        The faces' edges; :meth:`facekit.geometry.strain.StrainGraph.smooth` smooths the result.
    """
    normals, (a, b) = vertex_normals(verts[None], faces)[0], graph.edges
    side = verts[b] - verts[a]
    bend = ((normals[b] - normals[a]) * side).sum(1) / side.square().sum(1).clamp_min(1e-6)
    total = torch.zeros_like(verts[:, 0]).index_add_(0, a, bend).index_add_(0, b, bend)
    return total * graph.share.to(verts)
