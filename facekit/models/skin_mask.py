"""SkinMask: a small U-Net (Ronneberger et al., MICCAI 2015) that segments skin not covered by occluders, and beards.

The input is a square picture of the face with guides from the fitted head: normals, face tile coordinates and the mask
of skin pixels. These let it tell hair from brows by position as much as by appearance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

#: Side of the input in pixels.
MASK_SIZE = 112
#: Number of input channels: red, green, blue; normal x, y, z; tile u, v; skin mask.
CHANNELS = 9
#: Number of outputs: skin that nothing but a beard, brows or lashes covers; beards on it.
OUTPUTS = 2
#: Features at each resolution, from the finest to the coarsest.
WIDTHS = (24, 32, 48, 72)


class SkinMask(nn.Module):
    """Map pictures and guides (B, 9, S, S) to logits (B, 2, S, S) of bare skin and of beards."""

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
        self.out = nn.Conv2d(before, 4 * OUTPUTS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the U-Net; sides must be multiples of 16.

        It works at half the resolution with four pixels folded into the channels (Shi et al., CVPR 2016), at a quarter
        of the cost.
        """
        x, kept = F.pixel_unshuffle(x, 2), []
        for k, block in enumerate(self.down):
            x = block(x if k == 0 else F.avg_pool2d(x, 2))
            kept.append(x)
        for block, other in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat((F.interpolate(x, scale_factor=2, mode="nearest"), other), dim=1))
        return F.pixel_shuffle(self.out(x), 2)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    # Groups of at least four channels, at most eight groups; narrow networks have fewer.
    groups = max(k for k in range(1, min(8, max(1, outputs // 4)) + 1) if outputs % k == 0)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(groups, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.SiLU(),
    )
