"""Lids stay outside of the eyeballs: what a regressed shape cannot promise to a few tenths of a millimetre."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.geometry.openings import Openings
from facekit.models.eyes import AHEAD, EYES, Eyeball
from facekit.template import Template

_SKIN = (PARTS.index("skin"), PARTS.index("lids"))
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

# Share of the mean head's opening by which upper lids rise over those of the network, and distance from their rim over
# which the skin goes along, mm: in photographs eyes are open by 0.29 of their width, the network's by 0.26.
_RAISED, _FOLLOWS = 0.09, 8.0


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
            skin = torch.isin(template.parts, template.parts.new_tensor(_SKIN))
            gap = distance - eye.radius(ahead)
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
            (B, 2, 3, 3) rotations of the right and the left eye, whose corneas stand out where they look; None for
            eyes that look ahead.
        """
        moved = verts
        for side, eye in enumerate(self.eyes):
            lids, kept = getattr(self, f"lids_{side}"), getattr(self, f"kept_{side}").to(verts)
            ray = verts.index_select(1, lids) - eye.centre(verts)
            distance = ray.norm(dim=-1).clamp_min(1e-6)
            ahead = ray[..., 2] / distance
            # The eyeball's profile is told against the axis that it turns with.
            axial = ahead if turns is None else (ray @ turns[:, side])[..., 2] / distance
            wall = (eye.radius(axial) + kept) * eye.scale(verts)
            faces_it = ((ahead - _ASIDE) / (AHEAD - _ASIDE)).clamp(0, 1)
            push = (wall - distance).clamp_min(0) * faces_it
            moved = moved.index_add(1, lids, ray * (push / distance)[..., None])
        return moved


def raised_lids(template: Template) -> torch.Tensor:
    """Return the displacement (V, 3) mm that opens resting eyes: upper lids turn about the eyeballs of the mean head.

    Each place of the rim turns by a share of the angle to the lower rim, so that the corners stay.
    """
    verts = template.verts
    moved = torch.zeros_like(verts)
    openings = Openings.of(verts, template.faces, template.parts, template.landmarks)
    if openings is None:
        return moved
    skin = torch.isin(template.parts, template.parts.new_tensor(_SKIN + (PARTS.index("mouth"),)))
    for side in (0, 1):
        centre = Eyeball(template, bool(side)).centre(verts[None])[0]
        upper, lower = (rims[side].unique() for rims in (openings.upper, openings.lower))
        ray, rise = verts - centre, torch.atan2(verts[:, 1] - centre[:, 1], verts[:, 2] - centre[:, 2])
        gap = rise[upper] - rise[lower][(verts[upper, :1] - verts[lower, 0]).abs().argmin(dim=1)]
        away, nearest = torch.cdist(verts, verts[upper]).min(dim=1)
        # The lower lid stays.
        above = rise >= rise[upper][nearest] - gap[nearest].clamp_min(0) / 2
        share = (0.5 + 0.5 * torch.cos(math.pi * (away / _FOLLOWS).clamp_max(1.0))) * (skin & above)
        angle = _RAISED * gap[nearest].clamp_min(0) * share
        y, z = ray[:, 1], ray[:, 2]
        cos, sin = angle.cos(), angle.sin()
        moved = moved + torch.stack((torch.zeros_like(y), y * cos + z * sin - y, z * cos - y * sin - z), dim=1)
    return moved


def _interpolated(gap: torch.Tensor) -> torch.Tensor:
    """Return the distance that each vertex keeps, given its distance on the template (V,)."""
    kept = torch.full_like(gap, _KEPT[0])
    for k in range(len(_AT_REST) - 1):
        share = ((gap - _AT_REST[k]) / (_AT_REST[k + 1] - _AT_REST[k])).clamp(0, 1)
        kept = kept + share * (_KEPT[k + 1] - _KEPT[k])
    return torch.minimum(kept, gap - 1e-3).clamp_min(_KEPT[0])  # the template is left as it is, but for corners in it
