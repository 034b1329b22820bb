"""Compact lists: building blocks of data-parallel work in plain torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch


def flat_indices(mask: torch.Tensor) -> torch.Tensor:
    """Return the flat indices (P,) int64 of a mask's set elements: any shape, bool.

    On a CPU, NumPy is several times as fast as torch, and shares the memory.
    """
    mask = mask.reshape(-1)
    return torch.from_numpy(mask.numpy().nonzero()[0]) if mask.device.type == "cpu" else mask.nonzero()[:, 0]


def alike(*rows: torch.Tensor) -> bool:
    """Return True if all rows of each tensor (B, ...) are equal and need no gradients, so that one stands for all."""
    return not any(t.requires_grad for t in rows) and all(bool((t == t[:1]).all()) for t in rows)


def pick(rows: Iterable[torch.Tensor], index: torch.Tensor) -> list[torch.Tensor]:
    """Select columns of several rows, one row at a time: with 8-byte numbers four times as fast as for a whole
    table.
    """
    return [row.index_select(0, index) for row in rows]


def expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a ragged arange: for counts (2, 0, 3) the owners (0, 0, 2, 2, 2) and their positions (0, 1, 0, 1, 2)."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if counts.numel() else 0
    owner = torch.repeat_interleave(counts, output_size=total)
    local = torch.arange(total, device=counts.device).sub_((ends - counts).index_select(0, owner))
    return owner, local


def pieces(counts: torch.Tensor, limit: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of items whose counts sum to at most ``limit`` (or that hold one item)."""
    items = counts.numel()
    if not items:
        return
    ends = counts.cumsum(0)
    if int(ends[-1]) <= limit:
        yield 0, items
        return
    lo, done = 0, 0
    while lo < items:
        hi = int(torch.searchsorted(ends, done + max(limit, 1), right=True))
        hi = min(max(hi, lo + 1), items)
        yield lo, hi
        lo, done = hi, int(ends[hi - 1])


def unique_pairs(ends: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the unique unordered pairs (E, 2), lower number first, of pairs (N, 2) int64 of numbers below ``count``,
    and the index (N,) of each pair among them. Used to find edges from the sides of faces.
    """
    count = max(count, 1)
    # One number per pair: sorting these is many times faster than sorting rows.
    keys, index = (ends.amin(1) * count + ends.amax(1)).unique(return_inverse=True)
    return torch.stack((keys // count, keys % count), dim=-1), index


def weighted_sum(values: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Combine columns of values (C, V) by rows of ``index`` (K, P) and ``weights`` (K, P): (C, P)."""
    mixed = values.index_select(1, index[0]) * weights[0].to(values)
    for corner, weight in zip(index[1:], weights[1:], strict=True):
        mixed = mixed + values.index_select(1, corner) * weight.to(values)
    return mixed
