"""Corners of the eyes, further apart than the networks have them.

The head model's eyes are a tenth narrower than people's, between whose corners lie 0.43 of the pupils' distance.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from facekit.geometry.charts import step
from facekit.geometry.parts import among
from facekit.models.eyes import Eyeball
from facekit.template import Template

_MOVES = ("skin", "lids", "mouth")
#: Angles by which the inner and the outer corners turn apart about the eyeball's centre, radians; how far the outer one
#: also moves away from the eyeball, which is too large to be followed there, mm; and the distance from the eyeball over
#: which skin moves on straight, mm.
_APART, _OFF, _STRAIGHT = (0.105, 0.115), 0.2, 1.5
#: Distances over which this ends, mm: aside of a corner, above and below it, and from the eyeball's centre.
_ASIDE, _HIGH, _AWAY = 11.0, (8.0, 18.0), (24.0, 32.0)


class EyeCorners(nn.Module):
    """Moves the corners of eyes apart, alike on both lids, so that they still meet in a blink.

    Parameters
    ----------
    template:
        Template with eyes and landmarks.
    """

    field: torch.Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.eye = Eyeball(template, left=False)
        moves = among(template.parts, _MOVES)
        field = sum((_apart(template, left) for left in (False, True)), torch.zeros_like(template.verts))
        self.register_buffer("field", field * moves[:, None], persistent=False)

    def forward(self, neutral: torch.Tensor) -> torch.Tensor:
        """Return displacements (B, V, 3) mm for neutral heads (B, V, 3) mm, in any of their expressions."""
        return self.eye.scale(neutral)[..., None] * self.field


def _apart(template: Template, left: bool) -> torch.Tensor:
    """Return the displacement (V, 3) mm of one eye's corners, along the eyeball where skin lies on it."""
    eye, verts = Eyeball(template, left), template.verts
    gap = eye.gap(verts).clamp_min(0)
    corners = verts[template.landmarks[[42, 45] if left else [39, 36]]]
    outward = (corners[1, 0] - corners[0, 0]).sign()
    ray = verts - eye.centre(verts[None])[0]
    distance = ray.norm(dim=1)
    near = 1 - step(distance, *_AWAY)
    total = torch.zeros_like(verts)
    for corner, angle, off, toward in zip(corners, _APART, (0.0, _OFF), (-outward, outward), strict=True):
        aside, above = (verts - corner)[:, :2].abs().unbind(1)
        share = near * (1 - step(above, *_HIGH)) * (0.5 + 0.5 * torch.cos(math.pi * (aside / _ASIDE).clamp_max(1)))
        angle = angle * toward * share
        x, _, z = ray.unbind(1)
        turned = torch.stack((x * angle.cos() + z * angle.sin(), ray[:, 1], z * angle.cos() - x * angle.sin()), 1) - ray
        turned[:, 2] *= 1 - gap / (gap + _STRAIGHT)
        total += turned + (off * share.square() / distance)[:, None] * ray
    return total
