"""Lips touch and do not pass through each other: what sums of shapes cannot promise."""

from __future__ import annotations

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.geometry.normals import vertex_normals
from facekit.template import Template

_LIPS = PARTS.index("lips")
# Lips may press into each other this far, mm, as soft ones do.
_SOFT = 0.12
# Contact deeper than this, mm, or than this share of the way to the mouth's corner, is none: the far side is meant.
_DEEPEST, _STEEPEST = 5.0, 0.3
# A vertex lies over the nearest one of the other lip if it is no further aside than this, mm.
_ASIDE = 2.2
# Surfaces touch that face each other: none of it counts below the first cosine, all from the second on.
_FACING = (0.0, 0.35)
# Lips join at the mouth's corners: contact sets in over this distance from one, mm.
_CORNER = (1.5, 6.0)
# Skin within this reach of a lip, mm, goes along with it; each round halves what is left.
_REACH, _ROUNDS = 3.0, 4
# Pushes below this, mm, are none.
_TOUCH = 1e-3


class LipContact(nn.Module):
    """Pushes the lips out of each other, both by half; lips that do not touch are not moved.

    For a template with lips and the 68 landmarks. Each vertex is held against the nearest one of the other lip and that
    one's tangent plane.
    """

    used: torch.Tensor
    tris: torch.Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        verts, lips = template.verts, template.parts == _LIPS
        corners = verts[template.landmarks[[48, 54, 60, 64]]]
        away = torch.cdist(verts, corners).amin(dim=1)
        label = _halves(template.faces, lips & (away > 3.0), verts, lips)
        fade = ((away - _CORNER[0]) / (_CORNER[1] - _CORNER[0])).clamp(0, 1)
        members = [(label == k).nonzero()[:, 0] for k in (0, 1)]
        for k, index in enumerate(members):
            self.register_buffer(f"lip_{k}", index, persistent=False)
            self.register_buffer(f"fade_{k}", fade[index], persistent=False)
            deepest = (_STEEPEST * away[index]).clamp_max(_DEEPEST)
            self.register_buffer(f"deepest_{k}", deepest, persistent=False)
            near = ~lips & (torch.cdist(verts, verts[index]).amin(dim=1) < _REACH)
            follow = torch.cat((index, (near & (template.parts != PARTS.index("teeth"))).nonzero()[:, 0]))
            distance = torch.cdist(verts[follow], verts[index])
            weights = torch.exp(-0.5 * (distance / (0.4 * _REACH)).square())
            weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(0.5)
            self.register_buffer(f"follow_{k}", follow, persistent=False)
            self.register_buffer(f"share_{k}", weights, persistent=False)
        # The triangles at the lips alone, in a numbering of their own, give their normals.
        tris = template.faces[lips[template.faces].any(dim=1)]
        used, local = tris.unique(return_inverse=True)
        self.register_buffer("used", used, persistent=False)
        self.register_buffer("tris", local, persistent=False)
        for k, index in enumerate(members):
            self.register_buffer(f"local_{k}", torch.searchsorted(used, index), persistent=False)

    def forward(self, verts: torch.Tensor) -> torch.Tensor:
        """Vertices (B, V, 3) mm with the lips apart; differentiable."""
        for _ in range(_ROUNDS):
            normals = vertex_normals(verts.index_select(1, self.used), self.tris)
            lips = [verts.index_select(1, getattr(self, f"lip_{k}")) for k in (0, 1)]
            facing = [normals.index_select(1, getattr(self, f"local_{k}")) for k in (0, 1)]
            with torch.no_grad():
                apart = torch.cdist(lips[0], lips[1])
                nearest = apart.min(dim=2).indices, apart.min(dim=1).indices  # argmin takes longer on a CPU
            pushes = [
                _push(
                    lips[k],
                    lips[1 - k],
                    facing[k],
                    facing[1 - k],
                    nearest[k],
                    getattr(self, f"fade_{k}"),
                    getattr(self, f"deepest_{k}"),
                )
                for k in (0, 1)
            ]
            if max(float(push.detach().abs().max()) for push in pushes) < _TOUCH:
                break
            for k, push in enumerate(pushes):
                spread = torch.einsum("fn,bnc->bfc", getattr(self, f"share_{k}").to(push), push)
                own = push.shape[1]
                settled = torch.where(push.norm(dim=-1, keepdim=True) > 0, push, spread[:, :own])
                spread = torch.cat((settled, spread[:, own:]), dim=1)
                verts = verts.index_add(1, getattr(self, f"follow_{k}"), spread)
        return verts


def _push(
    mine: torch.Tensor,
    other: torch.Tensor,
    own: torch.Tensor,
    normals: torch.Tensor,
    nearest: torch.Tensor,
    fade: torch.Tensor,
    deepest: torch.Tensor,
) -> torch.Tensor:
    """Half the way (B, n, 3) out of the other lip, of vertices (B, n, 3) against (B, m, 3), both with normals."""
    rows = nearest[..., None].expand(-1, -1, 3)
    normal = normals.gather(1, rows)
    offset = mine - other.gather(1, rows)
    height = (offset * normal).sum(dim=-1)
    aside = (offset - height[..., None] * normal).norm(dim=-1)
    # Where lips join, behind the mouth's corners, their surfaces look the same way: that is no contact.
    facing = ((-(own * normal).sum(dim=-1) - _FACING[0]) / (_FACING[1] - _FACING[0])).clamp(0, 1)
    inside = ((-height > _SOFT) & (-height < deepest.to(mine)) & (aside < _ASIDE)).to(mine) * facing * fade.to(mine)
    return normal * (inside * (-height - _SOFT) * 0.5)[..., None]


def _halves(faces: torch.Tensor, mask: torch.Tensor, verts: torch.Tensor, lips: torch.Tensor) -> torch.Tensor:
    """(V,) 0 for one lip, 1 for the other, -1 elsewhere: the two parts of ``mask``, and what of ``lips`` is nearest."""
    label = torch.where(mask, torch.arange(len(mask), device=mask.device), len(mask))
    tris = faces[mask[faces].all(dim=1)]
    while True:
        low = label[tris].amin(dim=1)
        grown = label.clone()
        for corner in tris.T:
            grown.scatter_reduce_(0, corner, low, "amin")
        if torch.equal(grown, label):
            break
        label = grown
    values, counts = label[mask].unique(return_counts=True)
    halves = torch.full_like(label, -1)
    for k, value in enumerate(values[counts.argsort(descending=True)][:2].tolist()):
        halves[label == value] = k
    rest = (lips & (halves < 0)).nonzero()[:, 0]
    known = (halves >= 0).nonzero()[:, 0]
    halves[rest] = halves[known[torch.cdist(verts[rest], verts[known]).argmin(dim=1)]]
    return halves
