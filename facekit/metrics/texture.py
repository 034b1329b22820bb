"""Measures of skin texture."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.color import luminance, srgb_to_linear

SKIN_PATCHES = ((0.20, 0.34, 0.38, 0.50), (0.66, 0.80, 0.38, 0.50), (0.40, 0.60, 0.085, 0.155))
"""Both cheeks and the forehead in the face tile: left, right, top, bottom as fractions (top 0 is v = 1)."""


def high_frequency_energy(
    img: Tensor,
    patches: tuple[tuple[float, float, float, float], ...] = SKIN_PATCHES,
    band: tuple[float, float] = (0.25, 0.5),
) -> Tensor:
    """Return the energy of an octave of skin texture relative to its brightness; the finest octave by default.

    Mean over the patches of :func:`power_in_band` of the luminance.

    img: (B, 3, H, W) float, sRGB in [0, 1]. patches: fractions of the image. band: cycles per pixel. Returns (B,).
    Compare only images of equal size.
    """
    height, width = img.shape[-2:]
    light = luminance(img)[:, 0]
    cut = [
        light[:, round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        for left, right, top, bottom in patches
    ]
    return torch.stack([power_in_band(patch, band) for patch in cut]).mean(0)


def power_in_band(patch: Tensor, band: tuple[float, float]) -> Tensor:
    """Return the mean power per frequency (B,) of patches (B, h, w) in a ring of frequencies, in cycles per pixel.

    Each patch is divided by its mean, so that light and dark skin are comparable, and Hann-windowed; white noise of
    relative standard deviation s gives s².
    """
    patch = patch / patch.mean((1, 2), keepdim=True).clamp_min(1e-3) - 1
    rows, columns = patch.shape[1:]
    window = torch.hann_window(rows, device=patch.device)[:, None] * torch.hann_window(columns, device=patch.device)
    power = torch.fft.fft2(patch * window).abs().square() / window.square().sum()
    radius = torch.hypot(torch.fft.fftfreq(rows)[:, None], torch.fft.fftfreq(columns)).to(patch.device)
    return power[:, (radius >= band[0]) & (radius <= band[1])].mean(1)


def lab(image: Tensor) -> Tensor:
    """Convert sRGB pictures (B, 3, H, W) in [0, 1] to CIE L*a*b* (D65, 2 degrees), same shape."""
    linear = srgb_to_linear(image)
    to_xyz = image.new_tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    white = image.new_tensor([0.95047, 1.0, 1.08883])[:, None, None]
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz, linear) / white
    f = torch.where(xyz > 216 / 24389, xyz.clamp_min(1e-9) ** (1 / 3), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def delta_e(a: Tensor, b: Tensor) -> Tensor:
    """Return the colour difference per pixel, CIE76: (B, H, W); about 1 is just noticeable."""
    return (lab(a) - lab(b)).norm(dim=1)
