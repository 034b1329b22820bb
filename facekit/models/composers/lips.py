"""Tone of lips, which the texture network has paler and more alike than people's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facekit.conventions import PARTS
from facekit.geometry.charts import bounded, mask_box
from facekit.geometry.uv import box_blurred

#: Logarithm of red, green and blue: mean, and changes per standard deviation of "lip_depth" and "lip_colour".
_MEAN, _DEPTH, _COLOUR = (0.04, -0.10, 0.12), (-0.20, -0.20, -0.20), (0.12, -0.04, 0.04)
#: Bound of traits in standard deviations; exponent of sRGB; blur of the border in texels.
_BOUND, _GAMMA, _FADE = 2.2, 2.2, 5


class LipTone(nn.Module):
    """Tints lips by identity, so that lips differ from cheeks as much as people's do, and from person to person.

    Parameters
    ----------
    parts:
        (S, S) uint8: part id per texel of the tile.
    """

    cover: Tensor

    def __init__(self, parts: Tensor) -> None:
        super().__init__()
        cover = (parts == PARTS.index("lips")).float()[None]
        for _ in range(2):
            cover = box_blurred(cover, _FADE)
        #: Rows and columns of the tile that change.
        self.box = mask_box(cover[0] > 0)
        self.register_buffer("cover", cover[(..., *self.box)].clone(), persistent=False)

    def painted(self, skin: Tensor, traits: dict[str, Tensor]) -> Tensor:
        """Return skin (B, 3, h, w) sRGB, in the box, with lips of people with these trait projections (B,) by name."""
        depth, colour = (bounded(traits[name], _BOUND) for name in ("lip_depth", "lip_colour"))
        mean, darker, redder = skin.new_tensor((_MEAN, _DEPTH, _COLOUR))
        amount = mean + depth[:, None] * darker + colour[:, None] * redder
        return skin * torch.exp(self.cover * (amount / _GAMMA)[..., None, None])
