"""Procedural tight curls: shells over the scalp with a texture of curls that gets sparser outward."""

from __future__ import annotations

import numpy as np
import torch

from facekit.train.arrays import smoothstep
from facekit.train.hair.pictures import blurred
from facekit.train.hair.shells import CROWN, Net

#: Heights of the shells as fractions of the outermost, coverage of each, and height of the outermost on the crown, mm.
_SHELLS, _COVERS, _HEIGHT = (0.68, 0.86, 1.0), (1.0, 0.66, 0.32), 33.0
#: Distance from the hairline, mm, over which the height rises to 1 - 1/e of its full value.
_RISE = 18.0
#: Distances from the hairline, mm, between which the innermost and the outermost shell get dense, and the standard
#: deviation of the hairline's own place, mm.
_THIN, _UNEVEN = ((1.0, 9.0), (4.0, 19.0)), 1.5
#: Share by which hair is lower at the sides, and distances, mm, aside, ahead and up where that begins and ends: from
#: behind the ears on, over which it would bulge, up to above them, or heads would be pointed.
_SIDES, _ASIDE, _AHEAD, _UP = 0.55, (38.0, 62.0), (-45.0, 15.0), (92.0, 52.0)


def curl_cards(net: Net, size: int) -> dict[str, np.ndarray]:
    """Build shells over a net, with a strand texture of ``size`` texels along a side.

    Returns ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` as for the pack's styles, and ``strands`` (2, size, size).
    """
    rise = _HEIGHT * (1 - np.exp(-np.maximum(net.rim - 3, 0) / _RISE)) * (0.72 + 0.28 * np.clip(net.out @ CROWN, 0, 1))
    rise *= 1 - _SIDES * _at_sides(net.roots)
    rng = np.random.default_rng(5)
    lumps = rng.normal(0, 1, len(rise))
    for _ in range(2):
        mean, total, count = lumps[net.tris].mean(1), np.zeros(len(rise)), np.zeros(len(rise))
        for k in range(3):
            np.add.at(total, net.tris[:, k], mean)
            np.add.at(count, net.tris[:, k], 1)
        lumps = total / np.maximum(count, 1)
    lumps = lumps / lumps.std()
    heights = [np.maximum(rise * share * (1 + 0.04 * lumps), 0.8) for share in _SHELLS]
    uvs = [np.clip(net.chart * 0.5 + 0.5 * np.array([k % 2, k // 2]), 0, 1) for k in range(len(_SHELLS))]
    deep = net.baked(net.rim, size // 2)
    return {**net.shells(heights, uvs), "strands": curl_picture(size, deep).numpy()}


def _at_sides(points: np.ndarray) -> np.ndarray:
    """Return how far points (N, 3) mm lie at the sides, (N,) in [0, 1]."""
    x, y, z = points.T
    return smoothstep(np.abs(x), *_ASIDE) * smoothstep(z, *_AHEAD) * smoothstep(y, *_UP)


def curl_picture(size: int, deep: torch.Tensor, seed: int = 11) -> torch.Tensor:
    """Draw the strand texture of curls, grey and coverage (2, size, size) in [0, 1]: one quadrant for each shell.

    ``deep`` (size / 2, size / 2) is the distance from the hairline, mm: toward it there are fewer curls.
    """
    generator = torch.Generator().manual_seed(seed)
    half = size // 2
    out = torch.zeros(2, size, size)
    uneven = blurred(torch.randn(1, half, half, generator=generator), 3)[0]
    deep = deep + _UNEVEN * uneven / uneven.std()
    for k, cover in enumerate(_COVERS):
        # A sine of smooth noise: its level sets are closed rings, like curls.
        field = blurred(torch.randn(2, half, half, generator=generator), 1)
        field = field / field.std()
        ring = torch.sin(2.0 * field[0] + 1.5 * field[1])
        fine = torch.randn(half, half, generator=generator)
        ring = ring + 0.35 * fine
        rank = ring.flatten().argsort().argsort().view(half, half).float() / half**2
        low, high = (a + (b - a) * k / (len(_COVERS) - 1) for a, b in zip(*_THIN, strict=True))
        dense = cover * ((deep - low) / (high - low)).clamp(0, 1)
        alpha = torch.where(dense < 1, ((rank - (1 - dense)) / 0.2 + 0.5 * dense).clamp(0, 1), 1.0)
        grey = (0.5 * torch.exp(0.36 * (rank - 0.5) * 2)).clamp(0, 1) * (0.76 + 0.09 * k)
        v, u = 1 - k // 2, k % 2  # v points up, rows go down
        rows, columns = slice(v * half, (v + 1) * half), slice(u * half, (u + 1) * half)
        out[0, rows, columns], out[1, rows, columns] = grey, alpha
    return out
