"""Lids at rest: eyes as open as in photographs, upper lids clear of the pupils, lower ones at the iris.

The networks' eyes are about as open on average, but lids lie anywhere on the iris, from half across the pupil to well
above it, as does the eyeball below them.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from facekit.geometry.charts import step
from facekit.geometry.parts import among
from facekit.models.blendshapes import Blendshapes
from facekit.models.eyes import Eyeball
from facekit.template import Template

_LIDS = ("skin", "lids", "mouth")
#: Heights in mm, on an eyeball of the mean size, of the upper lid over the pupil's centre and of the lower lid below:
#: the networks' median over people, where they shall rest in the median, and the share of a person's difference that
#: is kept. Pupils end at 2 mm and irises at 6.2.
_FOUND, _RESTS, _KEPT = (2.1, 5.7), (2.6, 5.7), (0.45, 0.45)
#: Height in mm over the pupil's centre that upper lids have at least.
_LEAST = 1.6
#: Lids move by no more than this, mm.
_MOST = 3.0
#: Distance from the rim over which skin goes along, mm, and deviation of what counts as the middle of an eye.
_FOLLOWS, _MIDDLE = 9.0, 2.0
#: Share of the open eye up to which an expression has narrowed it by itself, and from which on it is at rest; and share
#: of the opening by which upper lids make room in half closed eyes: smiling people's are hardly narrower.
_NARROWED, _ROOM = (0.4, 1.0), 0.12

#: Rise of the upper lid by an expression itself, mm, from which on the eye widens further, and from which on it is as
#: open as the networks have it.
_RAISED = (0.4, 1.8)


def rims(shapes: Blendshapes, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vertices (n,) of the upper and of the lower lid's rim of a side, 0 right and 1 left; none for a rig
    whose blinks bring nothing together."""
    _, column, weight = shapes.blink(side)
    return column[weight < 0].unique(), column[weight > 0].unique()


class RestingLids(nn.Module):
    """Turns lids about the eyeballs, to where they rest in people.

    Differences between people are kept in part. Each place of a rim turns by a share of the angle to the other rim, so
    that the corners stay. Where an expression narrows the eyes, the turn gets less, and closed ones are left alone;
    where it raises upper lids, they rise further, until the eye is as open as the networks have it.

    Parameters
    ----------
    template:
        Template with eyes.
    shapes:
        The rig on this template, which tells the rims: they are what a blink brings together.
    """

    def __init__(self, template: Template, shapes: Blendshapes) -> None:
        super().__init__()
        verts = template.verts
        self._eyeballs = nn.ModuleList([Eyeball(template, left) for left in (False, True)])
        free = among(template.parts, _LIDS)
        for side, eye in enumerate(self.eyes):
            centre = eye.centre(verts[None])[0, 0]
            both = tuple(rim.to(verts.device) for rim in rims(shapes, side))
            away = torch.stack([torch.cdist(verts, verts[rim]).amin(dim=1) for rim in both])
            for k, (rim, other) in enumerate((both, both[::-1])):
                across = (verts[rim, :1] - verts[other, 0]).abs().argmin(dim=1)
                moves = (free & (away[k] < _FOLLOWS) & (away[k] <= away[1 - k])).nonzero()[:, 0]
                nearest = torch.cdist(verts[moves], verts[rim]).argmin(dim=1)
                middle = torch.exp(-0.5 * ((verts[rim, 0] - centre[0]) / _MIDDLE).square())
                values = {
                    "rim": rim,
                    "other": other[across],
                    "middle": middle / middle.sum(),
                    "moves": moves,
                    "nearest": nearest,
                    "share": 0.5 + 0.5 * torch.cos(math.pi * away[k][moves] / _FOLLOWS),
                }
                for name, value in values.items():
                    self.register_buffer(f"{name}_{side}_{k}", value, persistent=False)

    @property
    def eyes(self) -> tuple[Eyeball, ...]:
        """The right and the left eyeball."""
        return tuple(cast(Eyeball, eye) for eye in self._eyeballs)

    def forward(self, neutral: torch.Tensor, posed: torch.Tensor, wider: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``posed`` with the lids of ``neutral`` at rest, vertices (B, V, 3) mm of the networks' faces with an
        expression and without; differentiable. ``wider`` (B, 2) mm is how much further upper and lower lids open.
        """
        for side, eye in enumerate(self.eyes):
            rest, now, scale = self.heights(neutral, side), self.heights(posed, side), eye.scale(neutral)
            found, rests, kept = (rest.new_tensor(values) for values in (_FOUND, _RESTS, _KEPT))
            wanted = rests + kept * (rest / scale - found)
            wanted = wanted if wider is None else wanted + wider
            wanted = wanted.clamp_min(rest.new_tensor((_LEAST, 0.0))) * scale
            high = rest.sum(dim=1, keepdim=True)
            turned = (rest - wanted).clamp(-_MOST, _MOST) / high
            open_by = (now.sum(dim=1, keepdim=True) / high).clamp(0, 1)
            room = 4 * open_by * (1 - open_by) * rest.new_tensor((_ROOM, 0.0))
            # Eyes that an expression widens get as wide as the networks have them: by their upper lids.
            wide = step((now - rest)[:, :1] / scale, *_RAISED) * rest.new_tensor((1.0, 0.0))
            turned = turned - wide * turned.clamp_min(0).sum(dim=1, keepdim=True)
            turned = turned * step(open_by, *_NARROWED) - room
            moved = posed
            for k in (0, 1):
                moved = moved.index_add(1, self._of("moves", side, k), self._turn(posed, turned[:, k], side, k))
            posed = moved
        return posed

    def heights(self, verts: torch.Tensor, side: int) -> torch.Tensor:
        """Return how far an eye's upper rim is above the pupil's centre, and the lower one below it, (B, 2) mm."""
        pupil = verts[:, self.eyes[side].front, 1]
        upper, lower = (verts[:, self._of("rim", side, k), 1] @ self._of("middle", side, k).to(verts) for k in (0, 1))
        return torch.stack((upper - pupil, pupil - lower), dim=1)

    def _of(self, name: str, side: int, k: int) -> torch.Tensor:
        return getattr(self, f"{name}_{side}_{k}")

    def _turn(self, verts: torch.Tensor, turned: torch.Tensor, side: int, k: int) -> torch.Tensor:
        """Return displacements (B, n, 3) mm of a lid that turns by a share (B,) of the angle to the other."""
        eye = self.eyes[side]
        centre, share = eye.centre(verts), self._of("share", side, k).to(verts)

        def rise(name: str) -> torch.Tensor:
            ray = verts.index_select(1, self._of(name, side, k)) - centre
            return torch.atan2(ray[..., 1], ray[..., 2])

        # Rims that cross, at the corners, stay.
        gap = rise("other") - rise("rim")
        gap = gap.clamp_min(0) if k else gap.clamp_max(0)
        angle = turned[:, None] * gap[:, self._of("nearest", side, k)] * share
        ray = verts.index_select(1, self._of("moves", side, k)) - centre
        (x, y, z), cos, sin = ray.unbind(-1), angle.cos(), angle.sin()
        new = torch.stack((x, y * cos + z * sin, z * cos - y * sin), dim=-1)
        # What comes to lie on the cornea is lifted by it.
        distance, axis = ray.norm(dim=-1).clamp_min(1e-6), eye.axis(verts)[..., None]
        before, after = (eye.radius((value @ axis)[..., 0] / distance) for value in (ray, new))
        return new * (1 + share * (after - before) * eye.scale(verts) / distance)[..., None] - ray
