"""Hue of the skin of necks, which the texture network has as red as cheeks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from facekit.color import scaled
from facekit.geometry.charts import mask_box, step
from facekit.template import Template

#: Upper end of the neck, mm: heights at depths, from the nape along the lobes of the ears and the jaw to the chin, and
#: the width over which its hue begins.
_DEPTHS, _HEIGHTS, _FADE = (-110.0, -30.0, 20.0, 60.0, 110.0), (-22.0, -30.0, -40.0, -56.0, -80.0), 26.0
#: Change of the logarithms of linear red, green and blue, of about the same luminance: on photographs of the London Set
#: (DeBruine and Jones 2017) without their light, necks are that much less red than cheeks, on dark skin as on light.
_HUE = (-0.075, 0.03, 0.075)


class NeckTone(nn.Module):
    """Makes necks less red than faces.

    Parameters
    ----------
    cover:
        (1, H, W) in [0, 1]: share of the hue that texels of the atlas have, see :func:`neck_share`.
    """

    cover: Tensor

    def __init__(self, cover: Tensor) -> None:
        super().__init__()
        self.register_buffer("cover", cover, persistent=False)
        #: Rows and columns of the atlas that change.
        self.box = mask_box(self.cover[0] > 0)

    def painted(self, skin: Tensor) -> Tensor:
        """Return skin (B, 3, h, w) sRGB, in the box, with the hue of necks."""
        return scaled(skin, self.cover[(..., *self.box)] * skin.new_tensor(_HUE)[:, None, None])


def neck_share(template: Template) -> Tensor:
    """Return how much of the neck's hue the vertices of the mean head have: (V,) in [0, 1]."""
    y, z = template.verts[:, 1], template.verts[:, 2]
    line = torch.from_numpy(np.interp(z.numpy(), _DEPTHS, _HEIGHTS)).to(y)
    return step(line - y, 0.0, _FADE)
