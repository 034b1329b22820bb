"""Lips touch and do not pass through each other: what sums of shapes cannot promise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.geometry.closest import closest_of
from facekit.geometry.connected import largest_two, on_border
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
# A vertex below a surface lies along the normal of its closest point; one beside a rim only seems to be below. No
# contact counts below the first cosine between the two, all from the second.
_STRAIGHT = (0.7, 0.9)
# Depth may grow by no more than this, mm, from one search to the next: more is no contact.
_DEEPER = 2.5
# The first rounds push whole patches, so that lips stay smooth, by more than the depth, since the mean over a patch is
# less than its middle; the last rounds push single vertices by half of what is left. Faces in which more than this is
# left, mm, get more rounds of either kind.
_ROUNDS, _SHARES, _STUCK, _MORE = (6, 2), (1.2, 0.5), 0.15, (24, 12)
# Contacts are searched anew in every second round.
_SEARCHED = 2
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
        seen = [getattr(self, f"deepest_{k}").to(verts).expand(len(verts), -1) for k in (0, 1)]
        for single in (False, True):
            verts, seen, left = self._rounds(verts, seen, _ROUNDS[single], single)
            if float(left.max()) < _TOUCH:
                break
            stuck = (left > _STUCK).nonzero()[:, 0]
            if len(stuck):
                found, own, _ = self._rounds(verts[stuck], [depth[stuck] for depth in seen], _MORE[single], single)
                verts = verts.index_copy(0, stuck, found)
                seen = [depth.index_copy(0, stuck, deep) for depth, deep in zip(seen, own, strict=True)]
        return verts

    def _rounds(
        self, verts: torch.Tensor, seen: list[torch.Tensor], count: int, single: bool
    ) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """Return vertices (B, V, 3) after ``count`` rounds, depth limits, and the last round's longest push (B,).

        ``seen``: the largest depth that counts at each lip's n vertices, (B, n) mm.
        """
        touches: list[_Touch] = []
        left = verts.new_zeros(len(verts))
        for number in range(count):
            places = verts.index_select(1, self.used)
            if number % _SEARCHED == 0:  # in between, what touches stays where it is on the other's surface
                with torch.no_grad():
                    touches = self._touching(places, seen)
                    pairs = zip(touches, seen, strict=True)
                    seen = [touch.per_vertex(touch.depth(places), depth) + _DEEPER for touch, depth in pairs]
            pushes = [_SHARES[single] * touch.push(places, depth) for touch, depth in zip(touches, seen, strict=True)]
            left = torch.stack([push.detach().norm(dim=2).amax(dim=1) for push in pushes]).amax(dim=0)
            if float(left.max()) < _TOUCH:
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
        return verts, seen, left

    def _touching(self, places: torch.Tensor, seen: list[torch.Tensor]) -> list[_Touch]:
        """Find vertices of each lip inside the other, no deeper than ``seen``, at the lips' positions (B, L, 3)."""
        normals = vertex_normals(places, self.tris)
        local = [getattr(self, f"local_{k}") for k in (0, 1)]
        lips, outward = ([field.index_select(1, own) for own in local] for field in (places, normals))
        apart = torch.cdist(lips[0], lips[1])
        found = []
        for k, distances in enumerate((apart, apart.transpose(1, 2))):
            mine, theirs, facing = lips[k], lips[1 - k], outward[1 - k]
            distance, first = distances.min(dim=2)
            face, row = (distance < _DEEPEST).nonzero().unbind(dim=1)
            near = first[face, row]
            height = ((mine[face, row] - theirs[face, near]) * facing[face, near]).sum(dim=1)
            face, row = face[height < _OUTSIDE], row[height < _OUTSIDE]
            nearest = distances[face, row].topk(_NEAREST, dim=1, largest=False).indices
            at_them = facing[face[:, None], nearest]
            height = ((mine[face, row][:, None] - theirs[face[:, None], nearest]) * at_them).sum(dim=2)
            cosine = -(outward[k][face, row][:, None] * at_them).sum(dim=2)
            fade = getattr(self, f"fade_{k}").to(places)
            may = (height.amin(dim=1) < -_SOFT) & (cosine.amax(dim=1) > _FACING[0]) & (fade > 0)[row]
            face, row, nearest = face[may], row[may], nearest[may]
            surface, at, border = (getattr(self, f"{name}_{1 - k}") for name in ("surface", "at", "border"))
            tris = at[nearest].flatten(1)
            place, weights, best = closest_of(mine[face, row], places[face[:, None, None], surface[tris]])
            corners = surface[tris.gather(1, best[:, None])[:, 0]]
            normal = (normals[face[:, None], corners] * weights[..., None]).sum(dim=1)
            normal = torch.nn.functional.normalize(normal, dim=1)
            # Where lips join, behind the mouth's corners, their surfaces look the same way: that is no contact.
            cosine = -(outward[k][face, row] * normal).sum(dim=1)
            into = place - mine[face, row]
            depth = (into * normal).sum(dim=1)
            straight = depth / into.norm(dim=1).clamp_min(1e-6)
            share = fade[row] * _between(cosine, *_FACING) * _between(straight, *_STRAIGHT)
            # Beyond the border of a lip's surface nothing is told.
            told = ((weights > 1e-4) & ~border[corners]).any(dim=1) & (depth < seen[k][face, row])
            own = (value[told] for value in (face, row, corners, weights, normal, share))
            found.append(_Touch(local[k], *own))
        return found


