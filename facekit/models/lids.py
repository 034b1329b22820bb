"""Lids stay outside of the eyeballs: what a regressed shape cannot promise to a few tenths of a millimetre."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from facekit.geometry.parts import among
from facekit.models.eyes import AHEAD, EYES, Eyeball
from facekit.template import Template

_SKIN = ("skin", "lids")
# Vertices that may cover an eye: so far from its centre at most, mm.
_REACH = 30.0
# Pose may take a lid so far round the eye (cosine from straight ahead) before nothing keeps it out.
_ASIDE = 0.2
# How far off pushed skin stays, mm, by how far off it lies on the template: the rims, which lie on the eye, may touch
# it, and what lies further out stays further out, so that a lid keeps a thickness.
_AT_REST = (-0.3, 0.3, 1.0, 4.0)
_KEPT = (-0.2, 0.02, 0.3, 0.9)

# Outer skin: at rest further from the eyeball than the rim, which lies on it; and how far off it stays, mm.
_OUTER, _CLEARANCE = 1.0, 0.3


class LidContact(nn.Module):
    """Pushes lids out of the eyeballs, each vertex along its ray from the eye's centre.

    For a template with eyes; a lid that touches nothing is not moved.

    Parameters
    ----------
    outer:
        Whether to keep the lids' outer skin off and leave their rims and what is behind them as they are, which is
        enough for expressions: their networks learned from lids that touch.
    """

    def __init__(self, template: Template, outer: bool = False) -> None:
        super().__init__()
        if not bool((template.parts == EYES).any()):
            raise ValueError("a template without eyes")
        self._eyeballs = nn.ModuleList([Eyeball(template, left) for left in (False, True)])
        for side, eye in enumerate(self.eyes):
            ray = template.verts - eye.centre(template.verts[None])[0]
            distance = ray.norm(dim=1)
            ahead = ray[:, 2] / distance
            skin = among(template.parts, _SKIN)
            gap = eye.gap(template.verts)
            least = _OUTER if outer else 2 * _AT_REST[0]
            lids = (skin & (distance < _REACH) & (ahead > AHEAD) & (gap > least)).nonzero()[:, 0]
            kept = torch.full_like(gap[lids], _CLEARANCE) if outer else _interpolated(gap[lids])
            self.register_buffer(f"lids_{side}", lids, persistent=False)
            self.register_buffer(f"kept_{side}", kept, persistent=False)

    @property
    def eyes(self) -> tuple[Eyeball, ...]:
        """The right and the left eyeball."""
        return tuple(cast(Eyeball, eye) for eye in self._eyeballs)

    def forward(self, verts: torch.Tensor, turns: torch.Tensor | None = None) -> torch.Tensor:
        """Vertices (B, V, 3) mm with the lids outside; differentiable.

        Parameters
        ----------
        turns:
            (B, 2, 3, 3) rotations by which the right and the left eye turn beyond what the vertices show; None for
            none. Corneas stand out where eyes look.
        """
        moved = verts
        for side, eye in enumerate(self.eyes):
            lids, kept = getattr(self, f"lids_{side}"), getattr(self, f"kept_{side}").to(verts)
            ray = verts.index_select(1, lids) - eye.centre(verts)
            distance = ray.norm(dim=-1).clamp_min(1e-6)
            ahead = ray[..., 2] / distance
            axis = eye.axis(verts)[..., None]
            axial = (ray @ (axis if turns is None else turns[:, side] @ axis))[..., 0] / distance
            wall = (eye.radius(axial) + kept) * eye.scale(verts)
            faces_it = ((ahead - _ASIDE) / (AHEAD - _ASIDE)).clamp(0, 1)
            push = (wall - distance).clamp_min(0) * faces_it
            moved = moved.index_add(1, lids, ray * (push / distance)[..., None])
        return moved


def _interpolated(gap: torch.Tensor) -> torch.Tensor:
    """Return the distance that each vertex keeps, given its distance on the template (V,)."""
    kept = torch.full_like(gap, _KEPT[0])
    for k in range(len(_AT_REST) - 1):
        share = ((gap - _AT_REST[k]) / (_AT_REST[k + 1] - _AT_REST[k])).clamp(0, 1)
        kept = kept + share * (_KEPT[k + 1] - _KEPT[k])
    return torch.minimum(kept, gap - 1e-3).clamp_min(_KEPT[0])  # the template is left as it is, but for corners in it
