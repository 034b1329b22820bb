"""Samples of a picture: their grid, which of them are wanted, and the nearest triangle at each.

Each sample has one int64 key that holds the depth's bits above the triangle's index, so that one ``scatter_reduce`` is
a depth test. Which samples a triangle covers is found by :mod:`facekit.geometry.coverage`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.geometry.lists import expand, flat_indices, pick

#: Key of an empty sample: as two halves infinite depth and face -1; greater than every other key.
_EMPTY = (0x7F800000 << 32) | 0xFFFFFFFF
#: Memory in bytes for intermediate lists. Small lists on a CPU reuse memory that the process already has.
_BUDGET_CPU, _BUDGET_CUDA = 32 << 20, 512 << 20


@dataclass(frozen=True)
class Raster:
    """Sample grid, and what has been drawn on it. Made by :meth:`of`.

    Parameters
    ----------
    keys:
        (P,) int64: key of the nearest triangle at every sample.
    scale, grid, shear, slots, budget:
        See :meth:`facekit.geometry.coverage.Triangles.nearest`.
    wanted, counts:
        The wanted cells (W,) int64 in order, and the number of them before each cell; None without slots.
    limit, found:
        List that collects samples and keys up to the limit instead, see
        :meth:`facekit.geometry.coverage.Triangles.fragments`.
    """

    keys: torch.Tensor
    scale: int
    grid: int
    shear: float
    slots: torch.Tensor | None
    wanted: torch.Tensor | None
    counts: torch.Tensor | None
    budget: int
    limit: torch.Tensor | None = None
    found: list[tuple[torch.Tensor, torch.Tensor]] | None = None

    @classmethod
    def of(
        cls,
        samples: int,
        device: torch.device,
        scale: int,
        grid: int,
        shear: float,
        slots: torch.Tensor | None,
        budget: int | None,
        limit: torch.Tensor | None = None,
        found: list[tuple[torch.Tensor, torch.Tensor]] | None = None,
    ) -> Raster:
        """Return an empty raster of this many samples: count the wanted cells, and replace a budget of None by the
        device's default.
        """
        keys = torch.full((samples,), _EMPTY, dtype=torch.int64, device=device)
        if budget is None:
            budget = _BUDGET_CUDA if keys.is_cuda else _BUDGET_CPU
        wanted = counts = None
        if slots is not None:
            some = slots >= 0
            wanted, counts = flat_indices(some), torch.nn.functional.pad(some.cumsum(0), (1, 0))
        return cls(keys, scale, grid, shear, slots, wanted, counts, budget, limit, found)

    @property
    def fine(self) -> int:
        """Number of samples along a pixel's side."""
        return self.scale * self.grid

    @property
    def bits(self) -> int:
        """Right shift that maps a sample's column to its cell's: much faster than division."""
        return self.grid.bit_length() - 1

    def write(
        self,
        near: float,
        ids: torch.Tensor,
        line: torch.Tensor,
        first: torch.Tensor,
        last: torch.Tensor,
        inverse: torch.Tensor,
        slope: torch.Tensor,
        y: torch.Tensor,
    ) -> None:
        """Expand rows to samples, and write those beyond the near plane into the keys, or collect them.

        Parameters
        ----------
        near:
            Depth of the near plane.
        ids, line, first, last, inverse, slope, y:
            (R,) per row: face, first cell of the line, first and last column, 1 / depth at the first, its step per
            column, and the row.
        """
        grid = self.grid
        if self.slots is None:
            row, local = expand(last - first + 1)
            if grid == 1:
                x = place = (line + first).index_select(0, row).add_(local)
            else:
                x = first.index_select(0, row).add_(local)
                place = line.index_select(0, row).add_(x >> self.bits)
        else:
            # Only the wanted cells of each row, all of their columns.
            assert self.wanted is not None and self.counts is not None
            begin = self.counts.index_select(0, line + (first >> self.bits))
            count = self.counts.index_select(0, line + (last >> self.bits) + 1).sub_(begin)
            row, local = expand(count << self.bits)
            place = self.wanted.index_select(0, begin.index_select(0, row).add_(local >> self.bits))
            x = (place - line.index_select(0, row)).mul_(grid).add_(local.bitwise_and_(grid - 1))
            local = x - first.index_select(0, row)
            inside = flat_indices((local >= 0) & (x <= last.index_select(0, row)))
            row, local, x, place = pick((row, local, x, place), inside)
            place = self.slots.index_select(0, place)
        if grid > 1:
            within = (y & (grid - 1)).mul_(grid).index_select(0, row).add_(x.bitwise_and_(grid - 1))
            place = place.mul_(grid * grid).add_(within)
        depth = torch.addcmul(inverse.index_select(0, row), slope.index_select(0, row), local.to(torch.float32))
        depth = depth.reciprocal_()
        if self.found is not None and self.limit is not None:
            cell = place if grid == 1 else place >> (2 * self.bits)
            some = flat_indices((depth < self.limit.index_select(0, cell)) & (depth >= near))
            place, depth, row = pick((place, depth, row), some)
            key = (depth.view(torch.int32).to(torch.int64) << 32).bitwise_or_(ids.index_select(0, row))
            self.found.append((place, key))
            return
        # Positive floats sort like their bits.
        key = (depth.view(torch.int32).to(torch.int64) << 32).bitwise_or_(ids.index_select(0, row))
        low, high = (float(t) for t in depth.aminmax()) if depth.numel() else (near, near)
        if not near <= low <= high < float("inf"):  # also rejects NaN
            good = flat_indices((depth >= near) & (depth < float("inf")))
            place, key = pick((place, key), good)
        self.keys.scatter_reduce_(0, place, key, "amin")

    def nearest(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return face int64 and depth float32 at every sample, (cells, grid * grid) each; -1 and inf for none."""
        # Split the keys, lower half first: every machine that torch runs on is little-endian.
        face, depth = self.keys.view(torch.int32).view(-1, self.grid * self.grid, 2).unbind(2)
        return face.to(torch.int64), depth.contiguous().view(torch.float32)


def farthest(depth: torch.Tensor, frames: int, height: int, width: int, tile: int) -> torch.Tensor:
    """Return the largest of values (frames * height * width,) per tile: (frames, rows of tiles, columns of tiles)."""
    high, wide = -(-height // tile), -(-width // tile)
    padded = torch.nn.functional.pad(
        depth.view(frames, height, width), (0, wide * tile - width, 0, high * tile - height)
    )
    return padded.view(frames, high, tile, wide, tile).amax(2).amax(3)
