"""Connected components and borders of triangle lists."""

from __future__ import annotations

import torch

from facekit.geometry.charts import open_edges


def components(faces: torch.Tensor, count: int) -> torch.Tensor:
    """Return the smallest vertex index in each vertex's connected component, (count,) int64, by triangles (F, 3)."""
    label = torch.arange(count, device=faces.device)
    while True:
        least, grown = label[faces].amin(dim=1), label.clone()
        for corner in faces.T:
            grown.scatter_reduce_(0, corner, least, "amin")
        if torch.equal(grown, label):
            return label
        label = grown


def largest_two(faces: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return (V,) int64: 0 for the largest connected part of ``mask`` (V,) bool, 1 for the second largest, else -1."""
    label = components(faces[mask[faces].all(dim=1)], len(mask))
    values, counts = label[mask].unique(return_counts=True)
    found = torch.full_like(label, -1)
    for k, value in enumerate(values[counts.argsort(descending=True)][:2].tolist()):
        found[mask & (label == value)] = k
    return found


def on_border(faces: torch.Tensor, count: int) -> torch.Tensor:
    """Return which of ``count`` vertices lie on an edge of only one triangle of ``faces`` (F, 3), (count,) bool."""
    border = torch.zeros(count, dtype=torch.bool, device=faces.device)
    border[open_edges(faces).flatten()] = True
    return border
