"""Camera artifacts: exposure, blur, noise. Pictures here are linear RGB (3, H, W) float32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

#: Smallest visible blur, pixels.
_LEAST = 0.2
#: Number of steps per pixel in the kernel of motion blur.
_FINE = 8
#: Standard deviation in pixels of the blur on noise, as by demosaicking, and factor by which it reduces the noise, to
#: be compensated.
_GRAIN, _LEFT = 0.6, 0.47


def gaussian(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur pictures (C, H, W) by a Gaussian of ``sigma`` pixels, with replicated borders."""
    radius = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    across = F.pad(image[:, None], (radius, radius, 0, 0), mode="replicate")
    across = F.conv2d(across, kernel[None, None, None])
    down = F.pad(across, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(down, kernel[None, None, :, None])[:, 0]


def exposed(linear: torch.Tensor, stops: float, white_balance: float) -> torch.Tensor:
    """Brighten a picture by ``stops``, and shift red against blue by ``white_balance`` stops."""
    gains = torch.tensor([stops + white_balance / 2, stops, stops - white_balance / 2])
    return linear * torch.exp2(gains)[:, None, None]


def blurred(linear: torch.Tensor, augment: Mapping[str, Any]) -> torch.Tensor:
    """Apply defocus and motion blur."""
    height = linear.shape[1]
    sigma, length = (augment[name] * height / 1000 for name in ("blur", "motion_blur"))
    if sigma > _LEAST:
        linear = gaussian(linear, sigma)
    if length > 2 * _LEAST:
        kernel = _streak(length, math.radians(augment["motion_angle"]))
        radius = kernel.shape[-1] // 2
        padded = F.pad(linear[:, None], (radius,) * 4, mode="replicate")
        linear = F.conv2d(padded, kernel[None, None])[:, 0]
    return linear


def _streak(length: float, angle: float) -> torch.Tensor:
    """Return a line of this length in pixels as a kernel (n, n)."""
    radius = math.ceil(length / 2) + 1
    along = torch.linspace(-length / 2, length / 2, max(2, round(length * _FINE)))
    x, y = along * math.cos(angle), -along * math.sin(angle)
    grid = torch.arange(-radius, radius + 1.0)
    near = [(1 - (place[:, None] - grid).abs()).clamp_min(0) for place in (y, x)]
    kernel = torch.einsum("na,nb->ab", *near)
    return kernel / kernel.sum()


def sensed(srgb: torch.Tensor, augment: Mapping[str, Any]) -> torch.Tensor:
    """Add sensor noise to sRGB (3, H, W) and clamp to [0, 1]; noise grows with the square root of the light, above a
    floor.
    """
    if augment["noise"] > 0:
        random = np.random.Generator(np.random.Philox(key=augment["seed"]))
        grain = torch.from_numpy(random.standard_normal(srgb.shape, dtype=np.float32))
        strength = augment["noise"] / 255 * (0.25 + 1.5 * srgb.clamp(0, 1)).sqrt()
        srgb = srgb + gaussian(grain, _GRAIN) / _LEFT * strength
    return srgb.clamp(0, 1)
