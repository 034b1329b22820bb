"""The strand texture of long hair: a sheet of straight strands, and patterns of loose locks beside it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from facekit.train.hair.pictures import blurred

#: Texels that the sheet spans, and each of the locks' patterns after it.
SHEET, GAP, PATTERNS, WIDE = 440, 4, 2, 30
#: Texels over which the front edge frays.
_RIM = 6.0
#: Contrast of strands by width in texels, and lengths, in texels, over which they vary.
_CONTRASTS = ((0, 0.16, 64), (1, 0.15, 110), (5, 0.07, 200))
#: Sideways shift of strands, texels; darkening at the root, and its height in texels.
_BEND, _PARTING, _ROOT = 3.5, 0.35, 2.3


def sheet_picture(size: int, seed: int = 22) -> torch.Tensor:
    """Draw straight strands along v, grey and coverage (2, size, size) in [0, 1]: the sheet with frayed tips and
    edges on the left, sparse locks on the right.
    """
    generator = torch.Generator().manual_seed(seed)
    out = torch.zeros(size, size)
    for radius, contrast, length in _CONTRASTS:
        noise = torch.randn(1, 1, size // length + 3, size, generator=generator)
        noise = F.interpolate(noise, size=(size, size), mode="bicubic", align_corners=True)[0]
        noise = blurred(F.pad(noise, (16, 16), mode="reflect"), radius)[0, :, 16:-16] if radius else noise[0]
        out = out + contrast * noise / noise.std()
    out = _waved(out, generator)
    row = torch.linspace(0, 1, size)[:, None]
    # At the root strands are in each other's shade: the parting is a fine dark line.
    out = out - _PARTING * torch.exp(-((row * size / _ROOT) ** 2))
    grey = (0.5 * out.clamp(-1.0, 0.7).exp()).clamp(0.2, 1)
    # Each strand has a length of its own, in bundles.
    single, bundle = (torch.randn(1, 1, 1, n, generator=generator) for n in (size, size // 9))
    bundle = F.interpolate(bundle, size=(1, size), mode="bicubic")
    noise = (0.6 * single + 0.8 * bundle)[0, 0, 0]
    column = torch.arange(size)[None]
    end = (0.955 + 0.03 * noise[None]).clamp_max(0.985)
    cover = ((end - row) / 0.012).clamp(0, 1)
    # The front edge is ragged too: every strand there is visible along a part of its way only.
    reach = F.interpolate(torch.randn(1, 1, 20, size, generator=generator), size=(size, size), mode="bicubic")[0, 0]
    rim = (column / _RIM).clamp(0, 1)
    cover = cover * (2.2 * rim - 0.5 + 0.5 * reach * (1 - rim)).clamp(0, 1)
    locks = column >= SHEET + GAP // 2
    place = (column - SHEET - GAP) % (WIDE + GAP)
    # They thin out from the side that is on the sheet.
    inner = (1 - place / (WIDE - 1)).clamp(0, 1)
    noise = F.avg_pool1d(noise[None], 3, 1, 1)[0] * 1.5
    thin = (inner * 1.6 + 0.9 * noise[None] - 0.8 - 1.2 * row.square()).clamp(0, 1)
    thin = thin * (row / 0.2).clamp(0, 1) * (((0.97 + 0.06 * noise[None]).clamp_max(0.985) - row) / 0.05).clamp(0, 1)
    inside = (place < WIDE) & (place >= 0)
    cover = torch.where(locks, thin * inside, cover)
    return torch.stack((grey, cover.clamp(0, 1)))


def _waved(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift the strands of a picture (N, N) sideways by smooth noise: they are neither straight nor parallel."""
    size = len(picture)
    bend = torch.randn(1, 1, size // 80, size // 12, generator=generator)
    bend = _BEND * F.interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)[0, 0]
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    grid = torch.stack((column + bend, row.float()), -1) * (2 / (size - 1)) - 1
    return F.grid_sample(picture[None, None], grid[None], padding_mode="reflection", align_corners=True)[0, 0]
