"""Hairlines: single hairs where hair thins out on skin."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from facekit.geometry.mip import MipTexture

#: Length of hairs, how far they lean, and size of tufts, as fractions of an atlas.
_LENGTH, _LEAN, _TUFT = 0.015, 0.005, 0.01
#: Distance over which hairs lean alike, as a fraction of an atlas.
_ALIKE = 0.024
#: Weight of tufts, contrast of hairs, and how much of the skin between them is bare.
_TUFTS, _CONTRAST, _BARE = 0.4, 1.8, 0.45
#: Increase of partial coverage, so that hairs stand farther out.
_OUT = 0.9
_SEED = 3
#: Factor on the hair's colour for the scalp under it, and contrast of the hairs painted there.
CAP_SHADE, _GRAIN = 0.86, 0.22


def edge_tone(tone: torch.Tensor, cover: torch.Tensor, hairs: torch.Tensor) -> torch.Tensor:
    """Return colours of hair painted on skin, sRGB: ``tone`` where it is dense, and the hair's own where ``cover`` in
    [0, 1], which is smooth, falls to 0; lighter and darker along single :func:`hairs`, in [-1, 1].
    """
    return tone * (1 + (1 / CAP_SHADE - 1) * (1 - cover)) * (1 + _GRAIN * cover * hairs)


def thinned(cover: torch.Tensor, hairs: torch.Tensor) -> torch.Tensor:
    """Return coverage by hair (...) in [0, 1] as single hairs where it is partial; 0 and 1 stay.

    Parameters
    ----------
    cover:
        (...) float32 in [0, 1]: smooth coverage.
    hairs:
        (...) float32 in [-1, 1]: values of :func:`hairs` there.
    """
    cover = cover * (1 + _OUT * (1 - cover))
    return (cover + 4 * _BARE * cover * (1 - cover) * hairs).clamp(0.0, 1.0)


@functools.lru_cache(maxsize=4)
def hairs(height: int, width: int, device: torch.device) -> MipTexture:
    """Draw hairs in the UVs of an atlas, (1, 1, height, width) in [-1, 1]; the same in every call."""
    generator = torch.Generator().manual_seed(_SEED)

    def smooth(size: float) -> torch.Tensor:
        grid = (max(2, round(1 / size)),) * 2
        noise = torch.randn(1, 1, *grid, generator=generator)
        return F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)

    length = 2 * round(_LENGTH * height / 2) + 1
    window = torch.hann_window(length + 2, periodic=False)[1:-1]
    strands = F.conv2d(
        torch.randn(1, 1, height, width, generator=generator), window[None, None, :, None], padding=(length // 2, 0)
    )
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    leaning = torch.stack((x + 2 * _LEAN * smooth(_ALIKE)[0, 0], y), -1)[None]
    strands = F.grid_sample(strands, leaning, padding_mode="reflection", align_corners=True)
    drawn = torch.tanh(_CONTRAST * (strands / strands.std() + _TUFTS * smooth(_TUFT)))
    return MipTexture.build(drawn.to(device))
