"""Folds around the mouth come undone: triangles that a sum of shapes turned over are turned back by their neighbours."""

from __future__ import annotations

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.template import Template

#: Skin this near to the lips, mm, is looked after.
_REACH = 14.0
#: Rounds at most; how far a vertex goes toward its neighbours' displacement in each.
_ROUNDS, _STEP = 12, 0.8
#: Triangles count as turning over below the first cosine between old and new normals, wholly below the second.
_BEGIN, _WHOLE = 0.15, -0.05


class Unfolding(nn.Module):
    """Smooths displacements where they turn triangles over, and nowhere else.

    For a template with lips; meant for what correctives leave over.
    """

    def __init__(self, template: Template) -> None:
        super().__init__()
        verts, parts = template.verts, template.parts
        lips = verts[parts == PARTS.index("lips")]
        fixed = torch.isin(parts, parts.new_tensor([PARTS.index("teeth"), PARTS.index("eyes")]))
        near = ~fixed & (torch.cdist(verts, lips).amin(dim=1) < _REACH)
        tris = template.faces[near[template.faces].all(dim=1)]
        used, local = tris.unique(return_inverse=True)
        edges = torch.cat((local[:, [0, 1]], local[:, [1, 2]], local[:, [2, 0]]))
        edges = torch.cat((edges, edges.flip(1))).unique(dim=0)
        degree = torch.zeros(len(used)).index_add(0, edges[:, 0], torch.ones(len(edges)))
        # Vertices at the rim of what is looked after stay, so that nothing tears.
        inner = torch.ones(len(verts), dtype=torch.bool)
        inner[template.faces[~near[template.faces].all(dim=1)].flatten()] = False
        for name, value in {
            "used": used, "tris": local, "edges": edges.T.contiguous(), "degree": degree,
            "inner": inner[used].float(),
        }.items():  # fmt: skip
            self.register_buffer(name, value, persistent=False)

    def forward(self, verts: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        """Vertices (B, V, 3) mm without the folds that they have against ``rest`` (B, V, 3); differentiable."""
        start = rest.index_select(1, self.used)
        moved = before = verts.index_select(1, self.used) - start
        normals = self._normals(start)
        for _ in range(_ROUNDS):
            with torch.no_grad():
                cosine = (normals * self._normals(start + moved)).sum(dim=-1)
                over = ((_BEGIN - cosine) / (_BEGIN - _WHOLE)).clamp(0, 1)
                if not bool((over > 0).any()):
                    break
                weight = self._spread(over)
            around = self._around(moved) / self.degree[:, None]
            moved = torch.lerp(moved, around, (_STEP * weight * self.inner)[..., None])
        return verts.index_add(1, self.used, moved - before)

    def _normals(self, verts: torch.Tensor) -> torch.Tensor:
        a, b, c = (verts.index_select(1, corner) for corner in self.tris.T)
        return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-6)

    def _spread(self, over: torch.Tensor) -> torch.Tensor:
        """From triangles (B, F) to their corners (B, n), and in part to those next to these."""
        weight = over.new_zeros(len(over), len(self.used))
        for corner in self.tris.T:
            weight = weight.scatter_reduce(1, corner.expand(len(over), -1), over, "amax")
        beside = weight.new_zeros(weight.shape).scatter_reduce(
            1, self.edges[0].expand(len(weight), -1), weight[:, self.edges[1]], "amax"
        )
        return torch.maximum(weight, 0.5 * beside)

    def _around(self, moved: torch.Tensor) -> torch.Tensor:
        """Sums of the neighbours' displacements (B, n, 3)."""
        return torch.zeros_like(moved).index_add(1, self.edges[0], moved.index_select(1, self.edges[1]))
