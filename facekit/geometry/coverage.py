"""Core of the rasterizer in plain torch: the samples that triangles cover.

Triangles come as homogeneous pixel points ``p = (X w, Y w, w)``, where (X, Y) is the position in pixels (origin at the
upper left corner) and w the depth. With ``n0 = p1 x p2`` and so on, the ray ``d = (X, Y, 1)`` hits the triangle where
all ``d . n_i`` have the sign of ``det = p0 . n0``, at ``depth = det / d . (n0 + n1 + n2)`` (Olano and Greer, *Triangle
scan conversion using 2D homogeneous coordinates*, 1997). This needs no clipping: a triangle that extends behind the
camera covers just the pixels where its depth is beyond the near plane.

The work expands in three steps, each on compact lists: triangles (those with a sample in their bounding box), their
rows (an exact interval of columns from the edge functions), the samples of the rows. The first step, which costs as
much as the others together, is done once by :func:`prepare` for coarse and fine samples. The nearest triangle per
sample is found by :mod:`facekit.geometry.raster`.

Edge functions are float64, with triangles enlarged by far less than is visible: no sample is lost between triangles
that share an edge or a corner, and coverage does not depend on how far a triangle extends off-screen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from facekit.geometry.lists import expand, flat_indices, pick, pieces
from facekit.geometry.raster import Raster, farthest
from facekit.geometry.triangles import bounds, edge_functions

#: Sides in pixels of the tiles in which triangles are tested against the largest depths: small ones are tighter, large
#: ones hold larger triangles.
_TILES = (16, 32)
#: Number of triangles up to which those without a wanted cell are not sought: that takes longer than their rows.
_MANY = 2000


@dataclass(frozen=True)
class Triangles:
    """The N visible triangles of all frames, ready to be sampled. Made by :func:`prepare`.

    Parameters
    ----------
    height, width, near, frames:
        Size of the picture, near plane, and number of frames.
    face, start:
        (N,) int64: face index, and first row of its frame when all frames are stacked vertically.
    box:
        (4, N) float32, pixels: bounding box within the picture as min X, max X, min Y, max Y.
    edges:
        12 rows (N,) float64. Edge i is crossed at X = q - p Y with p in row i. The inside lies to the right of q in row
        3 + i and to the left of q in row 6 + i; the one that does not bound it is infinite. 1 / depth is
        r X + s Y + t, rows 9 to 11.
    front:
        (N,) bool: front-facing.
    closest:
        (N,) float32: depth of the nearest corner.
    """

    height: int
    width: int
    near: float
    frames: int
    face: torch.Tensor
    start: torch.Tensor
    box: torch.Tensor
    edges: list[torch.Tensor]
    front: torch.Tensor
    closest: torch.Tensor

    def only(self, faces: torch.Tensor) -> Triangles:
        """Return the triangles of certain faces, (F,) uint8 or bool."""
        kept = flat_indices(faces.index_select(0, self.face))
        face, start, front, closest, *edges = pick((self.face, self.start, self.front, self.closest, *self.edges), kept)
        box = self.box.index_select(1, kept)
        return replace(self, face=face, start=start, box=box, edges=edges, front=front, closest=closest)

    def nearest(
        self,
        *,
        scale: int = 1,
        grid: int = 1,
        shear: float = 0.0,
        slots: torch.Tensor | None = None,
        budget: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return index and depth of the nearest triangle at every sample.

        Parameters
        ----------
        scale:
            Number of cells along a pixel's side, a power of two: the factor by which the picture is supersampled.
        grid:
            Number of samples along a cell's side, a power of two. Sample (r, c) of a cell lies at ((c + 0.5) / grid, (r
            + 0.5) / grid).
        shear:
            Offset of the samples of even rows to the right and of odd rows to the left, as a fraction of a cell. With
            grid 2 and 1/8 the four samples of a cell have four different columns, which smooths steep edges better.
        slots:
            None for all cells, or (frames * height * width * scale²,) int64: each cell's row in the result, -1 for
            none.
        budget:
            Memory for intermediate lists in bytes; more work is done in chunks. None for the device's default.

        Returns
        -------
        tuple
            Face (slots, grid * grid) int64, -1 for none, and depth (slots, grid * grid) float32, inf for none. Samples
            of a cell are ordered row by row.
        """
        cells = self.frames * self.height * self.width * scale * scale
        total = cells if slots is None else int(slots.max()) + 1 if slots.numel() else 0
        assert grid & (grid - 1) == 0 and scale & (scale - 1) == 0
        raster = Raster.of(total * grid * grid, self.face.device, scale, grid, shear, slots, budget)
        chosen, boxes = self._boxes(raster)
        if chosen.numel() and total:
            if slots is None:
                # Most back-facing triangles are hidden: draw front-facing ones first, and skip what they hide.
                front = self.front.index_select(0, chosen)
                first, back = flat_indices(front), flat_indices(~front)
                self._draw(raster, chosen.index_select(0, first), pick(boxes, first))
                chosen, boxes = chosen.index_select(0, back), pick(boxes, back)
                if grid == 1:
                    most = farthest(raster.keys, self.frames, self.height * scale, self.width * scale, 8)
                    chosen, boxes = self._before(most, chosen, boxes, 8)
            self._draw(raster, chosen, boxes)
        return raster.nearest()

    def fragments(
        self,
        limit: torch.Tensor,
        *,
        scale: int = 1,
        grid: int = 1,
        shear: float = 0.0,
        slots: torch.Tensor | None = None,
        budget: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all triangles at every sample, not only the nearest, in no particular order.

        Parameters
        ----------
        limit:
            (frames * height * width * scale²,) float32, or (slots,) with slots: largest depth to return.
        scale, grid, shear, slots, budget:
            See :meth:`nearest`.

        Returns
        -------
        tuple
            Sample (P,) int64, a flat index into the result of :meth:`nearest`; and key (P,) int64 with the depth's bits
            in the upper half, so that keys sort by depth, and the face in the lower.
        """
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        raster = Raster.of(0, self.face.device, scale, grid, shear, slots, budget, limit, found)
        if len(limit):
            chosen, boxes = self._boxes(raster)
            if slots is None and grid == 1:
                # Half of a head's hair is behind the head.
                size = self.frames, self.height * scale, self.width * scale
                for tile in _TILES:
                    most = farthest(limit, *size, tile)
                    bits = most.view(torch.int32).to(torch.int64) << 32
                    chosen, boxes = self._before(bits, chosen, boxes, tile)
            self._draw(raster, chosen, boxes)
        if not found:
            return self.face.new_empty(0), self.face.new_empty(0)
        if len(found) == 1:
            return found[0]
        place, key = zip(*found, strict=True)
        return torch.cat(place), torch.cat(key)

    def _boxes(self, raster: Raster) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return triangles that may cover samples, and their boxes in samples: int64 rows x0, x1, y0, y1, inclusive."""
        fine, aside = raster.fine, 0.5 + abs(raster.shear) * raster.grid
        x0, x1, y0, y1 = self.box * fine
        x0 = torch.ceil(x0 - aside).clamp_(0, self.width * fine)
        x1 = torch.floor(x1 - 1.0 + aside).clamp_(-1, self.width * fine - 1)
        y0 = torch.ceil(y0 - 0.5).clamp_(0, self.height * fine)
        y1 = torch.floor(y1 - 0.5).clamp_(-1, self.height * fine - 1)
        chosen = flat_indices((x0 <= x1) & (y0 <= y1))
        boxes = [row.to(torch.int64) for row in pick((x0, x1, y0, y1), chosen)]
        if raster.slots is not None and len(chosen) > _MANY:
            some = flat_indices(self._touches(raster, chosen, [row >> raster.bits for row in boxes]))
            chosen, boxes = chosen.index_select(0, some), pick(boxes, some)
        return chosen, boxes

    def _touches(self, raster: Raster, chosen: torch.Tensor, boxes: list[torch.Tensor]) -> torch.Tensor:
        """Return which boxes contain a wanted cell, using a summed-area table."""
        height, width = self.height * raster.scale, self.width * raster.scale
        assert raster.slots is not None
        wanted = (raster.slots >= 0).view(self.frames, height, width).to(torch.int32)
        # Transposed in between, and left so: sums along rows take a fifth of the time of those along columns.
        table = wanted.cumsum(2, dtype=torch.int32).transpose(1, 2).contiguous().cumsum(2, dtype=torch.int32)
        flat, stride = torch.nn.functional.pad(table, (1, 0, 1, 0)).view(-1), height + 1
        x0, x1, y0, y1 = boxes
        left, right = x0 * stride, (x1 + 1) * stride
        if self.frames > 1:
            start = (self.start.index_select(0, chosen) // self.height) * ((width + 1) * stride)
            left, right = left + start, right + start
        y1 = y1 + 1
        take = flat.index_select
        return take(0, right + y1) - take(0, left + y1) > take(0, right + y0) - take(0, left + y0)

    def _draw(self, raster: Raster, chosen: torch.Tensor, boxes: list[torch.Tensor]) -> None:
        """Rasterise triangles into the keys: their rows, then the rows' samples, in chunks that fit the budget."""
        # About 20 numbers of 8 bytes per row and 8 per sample are alive at once.
        for lo, hi in pieces(boxes[3] - boxes[2] + 1, raster.budget // 160):
            rows = self._rows(raster, chosen[lo:hi], [row[lo:hi] for row in boxes])
            for a, b in pieces(rows[3] - rows[2] + 1, raster.budget // 64):
                raster.write(self.near, *(t[a:b] for t in rows))

    def _rows(self, raster: Raster, chosen: torch.Tensor, boxes: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Return rows with samples: face, first cell of the line, first and last column, 1 / depth at the first, its
        step per column, and the row.
        """
        fine, shear, edges = raster.fine, raster.shear, self.edges
        x0, x1, y0, y1 = boxes
        local, offset = expand(y1 - y0 + 1)
        y = offset.add_(y0.index_select(0, local))
        line = y >> raster.bits
        if self.frames > 1:
            line = line + self.start.index_select(0, chosen.index_select(0, local)) * raster.scale
        line = line * (self.width * raster.scale)
        if raster.counts is not None:
            # Rows of boxes without a wanted cell need not be computed.
            before = raster.counts.index_select(0, line + (x0 >> raster.bits).index_select(0, local))
            after = raster.counts.index_select(0, line + (x1 >> raster.bits).add_(1).index_select(0, local))
            local, y, line = pick((local, y, line), flat_indices(after > before))
        place = y.to(torch.float64).add_(0.5).div_(fine)
        owner = chosen.index_select(0, local)
        # The centre of column c has X = (c + shift) / fine.
        shift = place.new_tensor([0.5])
        if shear:
            shift = (1 - 2 * (y & 1)).to(torch.float64).mul_(shear * raster.grid).add_(0.5)
        spans = []
        for i in range(3):
            lean, left, right = pick(edges[i::3][:3], owner)
            lean.mul_(place)
            spans.append((left.sub_(lean), right.sub_(lean)))
        (lower, upper), *others = spans
        for left, right in others:
            torch.maximum(lower, left, out=lower)
            torch.minimum(upper, right, out=upper)
        first, last = (t.mul_(fine).sub_(shift) for t in (lower, upper))
        torch.maximum(first, x0.to(torch.float64).index_select(0, local), out=first).ceil_()
        torch.minimum(last, x1.to(torch.float64).index_select(0, local), out=last).floor_()
        some = flat_indices(first <= last)
        owner, y, line, place, begin = pick((owner, y, line, place, first), some)
        first, last = begin.to(torch.int64), last.index_select(0, some).to(torch.int64)
        shift = shift if not shear else shift.index_select(0, some)
        r, s, t = pick(edges[9:], owner)
        inverse = t.add_(s.mul_(place)).add_((begin + shift).mul_(r).div_(fine)).to(torch.float32)
        return self.face.index_select(0, owner), line, first, last, inverse, r.div_(fine).to(torch.float32), y

    def _before(
        self, most: torch.Tensor, chosen: torch.Tensor, boxes: list[torch.Tensor], tile: int
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the triangles, and their boxes, that are not behind the farthest keys ``most`` of the tiles that they
        touch (Greene et al., *Hierarchical Z-buffer visibility*, 1993). Exact; only triangles that span at most two
        tiles in each direction are tested.
        """
        _, high, wide = most.shape
        x0, x1, y0, y1 = (row >> (tile.bit_length() - 1) for row in boxes)
        start = (self.start.index_select(0, chosen) // self.height) * high
        top, bottom = (start + y0) * wide, (start + y1) * wide
        take = most.view(-1).index_select
        above = torch.maximum(take(0, top + x0), take(0, top + x1))
        below = torch.maximum(take(0, bottom + x0), take(0, bottom + x1))
        # Tolerance of a millionth: stored depths are rounded, and a tie must stay a tie.
        closest = (self.closest.index_select(0, chosen) * (1 - 1e-6)).clamp_min(0.0)
        behind = (closest.view(torch.int32).to(torch.int64) << 32) > torch.maximum(above, below)
        rest = flat_indices(~(behind & (x1 - x0 <= 1) & (y1 - y0 <= 1)))
        return chosen.index_select(0, rest), pick(boxes, rest)


def prepare(
    points: torch.Tensor, faces: torch.Tensor, height: int, width: int, *, near: float, cull: bool = False
) -> Triangles:
    """Find the visible triangles and their edge functions.

    Parameters
    ----------
    points:
        (B, V, 3) float64, homogeneous pixel points (X w, Y w, w).
    faces:
        (F, 3) int64.
    height, width:
        Size of the picture in pixels.
    near:
        Depth of the near plane.
    cull:
        Skip back-facing triangles (clockwise on screen).
    """
    rows = points.permute(2, 0, 1).contiguous()
    tri, box, closest = bounds(rows, faces, height, width, near)
    edges, kept, front = edge_functions(rows, faces, tri, cull)
    if kept.numel() < len(tri):
        tri, box, closest = tri.index_select(0, kept), box.index_select(1, kept), closest.index_select(0, kept)
    count, frames = len(faces), points.shape[0]
    face, start = (tri, torch.zeros_like(tri)) if frames == 1 else (tri % count, tri // count * height)
    return Triangles(height, width, near, frames, face, start, box, edges, front, closest)
