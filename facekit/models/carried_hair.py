"""Deformation of scalp hair: it follows the parts of the head that expressions do not move, and avoids the skin."""

from __future__ import annotations

import torch

from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.geometry.normals import vertex_normals
from facekit.models.ties import Ties
from facekit.template import Template

#: Number of anchors, head vertices that expressions do not move; number of anchors per hair vertex; softness of their
#: weights, mm.
_ANCHORS, _NEAREST, _SOFT = 420, 20, 15.0
#: Distance from the skin, mm, within which hair is checked for collisions; its least height above the skin, mm; number
#: of candidate skin vertices, and of iterations.
_CLOSE, _OFF, _UNDER, _ROUNDS = 26.0, 2.0, 10, 4
# Search radius for the skin under hair, mm, and number of hair vertices per search.
_LOOKED, _CHUNK = 40.0, 128
#: Anchors on the skin lie this far above the brows, or behind this z and above this y; all in mm.
_ABOVE_BROWS, _BACK, _BELOW = 12.0, 8.0, -25.0


class Carried:
    """One hair style on a template.

    Parameters
    ----------
    hair:
        (N, 3) mm on the mean head.
    anchors:
        Result of :func:`still_vertices`.
    template:
        Template that it was made for.
    """

    def __init__(self, hair: torch.Tensor, anchors: torch.Tensor, template: Template) -> None:
        self.verts, self.template = hair, template
        #: Ties to the anchors.
        self.ties, self._near, self._under = self._tied(hair, anchors)

    def __call__(self, verts: torch.Tensor) -> torch.Tensor:
        """Deform the hair for heads (B, V, 3) mm: move it with its anchors, then push it out of the skin.

        Returns (B, N, 3) mm.
        """
        close, under = self._near, self._under
        moved = self.verts + self.ties(verts - self.template.verts)
        normals = vertex_normals(verts, self.template.faces)
        skin, out = verts[:, under], normals[:, under]
        near = moved[:, close]
        for _ in range(_ROUNDS):
            away = near[:, :, None] - skin
            nearest = away.square().sum(-1).argmin(2)[..., None, None].expand(-1, -1, 1, 3)
            normal = out.gather(2, nearest)[:, :, 0]
            height = (away.gather(2, nearest)[:, :, 0] * normal).sum(-1, keepdim=True)
            near = near + (_OFF - height).clamp_min(0) * normal
        moved[:, close] = near
        return moved

    def _tied(self, hair: torch.Tensor, anchors: torch.Tensor) -> tuple[Ties, torch.Tensor, torch.Tensor]:
        """Return ties to the anchors, indices (n,) of hair vertices near the skin, and the k nearest skin vertices
        (n, k) of each.
        """
        head = self.template.verts
        parts = self.template.parts
        skin = torch.isin(parts, parts.new_tensor([PARTS.index(n) for n in ("skin", "back_of_head", "neck", "lids")]))
        place = skin.nonzero()[:, 0]
        distances, under = [], []
        for some in hair.split(_CHUNK):
            low, high = some.amin(0) - _LOOKED, some.amax(0) + _LOOKED
            around = place[((head[place] > low) & (head[place] < high)).all(1)]
            if len(around) < _UNDER:
                around = place
            d, k = torch.cdist(some, head[around]).topk(_UNDER, largest=False)
            if bool((d[:, -1] > _LOOKED)[d[:, 0] < _CLOSE].any()):  # nearer vertices may lie outside of the box
                around = place
                d, k = torch.cdist(some, head[around]).topk(_UNDER, largest=False)
            distances.append(d[:, 0])
            under.append(around[k])
        close = torch.cat(distances) < _CLOSE
        return (
            Ties.nearest(hair, head, anchors, _NEAREST, _SOFT),
            close.nonzero()[:, 0],
            torch.cat(under)[close],
        )


def still_vertices(template: Template) -> torch.Tensor:
    """Return the anchors: evenly spread head vertices that expressions do not move, (n,) int64."""
    verts, parts = template.verts, template.parts
    brows = verts[template.landmarks[LANDMARK_GROUPS["brows"]]][:, 1].amax()
    skin = parts == PARTS.index("skin")
    high = skin & (verts[:, 1] > brows + _ABOVE_BROWS)
    back = skin & (verts[:, 2] < _BACK) & (verts[:, 1] > _BELOW)
    rest = torch.isin(parts, parts.new_tensor([PARTS.index("back_of_head"), PARTS.index("neck")]))
    return _spread(verts, (high | back | rest).nonzero()[:, 0], _ANCHORS)


def _spread(points: torch.Tensor, chosen: torch.Tensor, count: int) -> torch.Tensor:
    """Select ``count`` of the chosen points by farthest-point sampling (Gonzalez 1985)."""
    some = points[chosen]
    picked, distance = [0], (some - some[0]).square().sum(1)
    for _ in range(min(count, len(some)) - 1):
        picked.append(int(distance.argmax()))
        distance = torch.minimum(distance, (some - some[picked[-1]]).square().sum(1))
    return chosen[torch.tensor(picked, device=chosen.device)]
