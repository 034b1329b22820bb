"""Measures of face generators: reconstruction, diversity, and disentanglement of identity and expression.

All take vertices in correspondence, in mm, and return one value per face or per person, to be averaged by the caller.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.errors import InputError

_CHUNK = 64


def rebuilding_error(rebuilt: Tensor, faces: Tensor) -> Tensor:
    """Return the mean distance (B,) in mm between faces (B, n, 3) and a model's reconstructions.

    For training people it is the reconstruction error, for others the generalisation error (Styner et al., IPMI 2003).
    """
    return (rebuilt - faces).norm(dim=-1).mean(dim=1)


def specificity(made: Tensor, data: Tensor) -> Tensor:
    """Return the mean vertex distance (B,) in mm of each generated face (B, n, 3) to the nearest face of the data (M,
    n, 3).

    Styner et al., IPMI 2003. Small values are good unless diversity is small, too: a model of a single face is
    perfectly specific.
    """
    found = []
    for face in made:
        away = [(data[k : k + _CHUNK] - face).norm(dim=-1).mean(dim=1).amin() for k in range(0, len(data), _CHUNK)]
        found.append(torch.stack(away).amin())
    return torch.stack(found)


def diversity(faces: Tensor) -> Tensor:
    """Return the mean vertex distance (B,) in mm of each face (B, n, 3) to all the others (Abrevaya et al., 3DV
    2019).
    """
    if len(faces) < 2:
        raise InputError("two faces or more", f"{len(faces)}", "generate more")
    total = torch.stack([(faces - face).norm(dim=-1).mean(dim=1).sum() for face in faces])
    return total / (len(faces) - 1)


def identity_leak(neutral: Tensor, worn: Tensor, still: Tensor | slice = slice(None)) -> Tensor:
    """Return the person-specific part (B,) in mm of the displacement by an expression.

    The mean distance between the vertices of ``worn`` (B, n, 3) and ``neutral`` (B, n, 3) after subtracting the mean
    displacement over all B people. An expression that changes identity shows here, but so do individual ways of
    smiling, which are natural: compare with the same figure of the data. ``still`` (k,) selects vertices, for instance
    landmarks that expressions hardly move.
    """
    moved = (worn - neutral)[:, still]
    return (moved - moved.mean(0)).norm(dim=-1).mean(dim=1)


def expression_leak(neutral: Tensor, worn: Tensor) -> Tensor:
    """Return the same as a fraction (B,) of the expression's size: 0 if everybody moves alike, about 1 by chance."""
    moved = worn - neutral
    return (moved - moved.mean(0)).norm(dim=-1).mean(dim=1) / moved.mean(0).norm(dim=-1).mean().clamp_min(1e-6)


def steadiness(sweep: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether the displacement is monotone in intensity, (B,) bool, and its linearity, (B,) R².

    With displacements m_k (B, n, 3) at K evenly spaced intensities, the first 0, progress is their projection on the
    last one. Monotone: progress never decreases by over 1 % of the whole. Linearity: R² of progress against intensity,
    for a line through the origin.

    Parameters
    ----------
    sweep:
        (K, B, n, 3) mm.
    """
    moved = (sweep - sweep[:1]).flatten(2)
    way = (moved * moved[-1]).sum(-1) / moved[-1].square().sum(-1).clamp_min(1e-9)  # (K, B), from 0 to 1
    line = torch.linspace(0, 1, len(sweep))[:, None]
    slope = (way * line).sum(0) / line.square().sum()
    missed = (way - slope * line).square().sum(0)
    linear = 1 - missed / (way - way.mean(0)).square().sum(0).clamp_min(1e-9)
    return (way.diff(dim=0) > -0.01).all(dim=0), linear


def retrieval_rank(shapes: Tensor, skins: Tensor, ridge: float = 0.1) -> Tensor:
    """Return the rank (B,) in [0, 1] of a person's own skin when predicted from shape: 0 for the first, about 0.5 by
    chance.

    The people are split in halves. On each half, ridge regression is fitted from shape to skin; for each person of the
    other half, all skins of that half are ranked by their distance to the prediction.

    Parameters
    ----------
    shapes, skins:
        (B, p) and (B, q), a few numbers per person, standardised here; B of 8 or more.
    """
    if len(shapes) < 8 or len(skins) != len(shapes):
        raise InputError("eight people or more", f"{len(shapes)} shapes, {len(skins)} skins", "generate more")
    middle = len(shapes) // 2
    ranks = torch.empty(len(shapes))
    for known, asked in ((slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))):
        x, y = shapes[known].double(), skins[known].double()
        mx, sx, my, sy = x.mean(0), x.std(0) + 1e-9, y.mean(0), y.std(0) + 1e-9
        x, y = (x - mx) / sx, (y - my) / sy
        weights = torch.linalg.solve(x.T @ x + ridge * len(x) * torch.eye(x.shape[1]).double(), x.T @ y)
        foretold, true = ((shapes[asked].double() - mx) / sx) @ weights, (skins[asked].double() - my) / sy
        away = torch.cdist(foretold, true)
        own = away.diagonal()[:, None]
        ranks[asked] = ((away < own).sum(1) / (len(true) - 1)).float()
    return ranks
