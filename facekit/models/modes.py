"""Identity modes: a linear model of head shape with standard normal weights, and its compact file format.

Neighbouring vertices move alike, so each mode is stored as differences from vertex to vertex along a spanning tree of
the mesh: integers near zero, which compress to a third of the size. Rounding errors do not accumulate along the tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from facekit.errors import WeightsError

#: Quantisation step, mm, of the stored modes: with all modes together the error is a tenth of it.
STEP = 0.025


@dataclass(frozen=True)
class IdentityModes:
    """Linear model of neutral heads: offsets that each mode adds to the template.

    Parameters
    ----------
    deltas:
        (M, V, 3) float32, mm at weight 1, sorted by decreasing size; weights are N(0, 1).
    """

    deltas: torch.Tensor

    def __len__(self) -> int:
        return len(self.deltas)

    def displacements(self, weights: torch.Tensor) -> torch.Tensor:
        """Return offsets (B, V, 3) in mm from the template for weights (B, M)."""
        return torch.einsum("bm,mvc->bvc", weights, self.deltas)


def spanning_tree(faces: torch.Tensor, vertices: int) -> torch.Tensor:
    """Return parents (V,) int64 in breadth-first spanning trees of a mesh; roots are their own parents."""
    faces = faces.cpu()
    edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    edges = torch.cat((edges, edges.flip(1))).unique(dim=0)
    parent = torch.full((vertices,), -1, dtype=torch.long)
    while True:
        left = (parent < 0).nonzero()[:, 0]
        if not len(left):
            return parent
        parent[left[0]] = left[0]
        front = left[:1]
        while len(front):
            is_front = torch.zeros(vertices, dtype=torch.bool)
            is_front[front] = True
            out = edges[is_front[edges[:, 0]] & (parent[edges[:, 1]] < 0)]
            front, first = np.unique(out[:, 1].numpy(), return_index=True)
            front = torch.from_numpy(front)
            parent[front] = out[torch.from_numpy(first), 0]


def pack(modes: IdentityModes, faces: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return arrays for a compressed npz: the tree, the roots' offsets and the differences along its edges."""
    parent = spanning_tree(faces, modes.deltas.shape[1])
    whole = (modes.deltas / STEP).round().to(torch.int32)
    steps = whole - whole[:, parent]
    roots = (parent == torch.arange(len(parent))).nonzero()[:, 0]
    if int(steps.abs().amax()) > 127:
        raise ValueError(f"a step of {int(steps.abs().amax())}")
    # Grouped by axis and by mode: similar numbers compress better side by side.
    return {
        "parent": parent.to(torch.int32),
        "roots": whole[:, roots].to(torch.int16),
        "steps": steps.permute(0, 2, 1).to(torch.int8).contiguous(),
    }


def unpack(arrays: Mapping[str, torch.Tensor]) -> IdentityModes:
    """Return the modes from arrays written by :func:`pack`.

    Raises
    ------
    WeightsError
        If the arrays are not in this format.
    """
    try:
        parent, steps = arrays["parent"].long(), arrays["steps"].to(torch.int32)
        own = torch.arange(len(parent))
        whole = torch.zeros(len(parent), len(steps), 3, dtype=torch.int32)
        roots = (parent == own).nonzero()[:, 0]
        whole[roots] = arrays["roots"].to(torch.int32).permute(1, 0, 2)
        moves = steps.permute(2, 0, 1).contiguous()
        known = parent == own
        level = ~known & known[parent]
        while bool(level.any()):
            whole[level] = whole[parent[level]] + moves[level]
            known |= level
            level = ~known & known[parent]
        if not bool(known.all()):
            raise ValueError("a tree that does not reach all vertices")
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise WeightsError("arrays of identity modes", f"{error}", "reinstall facekit, or build them again") from error
    return IdentityModes(whole.permute(1, 0, 2).float() * STEP)
