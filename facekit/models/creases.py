"""Creases of the lips: every person's own layout of the ones that the detail module learned."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekit.conventions import PARTS
from facekit.geometry.charts import mask_box
from facekit.geometry.uv import bake, rasterize_uv
from facekit.template import Template

# Entries of the texture noise that lay creases out; they mix the grain, too.
_LAYOUT = slice(16, 21)
# Creases run on over the lips' border, tile texels of 384; relief wider than this is no crease.
_BEYOND, _WIDE = 5, 17
# Texels at the charts' border that are left alone, fading out over as many.
_SEAM = 3
# How far creases shift, and how far they spread in one place and crowd in another, in half widths of the mouth.
_SHIFT, _SPREAD = 0.22, 0.16
# Sharpness of the choice between a layout and its mirror image, and factor on the depth, which resampling reduces.
_SIDED, _DEEPER = 3.0, 1.25


class LipCreases(nn.Module):
    """Lays creases out anew: a mix of the learned layout and its mirror image, both warped along the mouth.

    Parameters
    ----------
    template:
        The topology; without lips, nothing changes.
    tile_uvs:
        (T, 2) float32: tile coordinates of its UVs (origin bottom-left, the tile is [0, 1]²).
    size:
        Side of the module's maps in texels.
    """

    lips: Tensor

    def __init__(self, template: Template, tile_uvs: Tensor, size: int) -> None:
        super().__init__()
        share = (template.parts == PARTS.index("lips")).float()[None, :, None]
        face_ids, weights = rasterize_uv(tile_uvs, template.faces_uvs, size)
        lips = bake(share, template.faces, face_ids, weights) * (face_ids >= 0)
        # The chart's two halves may differ by a texel; mirrored creases need a symmetric zone.
        lips = F.max_pool2d(torch.maximum(lips, lips.flip(-1)), 2 * _BEYOND + 1, 1, _BEYOND)
        lips = F.avg_pool2d(lips, 2 * _BEYOND + 1, 1, _BEYOND)
        # Relief ends at the charts' border, whose two sides meet between the lips.
        bare = F.max_pool2d((face_ids < 0).float()[None, None], 2 * _SEAM + 1, 1, _SEAM)
        lips = lips * (1 - F.avg_pool2d(torch.maximum(bare, bare.flip(-1)), 2 * _SEAM - 1, 1, _SEAM - 1))
        self.box = mask_box(lips[0, 0] > 0) if bool((lips > 0).any()) else (slice(0, 0), slice(0, 0))
        self.register_buffer("lips", lips[(..., *self.box)], persistent=False)

    def forward(self, static: Tensor, texture_noise: Tensor) -> Tensor:
        """Return static displacement (B, 1, S, S) in mm with the creases of people with these codes (B, 128)."""
        if not self.lips.numel():
            return static
        some = (..., *self.box)
        found = static[some]
        wide = (1, _WIDE)
        creases = found - F.avg_pool2d(found, wide, 1, (0, _WIDE // 2), count_include_pad=False)
        side, *warps = texture_noise[:, _LAYOUT].unbind(1)
        share = torch.sigmoid(_SIDED * side)[:, None, None, None]
        plain = _warped(creases, warps[0], warps[1])
        mirrored = _warped(creases.flip(-1), warps[2], warps[3])
        # The mix of two layouts is shallower than each; dividing by the norm of the shares restores it.
        mixed = (share * plain + (1 - share) * mirrored) / (share.square() + (1 - share).square()).sqrt()
        static = static.clone()
        static[some] = found + self.lips * (_DEEPER * mixed - creases)
        return static


def _warped(creases: Tensor, shift: Tensor, spread: Tensor) -> Tensor:
    """Return creases (B, 1, h, w) shifted and spread along the mouth, whose ends stay, by noise (B,) each."""
    count, _, height, width = creases.shape
    x = torch.linspace(-1, 1, width, device=creases.device)
    inside = 1 - x.square()
    shift, spread = _SHIFT * torch.tanh(shift)[:, None], _SPREAD * torch.tanh(spread)[:, None]
    moved = x + inside * (shift + spread * (math.pi * x).sin())
    y = torch.linspace(-1, 1, height, device=creases.device)
    grid = torch.stack((moved[:, None].expand(-1, height, -1), y[:, None].expand(count, -1, width)), dim=-1)
    return F.grid_sample(creases, grid, mode="bicubic", padding_mode="border", align_corners=True)
