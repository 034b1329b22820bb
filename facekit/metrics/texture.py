"""Measures of skin texture."""

from __future__ import annotations

import torch
from torch import Tensor

SKIN_PATCHES = ((0.20, 0.34, 0.38, 0.50), (0.66, 0.80, 0.38, 0.50), (0.40, 0.60, 0.085, 0.155))
"""Both cheeks and the forehead in the face tile: left, right, top, bottom as fractions (top 0 is v = 1)."""


def high_frequency_energy(
    img: Tensor, patches: tuple[tuple[float, float, float, float], ...] = SKIN_PATCHES
) -> Tensor:
    """Energy of the finest octave of skin, relative to its brightness.

    The luminance of each patch is divided by its mean, so that pale and dark skins compare; its
    Hann-windowed power spectrum is averaged over the ring of a quarter to half a cycle a pixel, and over the
    patches.

    img: (B, 3, H, W) float, sRGB in [0, 1]. patches: fractions of the image. Returns (B,), the mean power a
    frequency; white noise of relative deviation s gives s². Compare only images of equal size.
    """
    height, width = img.shape[-2:]
    luminance = (img * img.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(1)
    energies = []
    for left, right, top, bottom in patches:
        patch = luminance[
            :, round(top * height) : round(bottom * height), round(left * width) : round(right * width)
        ]
        patch = patch / patch.mean((1, 2), keepdim=True).clamp_min(1e-3) - 1
        rows, columns = patch.shape[1:]
        window = torch.hann_window(rows, device=img.device)[:, None] * torch.hann_window(
            columns, device=img.device
        )
        power = torch.fft.fft2(patch * window).abs().square() / window.square().sum()
        radius = torch.hypot(torch.fft.fftfreq(rows)[:, None], torch.fft.fftfreq(columns)).to(img.device)
        ring = (radius >= 0.25) & (radius <= 0.5)
        energies.append(power[:, ring].mean(1))
    return torch.stack(energies).mean(0)
