"""Ties of hair to the head: vertices that follow weighted means of head vertices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Ties:
    """Ties of N vertices to k head vertices each: indices (N, k) int64, and weights (N, k), which sum to 1."""

    index: torch.Tensor
    share: torch.Tensor

    @classmethod
    def nearest(
        cls, points: torch.Tensor, verts: torch.Tensor, place: torch.Tensor, count: int, soft: float, scale: float = 1.0
    ) -> Ties:
        """Tie points (N, 3) mm to the ``count`` nearest of some head vertices.

        Parameters
        ----------
        verts, place:
            (V, 3) mm, and indices (n,) of those that count.
        soft:
            Distance in mm that is added to the nearest vertex's: weights decrease with the distance over this sum.
        scale:
            Factor on distances in y and z.
        """
        axes = verts.new_tensor([1.0, scale, scale])
        distance, near = torch.cdist(points * axes, verts[place] * axes).topk(count, largest=False)
        weight = torch.exp(-((distance / (distance[:, :1] + soft)) ** 2))
        return cls(place[near], weight / weight.sum(1, keepdim=True))

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Interpolate values (B, V, C) at head vertices. Returns (B, N, C)."""
        rows = values.transpose(0, 1).flatten(1)
        mean = F.embedding_bag(self.index, rows, mode="sum", per_sample_weights=self.share.to(rows))
        return mean.unflatten(1, values.shape[::2]).transpose(0, 1)
