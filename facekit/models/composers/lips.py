"""Tone of lips, which the texture network has paler and more alike than people's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facekit.conventions import PARTS
from facekit.geometry.charts import bounded, mask_box, step
from facekit.geometry.uv import box_blurred

#: Logarithm of red, green and blue that lips of the lightest, of middling and of the darkest people get. Lips are less
#: yellow than the skin, and on the darkest faces the lower one is lighter: as on the 102 photographs of the London Set
#: (DeBruine and Jones 2017).
_MEAN = ((-0.06, -0.24, 0.00), (-0.10, -0.09, 0.32), (0.33, 0.96, 1.56))
#: The same, for the lower lip of the lightest: it faces the light more than people's does.
_LOWER = -0.12
#: Changes per standard deviation of "lip_depth" and "lip_colour".
_DEPTH, _COLOUR = (-0.20, -0.20, -0.20), (0.12, -0.04, 0.04)
#: Share of the changes of colour on the darkest, whose lips differ less in it.
_ALIKE = 0.4
#: Bound of traits in standard deviations; exponent of sRGB; blur of the border in texels.
_BOUND, _GAMMA, _FADE = 2.2, 2.2, 5
#: Share of the lips' height over which the upper one becomes the lower one.
_BETWEEN = 0.12


class LipTone(nn.Module):
    """Tints lips by identity, so that lips differ from cheeks as much as people's do, and from person to person.

    Parameters
    ----------
    parts:
        (S, S) uint8: part id per texel of the tile.
    """

    cover: Tensor
    lower: Tensor

    def __init__(self, parts: Tensor) -> None:
        super().__init__()
        cover = (parts == PARTS.index("lips")).float()[None]
        for _ in range(2):
            cover = box_blurred(cover, _FADE)
        #: Rows and columns of the tile that change.
        self.box = mask_box(cover[0] > 0)
        self.register_buffer("cover", cover[(..., *self.box)].clone(), persistent=False)
        down = torch.linspace(-0.5, 0.5, self.cover.shape[-2])[:, None]
        self.register_buffer("lower", step(down, -_BETWEEN / 2, _BETWEEN / 2) * self.cover, persistent=False)

    def painted(self, skin: Tensor, traits: dict[str, Tensor]) -> Tensor:
        """Return skin (B, 3, h, w) sRGB, in the box, with lips of people with these trait projections (B,) by name."""
        depth, colour = (bounded(traits[name], _BOUND) for name in ("lip_depth", "lip_colour"))
        dark = torch.special.ndtr(traits["melanin"])[:, None]
        light, middling, deep, darker, redder = skin.new_tensor((*_MEAN, _DEPTH, _COLOUR))
        mean = torch.where(dark < 0.5, torch.lerp(light, middling, 2 * dark), torch.lerp(middling, deep, 2 * dark - 1))
        redder = torch.lerp(redder, _ALIKE * redder, dark)
        amount = (mean + depth[:, None] * darker + colour[:, None] * redder)[..., None, None]
        lower = (_LOWER * (1 - dark))[..., None, None]
        return skin * torch.exp((self.cover * amount + self.lower * lower) / _GAMMA)
