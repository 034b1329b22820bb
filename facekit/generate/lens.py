"""What a camera does to a picture: exposure, blur, noise. Pictures here are linear RGB (3, H, W) float32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

#: Least blur that shows, pixels.
_LEAST = 0.2
#: Steps a pixel in which the kernel of a moving camera is drawn.
_FINE = 8
#: Noise is smoothed by this, pixels, as demosaicking does, and by what that leaves of its strength made up for.
_GRAIN, _LEFT = 0.6, 0.47


def gaussian(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur pictures (C, H, W) by a Gaussian of ``sigma`` pixels; the border goes on."""
    radius = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    across = F.pad(image[:, None], (radius, radius, 0, 0), mode="replicate")
    across = F.conv2d(across, kernel[None, None, None])
    down = F.pad(across, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(down, kernel[None, None, :, None])[:, 0]


def exposed(linear: torch.Tensor, stops: float, white_balance: float) -> torch.Tensor:
    """A picture brighter by ``stops``, and redder against blue by ``white_balance`` stops."""
    gains = torch.tensor([stops + white_balance / 2, stops, stops - white_balance / 2])
    return linear * torch.exp2(gains)[:, None, None]


def blurred(linear: torch.Tensor, augment: Mapping[str, Any]) -> torch.Tensor:
    """A picture out of focus, and moved while the shutter was open."""
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
    """A line of this length in pixels as a kernel (n, n)."""
    radius = math.ceil(length / 2) + 1
    along = torch.linspace(-length / 2, length / 2, max(2, round(length * _FINE)))
    x, y = along * math.cos(angle), -along * math.sin(angle)
    grid = torch.arange(-radius, radius + 1.0)
    near = [(1 - (place[:, None] - grid).abs()).clamp_min(0) for place in (y, x)]
    kernel = torch.einsum("na,nb->ab", *near)
    return kernel / kernel.sum()


def sensed(srgb: torch.Tensor, augment: Mapping[str, Any]) -> torch.Tensor:
    """sRGB (3, H, W) with a sensor's noise, clamped to [0, 1]; noise grows with the light's root, over a floor."""
    if augment["noise"] > 0:
        random = np.random.Generator(np.random.Philox(key=augment["seed"]))
        grain = torch.from_numpy(random.standard_normal(srgb.shape, dtype=np.float32))
        strength = augment["noise"] / 255 * (0.25 + 1.5 * srgb.clamp(0, 1)).sqrt()
        srgb = srgb + gaussian(grain, _GRAIN) / _LEFT * strength
    return srgb.clamp(0, 1)
