"""Grooming: how people wear a hair style and a beard, and the brows that they have.

Two people with the same style do not have the same hair: one's is fuller or higher, another's shorter, and no two lie
alike. How is chosen by texture noise, as brows are; the styles themselves are as they were drawn for a person out of a
photograph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facekit.geometry.charts import bounded, step
from facekit.models.brows import SHAPING, noise_axes
from facekit.models.facial_hair import Brows

#: Distance from the head, mm, from which on hair counts as no further.
_FAR = 30.0
#: Place in mm before the head's middle over which a fringe begins, and the share of its distance from the forehead that
#: is everyone's.
_FRINGE, _KEPT = (50.0, 85.0), 0.7
#: Standard deviations of how much fuller hair is, and how much higher at the crown, in shares of its distance from the
#: head, and the least of both; of how much shorter it hangs, in shares of its length, and the least and the most.
_FULLER, _HIGHER, _LEAST = 0.25, 0.15, (-0.20, -0.12)
_SHORTER, _CUT = 0.18, (-0.06, 0.30)
#: Waves of the way hair lies: their number, lengths in mm, and amplitude in shares of the distance from the head; share
#: of it that stays where hair lies on the head, and heights in mm between which it begins to hang.
_WAVES, _LONG, _SWAY, _LYING, _LOOSE = 6, (70.0, 150.0), 0.10, 0.25, (-30.0, 40.0)
#: Heights in mm over which the crown begins, and from which on down hair hangs.
_CROWN, _HANGS = (40.0, 100.0), -30.0
#: Standard deviation of the logarithm of a beard's length; least share of tufts that it has.
_BEARD, _SPARSE = 0.33, 0.55
#: Bound of all these, in standard deviations; seeds of the axes in noise and of the waves.
_BOUND, _SEED, _SEA = 2.0, 41, 42
#: Number of ways in which hair differs.
WAYS = 3 + _WAVES


@dataclass(frozen=True)
class Grooming:
    """Hair, beards and brows as B people wear them.

    Parameters
    ----------
    brows:
        Their brows.
    cut:
        (B, :data:`WAYS`) float32: amounts of :func:`ways`; 0 for hair as it was drawn.
    length, density:
        (B,) float32: factor on a beard's length, and share of its tufts that grow.
    """

    brows: Brows
    cut: Tensor
    length: Tensor
    density: Tensor

    def __getitem__(self, index: Tensor | slice) -> Grooming:
        return Grooming(self.brows[index], self.cut[index], self.length[index], self.density[index])

    @classmethod
    def of(cls, brows: Brows, texture_noise: Tensor) -> Grooming:
        """Return the grooming of people with codes (B, 128) and these brows."""
        axes = noise_axes(WAYS + 2, _SEED).to(texture_noise)
        draws = bounded(texture_noise[:, SHAPING] @ axes, _BOUND)
        fuller, higher, shorter, long, dense = draws[:, [0, 1, 2, WAYS, WAYS + 1]].unbind(1)
        amounts = (
            (_FULLER * fuller).clamp_min(_LEAST[0]),
            (_HIGHER * higher).clamp_min(_LEAST[1]),
            (_SHORTER * shorter).clamp(*_CUT),
        )
        density = _SPARSE + (1 - _SPARSE) * torch.special.ndtr(dense)
        cut = torch.cat((torch.stack(amounts, 1), draws[:, 3:WAYS]), 1)
        return cls(brows, cut, torch.exp(_BEARD * long), density)

    @classmethod
    def plain(cls, brows: Brows) -> Grooming:
        """Return these brows, with hair and beards as they were drawn."""
        count, like = len(brows.rows), brows.rows
        return cls(brows, like.new_zeros(count, WAYS), like.new_ones(count), like.new_ones(count))


def ways(hair: Tensor, foot: Tensor) -> Tensor:
    """Return the ways in which hair (N, 3) mm differs, displacements (:data:`WAYS`, N, 3) mm: fuller, higher at the
    crown, shorter below the chin, and waves of the way it lies; ``foot`` (N, 3) is the head below it.
    """
    away = hair - foot
    free = (1 - _KEPT * step(hair[:, 2], *_FRINGE)) * away.norm(dim=1).clamp_max(_FAR)
    away = free[:, None] * F.normalize(away, dim=1)
    crown = step(hair[:, 1], *_CROWN)[:, None]
    shorter = torch.zeros_like(hair)
    shorter[:, 1] = (_HANGS - hair[:, 1]).clamp_min(0)
    random = torch.Generator().manual_seed(_SEA)
    toward = F.normalize(torch.randn(_WAVES, 3, generator=random), dim=1)
    long = _LONG[0] + (_LONG[1] - _LONG[0]) * torch.rand(_WAVES, 1, generator=random)
    phase, sway = 2 * math.pi * torch.rand(_WAVES, 1, generator=random), torch.randn(_WAVES, 3, generator=random)
    waves = torch.sin(2 * math.pi * (toward / long).to(hair) @ hair.t() + phase.to(hair))
    loose = 1 - (1 - _LYING) * step(hair[:, 1], *_LOOSE)
    swayed = (_SWAY * free * loose * waves)[..., None] * sway.to(hair)[:, None]
    return torch.cat((torch.stack((away, away * crown, shorter)), swayed))
