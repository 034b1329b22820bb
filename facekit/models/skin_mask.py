"""SkinMask: a small U-Net (Ronneberger et al., MICCAI 2015) that tells bare skin from what lies in front of it.

It sees a square picture of the face beside what the fitted head says should be there: normals, places in the face tile
and which pixels the skin covers. What is hair and what is a brow is then a question of place as much as of looks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

#: Pixels along a side of what it sees.
MASK_SIZE = 112
#: Red, green, blue; normal x, y, z; tile u, v; covered by skin.
CHANNELS = 9
#: Features at each resolution, from the finest to the coarsest.
WIDTHS = (24, 32, 48, 72)


class SkinMask(nn.Module):
    """Pictures and guides (B, 9, S, S) to logits (B, 1, S, S) of bare skin."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        before = 4 * CHANNELS
        for width in widths:
            self.down.append(_block(before, width))
            before = width
        for width in widths[-2::-1]:
            self.up.append(_block(before + width, width))
            before = width
        self.out = nn.Conv2d(before, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Go down and up again; sides are multiples of 16.

        All work is done at half the resolution, four pixels in a place (Shi et al., CVPR 2016): a quarter of the cost.
        """
        x, kept = F.pixel_unshuffle(x, 2), []
        for k, block in enumerate(self.down):
            x = block(x if k == 0 else F.avg_pool2d(x, 2))
            kept.append(x)
        for block, other in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat((F.interpolate(x, scale_factor=2, mode="nearest"), other), dim=1))
        return F.pixel_shuffle(self.out(x), 2)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    # Groups of four channels or more, eight at most; narrow networks have fewer.
    groups = max(k for k in range(1, min(8, max(1, outputs // 4)) + 1) if outputs % k == 0)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(groups, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.SiLU(),
    )