class _Touch(NamedTuple):
    """Contacts of N vertices of a lip, of several faces: the face and the row among the lip's n vertices, both (N,).

    The closest point on the other lip has corners and weights (N, 3) and a normal (N, 3); ``share`` (N,) is how much
    of the contact counts.
    """

    own: torch.Tensor
    face: torch.Tensor
    row: torch.Tensor
    corners: torch.Tensor
    weights: torch.Tensor
    normal: torch.Tensor
    share: torch.Tensor

    def depth(self, places: torch.Tensor) -> torch.Tensor:
        """Return depths (N,) mm under the other lip's surface, at the lips' positions (B, L, 3)."""
        place = (places[self.face[:, None], self.corners] * self.weights[..., None]).sum(dim=1)
        return ((place - places[self.face, self.own[self.row]]) * self.normal).sum(dim=1)

    def push(self, places: torch.Tensor, deepest: torch.Tensor) -> torch.Tensor:
        """Return displacements (B, n, 3) out of the other lip, of vertices no deeper than ``deepest`` (B, n) mm."""
        depth = self.depth(places)
        depth = torch.where(depth < deepest[self.face, self.row], depth - _SOFT, 0.0).clamp_min(0)
        return self.per_vertex(self.normal * (self.share * depth)[:, None], deepest)

    def per_vertex(self, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return values (N, ...) at each vertex, (B, n, ...) like ``like`` (B, n), 0 without contact."""
        none = like.new_zeros(*like.shape, *values.shape[1:])
        return none.index_put((self.face, self.row), values)


def _between(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return 0 for values up to ``low``, 1 from ``high`` on, linear in between."""
    return ((value - low) / (high - low)).clamp(0, 1)


def _surface(tris: torch.Tensor, own: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A lip's triangles (F, 3), those at each of its n vertices (n, most), and which of ``count`` vertices bound it."""
    tris = tris[torch.isin(tris, own).all(dim=1)]
    rows = [(tris == vertex).any(dim=1).nonzero()[:, 0] for vertex in own]
    most = max(len(row) for row in rows)
    turns = torch.arange(most, device=tris.device)
    at = torch.stack([row[turns % len(row)] if len(row) else torch.zeros_like(turns) for row in rows])
    return tris, at, on_border(tris, count)


def _halves(faces: torch.Tensor, mask: torch.Tensor, verts: torch.Tensor, lips: torch.Tensor) -> torch.Tensor:
    """(V,) 0 for one lip, 1 for the other, -1 elsewhere: the two parts of ``mask``, and what of ``lips`` is nearest."""
    halves = largest_two(faces, mask)
    rest = (lips & (halves < 0)).nonzero()[:, 0]
    known = (halves >= 0).nonzero()[:, 0]
    halves[rest] = halves[known[torch.cdist(verts[rest], verts[known]).argmin(dim=1)]]
    return halves
