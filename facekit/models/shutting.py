"""Lids that shut: what the expression eye_closed needs beyond what its network regresses, and blinks do.

The network closes the lids of the person whom the codes tell, to a few tenths of a millimetre, which is a slit; and a
person out of a photograph is not whom the codes tell. The rig's blink matrices read off posed lids how far the upper
rim is from the lower one, and say how the lid moves for them to meet (:mod:`facekit.train.head.lids`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from facekit.geometry.charts import step
from facekit.models.blendshapes import Blendshapes

#: From this share of the closed eye on lids are sealed, wholly at 1; by what the upper lid then overlaps, mm.
_SETS_IN, _OVERLAP = 0.75, 0.45
#: Moves shorter than this, mm, are taken in part.
_SOFT = 0.15


def following(difference: torch.Tensor, shut: torch.Tensor, shapes: Blendshapes) -> torch.Tensor:
    """Displacements (B, V, 3) mm of lids that close by ``shut`` (B, 1) in [0, 1] on another person.

    ``difference`` (B, V, 3): that person's face at rest, less that of the person whose lids are known to close.
    """
    return sum((_read(difference, shapes, side) for side in (0, 1)), torch.zeros(())) * shut[..., None]


def sealed(verts: torch.Tensor, shut: torch.Tensor, shapes: Blendshapes) -> torch.Tensor:
    """Vertices (B, V, 3) mm with the rims of closed lids on each other; of right and left eyes that are ``shut`` (B, 2)
    by less than three quarters as they are. Differentiable."""
    for side in (0, 1):
        share = step(shut[:, side, None, None], _SETS_IN, 1.0)
        if not bool(share.any()):
            continue
        row, _, weight = shapes.blink(side)
        # Each row is a share of upper minus lower, whose absolute weights add up to twice that share.
        over = torch.zeros_like(verts[0, :, 1]).index_add(0, row, weight.abs() * (_OVERLAP / 2))
        move = _read(verts, shapes, side) - F.pad(over[:, None], (1, 1))
        # Down only: lids that overlap as it is would open again while the eye closes.
        move = move * (-move[..., 1:2] / _SOFT).clamp(0, 1)
        verts = verts + share * move
    return verts


def _read(points: torch.Tensor, shapes: Blendshapes, side: int) -> torch.Tensor:
    """Apply one side's matrix to points (B, V, 3). Returns the result in y and z."""
    row, column, weight = shapes.blink(side)
    moved = F.pad(points.index_select(1, column)[..., 1:] * weight[:, None], (1, 0))
    return torch.zeros_like(points).index_add(1, row, moved)
