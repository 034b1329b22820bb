"""Lips touch and do not pass through each other: what sums of shapes cannot promise."""

from __future__ import annotations

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.geometry.closest import closest_of
from facekit.geometry.normals import vertex_normals
from facekit.template import Template

_LIPS = PARTS.index("lips")
# Lips may press into each other this far, mm, as soft ones do.
_SOFT = 0.12
# Contact deeper than this, mm, or than this share of the way to the mouth's corner, is none: the far side is meant.
_DEEPEST, _STEEPEST = 5.0, 0.3
# The surface is looked for around so many of the other lip's nearest vertices, unless the tangent plane at the first of
# them lies further below than this, mm, or all of them lie below.
_NEAREST, _OUTSIDE = 3, 0.5
# Surfaces touch that face each other, rolled as they may be: none counts below the first cosine, all from the second.
_FACING = (-0.6, -0.2)
# Lips join at the mouth's corners: contact sets in over this distance from one, mm.
_CORNER = (1.5, 6.0)
# Skin within this reach of a lip, mm, goes along with it, by weights of this width.
_REACH, _WIDTH = 3.0, 2.0
# In the first rounds whole patches are pushed, so that lips stay smooth, by this share of the depth, since the mean
# over a patch is less than its middle; then half of what of single vertices is left.
_SMOOTH_ROUNDS, _ROUNDS, _SHARES = 6, 8, (0.85, 0.5)
# Rounds in which what touches is looked for anew.
_SEARCHED = (0, 2, 4, 6)
# Lips of which none is pushed further than this, mm, lie well.
_TOUCH = 0.02


