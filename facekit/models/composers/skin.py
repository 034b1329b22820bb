"""Skin in pictures: chroma, likeness to a skin tone, and filling of other areas with skin."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from facekit.color import luminance
from facekit.geometry.charts import step

# Differences from the skin tone in brightness (a ratio) and chroma beyond which a pixel is not skin: hair, cap,
# background.
_DARK, _BRIGHT, _CHROMA = (0.58, 0.86), (1.9, 1.45), (0.08, 0.035)


def chroma_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the chroma distance (B, 1, h, w): between the fractions of red, green and blue."""
    a, b = (t / t.sum(1, keepdim=True).clamp_min(0.06) for t in (a, b))
    return ((a - b).square().sum(1, keepdim=True) + 1e-9).sqrt()


def skin_likeness(picture: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
    """Return the likeness (B, 1, H, W) in [0, 1] of each pixel to skin of this tone.

    ``picture`` (B, 3, H, W) and ``tone`` (B, 3, 1, 1), sRGB. Shadows of skin count, hair and coloured caps do not.
    """
    ratio = luminance(picture) / luminance(tone).clamp_min(0.02)
    return step(ratio, *_DARK) * step(ratio, *_BRIGHT) * step(chroma_distance(picture, tone), *_CHROMA)


def fill(colour: torch.Tensor, weight: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
    """Fill unknown colours by pull-push interpolation.

    Gortler et al., *The Lumigraph*, SIGGRAPH 1996, section 3.4. The result interpolates known colours and is as smooth
    as a membrane elsewhere.

    Parameters
    ----------
    colour:
        (B, 3, h, w); ignored where the weight is 0.
    weight:
        (B, 1, h, w) in [0, 1]: confidence.
    tone:
        (B, 3, 1, 1): colour to use if nothing is known.
    """
    height, width = colour.shape[2:]
    if max(height, width) <= 2:
        total = weight.mean((2, 3), keepdim=True)
        mean = (colour * weight).mean((2, 3), keepdim=True) / total.clamp_min(1e-6)
        return torch.lerp(tone, mean, step(total, 0.0, 0.02)).expand_as(colour)
    pooled = [F.avg_pool2d(t, 2, ceil_mode=True, count_include_pad=False) for t in (colour * weight, weight)]
    coarse = fill(pooled[0] / pooled[1].clamp_min(1e-6), 1 - (1 - pooled[1].clamp(0, 1)) ** 4, tone)
    return torch.lerp(F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False), colour, weight)
