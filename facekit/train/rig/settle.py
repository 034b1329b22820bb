"""Find the displacement closest to a given one without fold-overs and intersections."""

from __future__ import annotations

from collections.abc import Callable

import torch

from facekit.conventions import PARTS
from facekit.metrics.contact import flipped_triangles
from facekit.models.lids import LidContact
from facekit.models.lips import LipContact
from facekit.template import Template

_ROUNDS, _STEPS, _RATE = 6, 120, 0.06
#: Number of rings around a fold-over whose vertices may move.
_RINGS = 5
#: Target cosine between old and new normals of triangles that are turned back.
_COSINE = 0.12
#: Weights of deviating from the displacement, mm², and from its shape (differences between neighbours), and of
#: fold-overs.
_STAY, _SHAPE, _FOLD = 0.02, 1.0, 30.0


class Settler:
    """Remove fold-overs and contact from displacements of one topology.

    Parameters
    ----------
    template:
        The mean head, with eyes and lips.
    people:
        (K, V, 3) float32 mm: neutral faces to check for fold-overs; the mean head first.
    scaled:
        Function that scales the numbers of rounds and steps.
    """

    def __init__(self, template: Template, people: torch.Tensor, scaled: Callable[[int], int] = int) -> None:
        self.template, self.people = template, people
        self.rounds, self.steps = scaled(_ROUNDS), scaled(_STEPS)
        self.lips, self.lids = LipContact(template), LidContact(template)
        self.movable = (template.parts != PARTS.index("eyes")) & (template.parts != PARTS.index("teeth"))

    def flips(self, moved: torch.Tensor) -> torch.Tensor:
        """Return the triangles (K, F) bool that displacements (V, 3) or (K, V, 3) turn over on the people."""
        return flipped_triangles(self.template.faces, self.people, self.people + moved)

    def apart(self, verts: torch.Tensor, turns: torch.Tensor | None = None) -> torch.Tensor:
        """Return vertices (B, V, 3) after contact handling of lips and lids."""
        return self.lids(self.lips(verts), turns)

    def settle(
        self,
        field: torch.Tensor,
        extra: torch.Tensor | None = None,
        turns: torch.Tensor | None = None,
        allowed: int = 4,
    ) -> torch.Tensor:
        """Return the displacement (V, 3) in mm closest to ``field`` without fold-overs and intersections.

        Parameters
        ----------
        extra:
            (K, V, 3): person-specific displacement of the lids.
        turns:
            (1, 2, 3, 3): rotations of the eyes.
        allowed:
            Number of turned triangles allowed per person.
        """
        extra = torch.zeros_like(self.people) if extra is None else extra
        for _ in range(self.rounds):
            field = self.apart(self.template.verts + field[None], turns)[0] - self.template.verts
            over = self.flips(field + extra)
            if int(over.sum(dim=1).max()) <= allowed:
                break
            field = self._unfolded(field, extra, over.any(dim=0))
        return field

    def _unfolded(self, field: torch.Tensor, extra: torch.Tensor, over: torch.Tensor) -> torch.Tensor:
        """Turn the triangles ``over`` (F,) back with the smallest motion of the vertices around them."""
        faces = self.template.faces
        moving = torch.zeros(len(field), dtype=torch.bool)
        moving[faces[over].flatten()] = True
        for _ in range(_RINGS):
            moving[faces[moving[faces].any(dim=1)].flatten()] = True
        moving &= self.movable
        # Use a local numbering of the vertices nearby.
        faces = faces[moving[faces].any(dim=1)]
        near, faces = faces.unique(return_inverse=True)
        edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
        free = moving[near][:, None].float()
        rest = self.people[:, near]
        posed, before = rest + field[near] + extra[:, near], _normals(rest, faces)
        shift = torch.zeros(len(near), 3, requires_grad=True)
        optimiser = torch.optim.Adam([shift], lr=_RATE)
        for _ in range(self.steps):
            own = shift * free
            after = _normals(posed + own, faces)
            fold = (_COSINE - (before * after).sum(dim=-1)).clamp_min(0).square().sum() / len(rest)
            bend = (own[edges[:, 0]] - own[edges[:, 1]]).square().sum() / 2  # most edges occur twice
            loss = _FOLD * fold + _SHAPE * bend + _STAY * own.square().sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return field.index_add(0, near, (shift * free).detach())


def _normals(verts: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Return unit normals (K, F, 3)."""
    a, b, c = (verts[:, corner] for corner in faces.T)
    return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-6)