class LipContact(nn.Module):
    """Pushes the lips out of each other, both by half; lips that do not touch are not moved.

    For a template with lips and the 68 landmarks. Each vertex is held against the closest place of the other lip's
    surface and the normal there.
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
        # The triangles at the lips alone, in a numbering of their own, give their normals.
        tris = template.faces[lips[template.faces].any(dim=1)]
        used, local = tris.unique(return_inverse=True)
        found: dict[str, torch.Tensor] = {"used": used, "tris": local}
        for k in (0, 1):
            index = (label == k).nonzero()[:, 0]
            near = ~lips & (torch.cdist(verts, verts[index]).amin(dim=1) < _REACH)
            follow = torch.cat((index, (near & (template.parts != PARTS.index("teeth"))).nonzero()[:, 0]))
            weights = torch.exp(-0.5 * (torch.cdist(verts[follow], verts[index]) / _WIDTH).square())
            own = torch.searchsorted(used, index)
            surface, at, border = _surface(local, own, len(used))
            found |= {f"lip_{k}": index, f"fade_{k}": fade[index], f"local_{k}": own, f"follow_{k}": follow}
            found |= {f"deepest_{k}": (_STEEPEST * away[index]).clamp_max(_DEEPEST)}
            found |= {f"share_{k}": weights / weights.sum(dim=1, keepdim=True).clamp_min(0.5)}
            found |= {f"surface_{k}": surface, f"at_{k}": at, f"border_{k}": border}
        for name, value in found.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, verts: torch.Tensor) -> torch.Tensor:
        """Vertices (B, V, 3) mm with the lips apart; differentiable."""
        touching: list[tuple[torch.Tensor, ...]] = []
        found, faces = verts, torch.arange(len(verts), device=verts.device)
        busy = torch.ones_like(faces, dtype=torch.bool)
        for number in range(_ROUNDS):
            single = number >= _SMOOTH_ROUNDS
            if number in _SEARCHED and not bool(busy.all()):  # faces whose lips lie well are left as they are
                found, faces, verts = found.index_copy(0, faces, verts), faces[busy], verts[busy]
            places = verts.index_select(1, self.used)
            if number in _SEARCHED:  # in between, what touches stays where it is on the other's surface
                with torch.no_grad():
                    touching = self._touching(places)
            pushes = [_SHARES[single] * self._push(places, k, *touching[k]) for k in (0, 1)]
            busy = torch.cat([push.detach().abs().flatten(1) for push in pushes], dim=1).amax(dim=1) >= _TOUCH
            if not bool(busy.any()):
                break
            for k, push in enumerate(pushes):
                moved = push.detach().any(dim=2).any(dim=0).nonzero()[:, 0]
                share = getattr(self, f"share_{k}").to(push).index_select(1, moved)
                spread = torch.einsum("fn,bnc->bfc", share, push.index_select(1, moved))
                if single:
                    own = push.shape[1]
                    pushed = torch.where(push.norm(dim=-1, keepdim=True) > 0, push, spread[:, :own])
                    spread = torch.cat((pushed, spread[:, own:]), dim=1)
                verts = verts.index_add(1, getattr(self, f"follow_{k}"), spread)
        return verts if len(faces) == len(found) else found.index_copy(0, faces, verts)

    def _push(
        self,
        places: torch.Tensor,
        k: int,
        face: torch.Tensor,
        row: torch.Tensor,
        corners: torch.Tensor,
        weights: torch.Tensor,
        normal: torch.Tensor,
        share: torch.Tensor,
    ) -> torch.Tensor:
        """The way (B, n, 3) of a lip's n vertices out of the other lip: of the lips' places, and see _touching."""
        own = getattr(self, f"local_{k}")
        push = places.new_zeros(len(places), len(own), 3)
        if not len(face):
            return push
        place = (places[face[:, None], corners] * weights[..., None]).sum(dim=1)
        depth = -((places[face, own[row]] - place) * normal).sum(dim=1)
        inside = ((depth > _SOFT) & (depth < getattr(self, f"deepest_{k}").to(depth)[row])).to(depth) * share
        return push.index_put((face, row), normal * (inside * (depth - _SOFT))[:, None])

    def _touching(self, places: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        """What of each lip may be inside the other, of the lips' places (B, L, 3).

        N vertices as faces (N,) and rows (N,) of the lip; the closest place on the other as corners and weights (N, 3)
        and its normal (N, 3); and how much of a contact there counts, (N,).
        """
        normals = vertex_normals(places, self.tris)
        local = [getattr(self, f"local_{k}") for k in (0, 1)]
        lips, outward = ([field.index_select(1, own) for own in local] for field in (places, normals))
        apart = _squared_distances(*lips)
        found = []
        for k, distances in enumerate((apart, apart.transpose(1, 2))):
            mine, theirs, facing = lips[k], lips[1 - k], outward[1 - k]
            distance, first = apart.min(dim=2 - k)
            face, row = (distance < _DEEPEST**2).nonzero().unbind(dim=1)
            near = first[face, row]
            height = ((mine[face, row] - theirs[face, near]) * facing[face, near]).sum(dim=1)
            face, row = face[height < _OUTSIDE], row[height < _OUTSIDE]
            nearest = distances[face, row].topk(_NEAREST, dim=1, largest=False).indices
            batch = face[:, None]
            height = ((mine[face, row][:, None] - theirs[batch, nearest]) * facing[batch, nearest]).sum(dim=2)
            below = height.amin(dim=1) < 0
            face, row, nearest = face[below], row[below], nearest[below]
            surface, at, border = (getattr(self, f"{name}_{1 - k}") for name in ("surface", "at", "border"))
            fade = getattr(self, f"fade_{k}")
            tris = at[nearest].flatten(1)
            _, weights, best = closest_of(mine[face, row], places[face[:, None, None], surface[tris]])
            corners = surface[tris.gather(1, best[:, None])[:, 0]]
            normal = (normals[face[:, None], corners] * weights[..., None]).sum(dim=1)
            normal = torch.nn.functional.normalize(normal, dim=1)
            # Where lips join, behind the mouth's corners, their surfaces look the same way: that is no contact.
            cosine = -(outward[k][face, row] * normal).sum(dim=1)
            share = ((cosine - _FACING[0]) / (_FACING[1] - _FACING[0])).clamp(0, 1) * fade.to(cosine)[row]
            # Beyond the border of a lip's surface nothing is told.
            told = ((weights > 1e-4) & ~border[corners]).any(dim=1)
            found.append(tuple(value[told] for value in (face, row, corners, weights, normal, share)))
        return found


def _squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(B, n, m) mm² between points (B, n, 3) and (B, m, 3): one product, seen from their middle to keep it exact."""
    middle = a.mean(dim=1, keepdim=True)
    a, b = a - middle, b - middle
    one_a, one_b = torch.ones_like(a[..., :1]), torch.ones_like(b[..., :1])
    left = torch.cat((-2 * a, a.square().sum(dim=-1, keepdim=True), one_a), dim=-1)
    return left @ torch.cat((b, one_b, b.square().sum(dim=-1, keepdim=True)), dim=-1).transpose(1, 2)


def _surface(tris: torch.Tensor, own: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A lip's triangles (F, 3), those at each of its n vertices (n, most), and which of ``count`` vertices bound it."""
    tris = tris[torch.isin(tris, own).all(dim=1)]
    rows = [(tris == vertex).any(dim=1).nonzero()[:, 0] for vertex in own]
    most = max(len(row) for row in rows)
    turns = torch.arange(most, device=tris.device)
    at = torch.stack([row[turns % len(row)] if len(row) else torch.zeros_like(turns) for row in rows])
    edges = torch.cat((tris[:, [0, 1]], tris[:, [1, 2]], tris[:, [2, 0]])).sort(dim=1).values
    pairs, times = edges.unique(dim=0, return_counts=True)
    border = torch.zeros(count, dtype=torch.bool, device=tris.device)
    border[pairs[times == 1].flatten()] = True
    return tris, at, border


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
