"""Oral vestibule: its walls are kept behind the skin, also where the folds beside nose and mouth are deep."""

from __future__ import annotations

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.geometry.lists import unique_pairs
from facekit.geometry.normals import vertex_normals
from facekit.template import Template

# Region of wall and skin, mm: down to this far below the lower lip, between the mouth's corners; for the whole mouth,
# up to this far above the nose's base, and this far beyond the corners. Largest distance of the wall from the skin.
_BELOW, _ABOVE_NOSE, _BESIDE, _REACH = 20.0, 4.0, 8.0, 12.0
# Thickness that is kept, as a share of that of the template, and at most, mm.
_SHARE, _MOST = 0.5, 1.5
# Thickness that is kept over the middles of the wall's edges, mm, which would cross a deep groove above the chin.
_OVER_EDGES = 1.0
# Number of times that edges are pushed: a vertex has many, and goes by their mean.
_ROUNDS = 3


class MouthWall(nn.Module):
    """Pushes the walls behind the skin, each vertex along the skin's normal; at rest then edges by their middles.

    For a template with an oral cavity and the 68 landmarks; a wall with enough distance is not moved.

    Parameters
    ----------
    template:
        The topology.
    whole:
        Whether all walls are pushed, for mouths at rest; otherwise the lower lip's, for moving ones.
    """

    wall: torch.Tensor
    used: torch.Tensor
    tris: torch.Tensor
    skin: torch.Tensor
    kept: torch.Tensor
    edges: torch.Tensor

    def __init__(self, template: Template, whole: bool = False) -> None:
        super().__init__()
        verts, faces, parts = template.verts, template.faces, template.parts
        left, right, low, nose = verts[template.landmarks[[48, 54, 57, 33]]]
        top, beside = (nose[1] + _ABOVE_NOSE, _BESIDE) if whole else (low[1], 0.0)
        front = (verts[:, 1] > low[1] - _BELOW) & (verts[:, 1] < top)
        front &= (verts[:, 0] > left[0] - beside) & (verts[:, 0] < right[0] + beside)
        normals = vertex_normals(verts[None], faces)[0]
        front &= normals[:, 2] > 0
        skin = ((parts == PARTS.index("skin")) & front).nonzero()[:, 0]
        wall = (parts == PARTS.index("mouth")).nonzero()[:, 0]
        apart, first = torch.cdist(verts[wall], verts[skin]).min(dim=1)
        around = torch.zeros(len(verts), dtype=torch.bool)
        around[skin] = True
        used, tris = faces[around[faces].any(dim=1)].unique(return_inverse=True)
        flesh = ((verts[skin[first]] - verts[wall]) * normals[skin[first]]).sum(dim=1)
        near = (apart < _REACH) & (flesh > 0.7 * apart)
        row = torch.full((len(verts),), -1)
        row[wall[near]] = torch.arange(int(near.sum()))
        ends = row[torch.cat([faces[:, [k, (k + 1) % 3]] for k in range(3)])]
        edges, _ = unique_pairs(ends[(ends >= 0).all(dim=1) & whole], len(row))
        for name, value in (
            ("wall", wall[near]),
            ("used", used),
            ("tris", tris),
            ("skin", torch.searchsorted(used, skin)),
            ("kept", (_SHARE * flesh[near]).clamp_max(_MOST)),
            ("edges", edges),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, verts: torch.Tensor) -> torch.Tensor:
        """Return vertices (B, V, 3) mm with the wall behind the skin; differentiable."""
        own, used = verts.index_select(1, self.wall), verts.index_select(1, self.used)
        skin = used.index_select(1, self.skin)
        normals = vertex_normals(used, self.tris).index_select(1, self.skin)
        moved = _behind(own, skin, normals, self.kept.to(verts))
        edges = self.edges
        for _ in range(_ROUNDS):
            if not len(edges):
                break
            middles = (own + moved).index_select(1, edges.flatten()).unflatten(1, edges.shape).mean(dim=2)
            push = _behind(middles, skin, normals, verts.new_tensor(_OVER_EDGES))
            pushed = push.detach().any(dim=2, keepdim=True)
            push = torch.cat((push, pushed.to(push)), dim=2)  # and how many they are
            sums = push.new_zeros(*own.shape[:2], 4).index_add(1, edges.t().flatten(), torch.cat((push, push), 1))
            moved = moved + sums[..., :3] / sums[..., 3:].clamp_min(1)
            edges = edges[pushed.any(dim=0)[:, 0]]
        return verts.index_add(1, self.wall, moved)


def _behind(points: torch.Tensor, skin: torch.Tensor, normals: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Return displacements (B, n, 3) that bring points as far behind the nearest vertex of the skin as is kept, mm."""
    with torch.no_grad():
        first = torch.cdist(points, skin).argmin(dim=2, keepdim=True).expand(-1, -1, 3)
    normal = normals.gather(1, first)
    lacks = kept - ((skin.gather(1, first) - points) * normal).sum(dim=-1)
    return -normal * lacks.clamp_min(0)[..., None]
