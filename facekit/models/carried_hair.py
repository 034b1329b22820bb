"""Deformation of scalp hair: it follows the parts of the head that expressions do not move, and avoids the skin."""

from __future__ import annotations

import torch

from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.geometry.nearest import Cloud
from facekit.geometry.normals import dot, vertex_normals
from facekit.geometry.parts import among
from facekit.models.grooming import ways
from facekit.models.ties import Ties
from facekit.template import Template

#: Number of anchors, head vertices that expressions do not move; number of anchors per hair vertex; softness of their
#: weights, mm.
_ANCHORS, _NEAREST, _SOFT = 420, 20, 15.0
#: Distance from the skin, mm, within which hair is checked for collisions; its least height above the skin, mm; number
#: of candidate skin vertices, and of iterations.
_CLOSE, _OFF, _UNDER, _ROUNDS = 26.0, 2.0, 10, 4
#: Anchors on the skin lie this far above the brows, or behind this z and above this y; all in mm.
_ABOVE_BROWS, _BACK, _BELOW = 12.0, 8.0, -25.0


class Ground:
    """A template as hair needs it, for all styles.

    Parameters
    ----------
    template:
        Template that the styles were made for.
    """

    def __init__(self, template: Template) -> None:
        parts = template.parts
        skin = among(parts, ("skin", "back_of_head", "neck", "lids"))
        self.template, self._skin, self._anchors = template, skin.nonzero()[:, 0], still_vertices(template)
        self._cloud = Cloud(template.verts[self._skin])

    def ties(self, hair: torch.Tensor) -> Ties:
        """Tie hair (N, 3) mm on the mean head to the anchors."""
        return Ties.nearest(hair, self.template.verts, self._anchors, _NEAREST, _SOFT)

    def under(self, hair: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return indices (n,) of hair vertices near the skin, and the k nearest skin vertices (n, k) of each."""
        near, index = self._cloud.near(hair, _UNDER, _CLOSE)
        return near, self._skin[index]


class Carried:
    """One hair style on a template.

    Parameters
    ----------
    hair:
        (N, 3) mm on the mean head.
    ground:
        The template.
    """

    def __init__(self, hair: torch.Tensor, ground: Ground) -> None:
        template = ground.template
        self.verts, self.template = hair, template
        #: Ties to the anchors.
        self.ties, (self._near, under) = ground.ties(hair), ground.under(hair)
        self._ways = ways(hair, self.ties(template.verts[None])[0]).flatten(1)
        # The skin under hair: its vertices, and the triangles that their normals need.
        self._skin, self._under = under.unique(return_inverse=True)
        wanted = torch.zeros(len(template.verts), dtype=torch.bool, device=hair.device).index_fill_(0, self._skin, True)
        around = template.faces[wanted[template.faces].any(1)]
        self._around, corners = torch.cat((self._skin, around.flatten())).unique(return_inverse=True)
        self._places, self._faces = corners[: len(self._skin)], corners[len(self._skin) :].view(-1, 3)

    def __call__(self, verts: torch.Tensor, cut: torch.Tensor | None = None) -> torch.Tensor:
        """Deform the hair for heads (B, V, 3) mm: move it with its anchors, then push it out of the skin.

        ``cut`` (B or 1, :data:`facekit.models.grooming.WAYS`) is how people wear it. Returns (B, N, 3) mm.
        """
        moved = self.verts + self.ties(verts - self.template.verts)
        if cut is not None:
            moved = moved + (cut @ self._ways).unflatten(1, (-1, 3))
        normals = vertex_normals(verts.index_select(1, self._around), self._faces).index_select(1, self._places)
        # Rows of one coordinate each, for which plain torch is fast: of skin vertices and their normals (B, n), and of
        # hair near the skin (B, N).
        skin, out = ([*t.unbind(-1)] for t in (verts.index_select(1, self._skin), normals))
        near = [*moved.index_select(1, self._near).unbind(-1)]
        candidates = [row[:, self._under] for row in skin]
        for _ in range(_ROUNDS):
            x, y, z = (own[..., None] - row for own, row in zip(near, candidates, strict=True))
            nearest = (x * x + y * y + z * z).argmin(2, keepdim=True)
            vertex = self._under.expand(len(verts), -1, -1).gather(2, nearest)[..., 0]
            normal = [row.gather(1, vertex) for row in out]
            away = [own - row.gather(1, vertex) for own, row in zip(near, skin, strict=True)]
            push = (_OFF - dot(away, normal)).clamp_min(0)
            near = [own + push * row for own, row in zip(near, normal, strict=True)]
        return moved.index_copy(1, self._near, torch.stack(near, -1))


def still_vertices(template: Template) -> torch.Tensor:
    """Return the anchors: evenly spread head vertices that expressions do not move, (n,) int64."""
    verts, parts = template.verts, template.parts
    brows = verts[template.landmarks[LANDMARK_GROUPS["brows"]]][:, 1].amax()
    skin = parts == PARTS.index("skin")
    high = skin & (verts[:, 1] > brows + _ABOVE_BROWS)
    back = skin & (verts[:, 2] < _BACK) & (verts[:, 1] > _BELOW)
    rest = among(parts, ("back_of_head", "neck"))
    return _spread(verts, (high | back | rest).nonzero()[:, 0], _ANCHORS)


def _spread(points: torch.Tensor, chosen: torch.Tensor, count: int) -> torch.Tensor:
    """Select ``count`` of the chosen points by farthest-point sampling (Gonzalez 1985)."""
    some = points[chosen]
    picked, distance = [0], (some - some[0]).square().sum(1)
    for _ in range(min(count, len(some)) - 1):
        picked.append(int(distance.argmax()))
        distance = torch.minimum(distance, (some - some[picked[-1]]).square().sum(1))
    return chosen[torch.tensor(picked, device=chosen.device)]
