"""Distances between two sets of pictures, or of features of pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facekit.errors import InputError

_PATCH, _PROJECTIONS = 7, 256


def sliced_wasserstein(a: Tensor, b: Tensor, octaves: int = 4, patches: int = 64, seed: int = 0) -> tuple[float, ...]:
    """Return sliced Wasserstein distances between patches of two sets of pictures, one per octave, the finest first.

    Karras et al., ICLR 2018, Section 5: 7 × 7 patches of the levels of a Laplacian pyramid, each channel normalised to
    mean 0 and standard deviation 1 over both sets' patches, the mean distance between sorted projections on random
    directions. Values are scaled by 1,000, as in the paper.

    Parameters
    ----------
    a, b:
        (N, C, S, S) and (M, C, S, S) floats; the larger set is truncated to the smaller's size.
    octaves:
        Number of levels; the coarsest must keep 16 pixels or more.
    patches:
        Number of patches per picture.
    """
    count = min(len(a), len(b))
    if a.shape[1:] != b.shape[1:] or a.shape[-1] < 16 << (octaves - 1) or not count:
        raise InputError(
            f"two sets of pictures of one size, {16 << (octaves - 1)} pixels or more",
            f"{tuple(a.shape)} and {tuple(b.shape)}",
            "resize them, or take fewer octaves",
        )
    generator = torch.Generator().manual_seed(seed)
    found = []
    for level_a, level_b in zip(_pyramid(a[:count], octaves), _pyramid(b[:count], octaves), strict=True):
        x, y = (_patches(level, patches, generator) for level in (level_a, level_b))
        both = torch.cat((x, y)).unflatten(1, (a.shape[1], -1))
        middle, spread = both.mean(dim=(0, 2)), both.std(dim=(0, 2)) + 1e-9
        x, y = ((t.unflatten(1, (a.shape[1], -1)) - middle[:, None]) / spread[:, None] for t in (x, y))
        directions = F.normalize(torch.randn(x[0].numel(), _PROJECTIONS, generator=generator), dim=0)
        sorted_x, sorted_y = ((t.flatten(1) @ directions).sort(dim=0).values for t in (x, y))
        found.append(1000 * float((sorted_x - sorted_y).abs().mean()))
    return tuple(found)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Fréchet distance between normals fitted to features (N, d) and (M, d): FID for Inception features.

    ``|m_a - m_b|² + tr(A + B - 2 (A B)^½)`` (Heusel et al., NIPS 2017).
    """
    x, y = _features(a, b)
    cov_x, cov_y = torch.atleast_2d(torch.cov(x.T)), torch.atleast_2d(torch.cov(y.T))
    # tr (A B)^½ from the eigenvalues of A^½ B A^½, which is symmetric.
    values, vectors = torch.linalg.eigh(cov_x)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_y @ root).clamp_min(0).sqrt().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy of features (N, d), (M, d), kernel ``(x·y / d + 1)³``: KID.

    Bińkowski et al., ICLR 2018.
    """
    x, y = _features(a, b)

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return (p @ q.T / p.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    own_x = (kernel(x, x).sum() - kernel(x, x).trace()) / (n * (n - 1))
    own_y = (kernel(y, y).sum() - kernel(y, y).trace()) / (m * (m - 1))
    return float(own_x + own_y - 2 * kernel(x, y).mean())


def _features(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        got = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise InputError("features (N, d) and (M, d), N and M 2 or more", got, "pass a row per picture")
    return a.double(), b.double()


def _pyramid(pictures: Tensor, octaves: int) -> list[Tensor]:
    """Return the Laplacian pyramid: differences of each level from the upsampled next; the last level as it is."""
    levels = [pictures]
    for _ in range(octaves - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    finer = [
        level - F.interpolate(next_level, scale_factor=2, mode="bilinear", align_corners=False)
        for level, next_level in zip(levels, levels[1:], strict=False)
    ]
    return [*finer, levels[-1]]


def _patches(level: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` flattened patches per picture: (N * count, C * 49)."""
    number, channels, side = level.shape[0], level.shape[1], level.shape[-1]
    places = torch.randint(0, side - _PATCH + 1, (number, count, 2), generator=generator)
    steps = torch.arange(_PATCH)
    rows = (places[..., 0, None] + steps)[..., :, None].expand(-1, -1, -1, _PATCH)
    columns = (places[..., 1, None] + steps)[..., None, :].expand(-1, -1, _PATCH, -1)
    which = torch.arange(number)[:, None, None, None].expand_as(rows)
    return level[which, :, rows, columns].permute(0, 1, 4, 2, 3).reshape(number * count, channels * _PATCH**2)
