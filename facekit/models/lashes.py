"""Lashes, attached to the margins of the lids."""

from __future__ import annotations

import torch

from facekit.conventions import PARTS
from facekit.geometry.connected import components
from facekit.models.eyes import AHEAD, Eyeball
from facekit.models.ties import Ties
from facekit.template import Template

#: Largest distance of a lid's margin from the eyeball, mm; number of its vertices that each lash vertex is tied to.
_RIM, _ROOTS = 1.6, 6
#: Length relative to the sets' own, which are combed and curled up.
_LENGTH = 0.72
#: Softness of these ties, mm, and factor on distances across the lid.
_SOFT, _ACROSS = 1.0, 0.4


class Lashes:
    """One set of lashes on a template.

    Parameters
    ----------
    verts, faces:
        (N, 3) mm on the mean head, and (F, 3) int64.
    template:
        Template that they were made for.
    eyes:
        Right and left eyeball.
    """

    def __init__(self, verts: torch.Tensor, faces: torch.Tensor, template: Template, eyes: list[Eyeball]) -> None:
        self.verts, self.template, self._eyes = verts, template, eyes
        self._left = verts[:, 0] > 0
        #: Ties to the margins of the lids.
        self.ties = self._rooted(faces)
        self._arm = _LENGTH * (verts - self.ties(template.verts[None]))

    def __call__(self, rest: torch.Tensor, verts: torch.Tensor) -> torch.Tensor:
        """Rotate lashes about the eyes' centres with the margins of their lids.

        Parameters
        ----------
        rest, verts:
            (B or 1, V, 3) and (B, V, 3) mm: neutral and posed heads.

        Returns
        -------
        torch.Tensor
            (B, N, 3) mm.
        """
        left = self._left
        root, now = self.ties(rest), self.ties(verts)
        placed = root + self._arm
        centre, centre_now = (
            torch.where(left[:, None], self._eyes[1].centre(v), self._eyes[0].centre(v)) for v in (rest, verts)
        )
        a, b = root - centre, now - centre_now
        size = b.norm(dim=-1, keepdim=True) / a.norm(dim=-1, keepdim=True)
        a, b = (torch.nn.functional.normalize(t, dim=-1) for t in (a, b))
        # Rodrigues' rotation formula from a to b, without computing the angle.
        axis, cos = torch.linalg.cross(a.expand_as(b), b), (a * b).sum(-1, keepdim=True)
        arm = placed - centre
        arm = arm.expand_as(axis)
        turned = arm * cos + torch.linalg.cross(axis, arm)
        turned = turned + axis * ((axis * arm).sum(-1, keepdim=True) / (1 + cos).clamp_min(1e-3))
        return centre_now + turned * size

    def _rooted(self, faces: torch.Tensor) -> Ties:
        """Tie each vertex to the nearest vertices of its lid's margin."""
        verts, parts, lash, left = self.template.verts, self.template.parts, self.verts, self._left
        lids = parts == PARTS.index("lids")
        strip = components(faces, len(lash))
        index = torch.zeros(len(lash), _ROOTS, dtype=torch.int64, device=lash.device)
        share = lash.new_zeros(len(lash), _ROOTS)
        for side, eye in enumerate(self._eyes):
            ray = verts - eye.centre(verts[None])[0]
            gap = eye.gap(verts)
            rim = lids & ((verts[:, 0] > 0) == bool(side)) & (gap.abs() < _RIM) & (ray[:, 2] > AHEAD * ray.norm(dim=1))
            corners = verts[self.template.landmarks[[42, 45] if side else [36, 39]]]
            slope = (corners[1, 1] - corners[0, 1]) / (corners[1, 0] - corners[0, 0])

            def height(points: torch.Tensor, corners: torch.Tensor = corners, slope: torch.Tensor = slope):
                return points[:, 1] - corners[0, 1] - slope * (points[:, 0] - corners[0, 0])

            for number in strip[left == bool(side)].unique():
                mine = (strip == number).nonzero()[:, 0]
                upper = bool(height(lash[mine]).mean() > 0)
                place = (rim & ((height(verts) > 0.3) if upper else (height(verts) < -0.3))).nonzero()[:, 0]
                # Across the lid vertices are closer together than along it.
                tied = Ties.nearest(lash[mine], verts, place, _ROOTS, _SOFT, _ACROSS)
                index[mine], share[mine] = tied.index, tied.share
        return Ties(index, share)
