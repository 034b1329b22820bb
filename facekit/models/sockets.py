"""Sockets of the eyes: lined by the conjunctiva, which lies on the eyeball from the lids on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import nn

from facekit.models.eyes import Eyeball
from facekit.template import Template

#: Depth under the eyeball's surface at which sockets lie at most, mm.
_UNDER = 0.3


class Sockets(nn.Module):
    """Draws the sockets' walls to the eyeballs where these are too small for the lids: black gaps were in the corners.

    Parameters
    ----------
    template:
        Template with eyes and landmarks.
    """

    walls: torch.Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        if template.openings is None:
            raise ValueError("a template without eyes")
        self._eyeballs = nn.ModuleList([Eyeball(template, left) for left in (False, True)])
        self.register_buffer("walls", template.openings.sockets, persistent=False)

    def forward(self, neutral: torch.Tensor) -> torch.Tensor:
        """Return displacements (B, V, 3) mm for neutral heads (B, V, 3) mm; differentiable."""
        moved = torch.zeros_like(neutral)
        for eye, wall in zip(cast(Iterable[Eyeball], self._eyeballs), self.walls, strict=True):
            ray = neutral.index_select(1, wall) - eye.centre(neutral)
            distance = ray.norm(dim=2)
            ahead = (ray * eye.axis(neutral)[:, None]).sum(dim=2) / distance
            most = eye.scale(neutral) * eye.radius(ahead) - _UNDER
            moved = moved.index_add(1, wall, ((most / distance).clamp_max(1) - 1)[..., None] * ray)
        return moved
