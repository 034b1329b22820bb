"""Which pixels each triangle covers, and which triangle is nearest there: the core of rasterization, in plain torch.

Triangles come as homogeneous pixel points ``p = (X w, Y w, w)``, where (X, Y) is the place in pixels (origin at the
upper left corner) and w the depth. With ``n0 = p1 x p2`` and so on, the ray ``d = (X, Y, 1)`` hits the triangle where
all ``d . n_i`` have the sign of ``det = p0 . n0``, at ``depth = det / d . (n0 + n1 + n2)`` (Olano and Greer, *Triangle
scan conversion using 2D homogeneous coordinates*, 1997). That needs no clipping: a triangle that reaches behind the
camera just covers the pixels where its depth is beyond the near plane.

Work is spent in three widening steps, each on compact lists: triangles (those with a sample in their bounding box),
their rows (an exact interval of columns from the edge functions), the samples of the rows. The first step, which costs
as much as the others, is done once by :func:`prepare` and serves coarse and fine samples. The nearest triangle of each
sample wins by one ``scatter_reduce`` on keys that hold the depth's bits above the triangle's index.

Edge functions are float64 and grown by far less than any picture shows: no sample is lost between triangles that share
an edge or a corner, and coverage does not depend on how far off-screen a triangle reaches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from facekit.geometry.normals import cross

#: Above every key: "no triangle here".
_EMPTY = (1 << 63) - 1
_MASK = (1 << 32) - 1
#: Pixels that edges are moved outward.
_GROW = 1e-7


@dataclass(frozen=True)
class Triangles:
    """The N triangles of all frames that can be seen, ready to be sampled. Made by :func:`prepare`.

    Parameters
    ----------
    height, width, near, frames, count:
        The picture's size, the near plane, how many frames there are and how many faces each has.
    tri:
        (N,) int64, frame * count + face.
    box:
        (4, N) float32 pixels: least and greatest X, least and greatest Y, inside the picture.
    edges, sides:
        (9, N) float64 and (3, N) bool. Edge i is crossed at X = q - p Y with p in row 2 i and q in row 2 i + 1; the
        inside lies to the right of it where the bool is set. 1 / depth is r X + s Y + t, rows 6 to 8.
    front:
        (N,) bool, seen from the front.
    closest:
        (N,) float32, the nearest corner's depth.
    """

    height: int
    width: int
    near: float
    frames: int
    count: int
    tri: torch.Tensor
    box: torch.Tensor
    edges: torch.Tensor
    sides: torch.Tensor
    front: torch.Tensor
    closest: torch.Tensor

    def nearest(
        self, *, grid: int = 1, shear: float = 0.0, slots: torch.Tensor | None = None, budget: int = 128 << 20
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Index and depth of the nearest triangle at every sample.

        Parameters
        ----------
        grid:
            Samples along a pixel's side, a power of two. Sample (r, c) of a pixel lies at ((c + 0.5) / grid,
            (r + 0.5) / grid).
        shear:
            Moves the samples of even rows right and of odd rows left by this part of a pixel. With grid 2 and 1/8 the
            four samples of a pixel have four different columns, which smooths steep edges better.
        slots:
            None for all pixels, or (frames * height * width,) int64: each pixel's place in the result, -1 for none.
        budget:
            Bytes that the intermediate lists may take; more work is done in pieces.

        Returns
        -------
        tuple
            Face (slots, grid * grid) int64, -1 where nothing is, and depth (slots, grid * grid) float32, inf there.
            Samples of a pixel are ordered row by row.
        """
        pixels = self.frames * self.height * self.width
        total = pixels if slots is None else int(slots.max()) + 1 if slots.numel() else 0
        assert grid & (grid - 1) == 0
        keys = torch.full((total * grid * grid,), _EMPTY, dtype=torch.int64, device=self.tri.device)
        raster = _Raster(keys, grid, shear, slots, _counts(slots), budget)
        chosen, boxes = self._boxes(raster)
        if chosen.numel() and total:
            if slots is None:
                # Most faces seen from behind lie behind the front: draw that first, and leave out what it hides.
                front = self.front.index_select(0, chosen)
                first, back = front.nonzero()[:, 0], (~front).nonzero()[:, 0]
                self._draw(raster, chosen.index_select(0, first), boxes.index_select(1, first))
                chosen, boxes = chosen.index_select(0, back), boxes.index_select(1, back)
                rest = (~self._hidden(raster, chosen, boxes)).nonzero()[:, 0]
                chosen, boxes = chosen.index_select(0, rest), boxes.index_select(1, rest)
            self._draw(raster, chosen, boxes)
        empty = keys == _EMPTY
        face = keys & _MASK
        face = torch.where(empty, -1, face if self.frames == 1 else face % max(self.count, 1))
        depth = (keys >> 32).to(torch.int32).view(torch.float32).masked_fill(empty, float("inf"))
        return face.view(-1, grid * grid), depth.view(-1, grid * grid)

    def _boxes(self, raster: _Raster) -> tuple[torch.Tensor, torch.Tensor]:
        """Which triangles may have samples, and their boxes in samples: (4, n) int64, x0, x1, y0, y1, inclusive."""
        grid, aside = raster.grid, 0.5 + abs(raster.shear) * raster.grid
        x0, x1, y0, y1 = self.box * grid
        x0 = torch.ceil(x0 - aside).clamp_(0, self.width * grid)
        x1 = torch.floor(x1 - 1.0 + aside).clamp_(-1, self.width * grid - 1)
        y0 = torch.ceil(y0 - 0.5).clamp_(0, self.height * grid)
        y1 = torch.floor(y1 - 0.5).clamp_(-1, self.height * grid - 1)
        chosen = ((x0 <= x1) & (y0 <= y1)).nonzero()[:, 0]
        boxes = torch.stack((x0, x1, y0, y1)).index_select(1, chosen).to(torch.int64)
        if raster.slots is not None:
            some = self._touches(raster.slots, chosen, boxes >> raster.bits).nonzero()[:, 0]
            chosen, boxes = chosen.index_select(0, some), boxes.index_select(1, some)
        return chosen, boxes

    def _touches(self, slots: torch.Tensor, chosen: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Whether a box of pixels holds a wanted one, by a summed-area table."""
        wanted = (slots >= 0).view(self.frames, self.height, self.width).to(torch.int32)
        table = torch.nn.functional.pad(wanted.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0))
        flat, stride = table.view(-1), self.width + 1
        x0, x1, y0, y1 = boxes
        top, bottom = y0 * stride, (y1 + 1) * stride
        if self.frames > 1:
            start = (self.tri.index_select(0, chosen) // self.count) * ((self.height + 1) * stride)
            top, bottom = top + start, bottom + start
        x1 = x1 + 1
        take = flat.index_select
        return take(0, bottom + x1) - take(0, bottom + x0) > take(0, top + x1) - take(0, top + x0)

    def _draw(self, raster: _Raster, chosen: torch.Tensor, boxes: torch.Tensor) -> None:
        """Enter triangles into the keys: their rows, then the rows' samples, in pieces that fit the budget."""
        # About 20 numbers of 8 bytes a row and 8 a sample are alive at once.
        for lo, hi in _pieces(boxes[3] - boxes[2] + 1, raster.budget // 160):
            rows = self._rows(raster, chosen[lo:hi], boxes[:, lo:hi])
            for a, b in _pieces(rows[3] - rows[2] + 1, raster.budget // 64):
                _samples(raster, self.near, *(t[a:b] for t in rows))

    def _rows(self, raster: _Raster, chosen: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Rows with samples: triangle, first pixel of the line, first and last column, 1 / depth at the first, its step
        from column to column, and the row."""
        grid, shear, edges = raster.grid, raster.shear, self.edges
        x0, x1, y0, y1 = boxes
        local, offset = _expand(y1 - y0 + 1)
        y = y0.index_select(0, local).add_(offset)
        place = y.to(torch.float64).add_(0.5).div_(grid)
        lo, hi = (t.to(torch.float64).index_select(0, local) for t in (x0, x1))
        owner = chosen.index_select(0, local)
        # Column c lies at X = (c + 0.5) / grid + shift.
        shift = 0.5 if not shear else 0.5 + shear * grid * (1 - 2 * (y & 1)).to(torch.float64)
        for i in range(3):
            cut = edges[2 * i + 1].index_select(0, owner)
            cut.sub_(edges[2 * i].index_select(0, owner).mul_(place)).mul_(grid).sub_(shift)
            right = self.sides[i].index_select(0, owner)
            lo = torch.where(right, torch.maximum(lo, cut), lo)
            hi = torch.where(right, hi, torch.minimum(hi, cut))
        first, last = lo.ceil_(), hi.floor_()
        some = (first <= last).nonzero()[:, 0]
        owner, y, place, begin = (t.index_select(0, some) for t in (owner, y, place, first))
        first, last = begin.to(torch.int64), last.index_select(0, some).to(torch.int64)
        shift = shift if not shear else shift.index_select(0, some)
        tri = self.tri.index_select(0, owner)
        line = y >> raster.bits
        line = (line if self.frames == 1 else line + (tri // self.count) * self.height) * self.width
        r, s, t = (edges[k].index_select(0, owner) for k in (6, 7, 8))
        inverse = t.add_(s.mul_(place)).add_((begin + shift).mul_(r).div_(grid)).to(torch.float32)
        rows = (tri, line, first, last, inverse, r.div_(grid).to(torch.float32), y)
        if raster.counts is None:
            return rows
        # Rows without a wanted pixel are not worth expanding.
        before = raster.counts.index_select(0, line + (first >> raster.bits))
        some = (raster.counts.index_select(0, line + (last >> raster.bits) + 1) > before).nonzero()[:, 0]
        return tuple(t.index_select(0, some) for t in rows)

    def _hidden(self, raster: _Raster, chosen: torch.Tensor, boxes: torch.Tensor, tile: int = 8) -> torch.Tensor:
        """Which triangles lie behind everything drawn so far in the tiles that they touch (Greene et al., *Hierarchical
        Z-buffer visibility*, 1993). Exact: only triangles that span at most two tiles each way are judged."""
        if raster.grid > 1:
            return torch.zeros_like(chosen, dtype=torch.bool)
        high, wide = -(-self.height // tile), -(-self.width // tile)
        keys = torch.nn.functional.pad(
            raster.keys.view(self.frames, self.height, self.width),
            (0, wide * tile - self.width, 0, high * tile - self.height),
        )
        farthest = keys.view(self.frames, high, tile, wide, tile).amax(2).amax(3).view(-1)
        x0, x1, y0, y1 = boxes // tile
        start = (self.tri.index_select(0, chosen) // self.count) * high
        top, bottom = (start + y0) * wide, (start + y1) * wide
        take = farthest.index_select
        above = torch.maximum(take(0, top + x0), take(0, top + x1))
        below = torch.maximum(take(0, bottom + x0), take(0, bottom + x1))
        # A millionth in hand: depths there are rounded, and a tie must stay a tie.
        closest = (self.closest.index_select(0, chosen) * (1 - 1e-6)).clamp_min(0.0)
        behind = (closest.view(torch.int32).to(torch.int64) << 32) > torch.maximum(above, below)
        return behind & (x1 - x0 <= 1) & (y1 - y0 <= 1)


def prepare(
    points: torch.Tensor, faces: torch.Tensor, height: int, width: int, *, near: float, cull: bool = False
) -> Triangles:
    """Find the triangles that can be seen and their edge functions.

    Parameters
    ----------
    points:
        (B, V, 3) float64, homogeneous pixel points (X w, Y w, w).
    faces:
        (F, 3) int64.
    height, width:
        Size of the picture in pixels.
    near:
        Surfaces nearer than this depth are not seen.
    cull:
        Leave triangles out that are seen from behind (clockwise on screen).
    """
    rows = points.permute(2, 0, 1).contiguous()
    tri, box, closest = _bounds(rows, faces, height, width, near)
    edges, sides, kept, front = _edges(rows, faces, tri, cull)
    if kept.numel() < len(tri):
        tri, box, closest = tri.index_select(0, kept), box.index_select(1, kept), closest.index_select(0, kept)
    return Triangles(height, width, near, points.shape[0], len(faces), tri, box, edges, sides, front, closest)


def _bounds(
    rows: torch.Tensor, faces: torch.Tensor, height: int, width: int, near: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Triangles (frame * F + face) whose box meets the picture, the boxes (4, N) float32, and the nearest depths."""
    w = rows[2]
    ahead = w >= near
    safe = torch.where(ahead, w, torch.ones_like(w))
    place = [torch.where(ahead, row / safe, torch.zeros_like(w)).to(torch.float32).clamp(-1e6, 1e6) for row in rows[:2]]
    corners = faces.t().contiguous()
    bounds = []
    for axis in (*place, w.to(torch.float32)):
        a, b, c = (axis.index_select(1, corner) for corner in corners)
        bounds += [torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)]
    xlo, xhi, ylo, yhi, closest, farthest = bounds
    seen = farthest >= near
    crossing = (seen & (closest < near)).nonzero(as_tuple=True)
    if crossing[0].numel():
        cut = _clipped_box(rows.permute(1, 2, 0)[crossing[0][:, None], faces[crossing[1]]], near)
        xlo[crossing], xhi[crossing], ylo[crossing], yhi[crossing] = (t.to(torch.float32) for t in cut)
    # Float32 places are good to some 1e-4 pixel; the margin keeps every sample that float64 would accept.
    margin = 1e-3
    seen &= (xhi > -margin) & (xlo < width + margin) & (yhi > -margin) & (ylo < height + margin)
    tri = seen.view(-1).nonzero()[:, 0]
    box = torch.stack((xlo - margin, xhi + margin, ylo - margin, yhi + margin)).view(4, -1)
    return tri, box.index_select(1, tri), closest.reshape(-1).index_select(0, tri)


def _clipped_box(corners: torch.Tensor, near: float) -> tuple[torch.Tensor, ...]:
    """Screen bounds of what is left of (N, 3, 3) triangles beyond the near plane."""
    w = corners[..., 2]
    ahead = w >= near
    following = corners.roll(-1, 1)
    span = following[..., 2] - w
    cut = ahead != (following[..., 2] >= near)
    t = torch.where(cut, (near - w) / torch.where(cut, span, torch.ones_like(span)), torch.zeros_like(w))
    crossing = (corners + (following - corners) * t[..., None])[..., :2] / near
    own = corners[..., :2] / torch.where(ahead, w, torch.ones_like(w))[..., None]
    inf = float("inf")
    lows, highs = [], []
    for fill, out in ((inf, lows), (-inf, highs)):
        both = torch.cat((crossing.masked_fill(~cut[..., None], fill), own.masked_fill(~ahead[..., None], fill)), dim=1)
        out.extend((both.amin(1) if fill > 0 else both.amax(1)).clamp(-1e6, 1e6).unbind(1))
    return lows[0], highs[0], lows[1], highs[1]


def _edges(rows: torch.Tensor, faces: torch.Tensor, tri: torch.Tensor, cull: bool) -> tuple[torch.Tensor, ...]:
    """Edge functions and sides of :class:`Triangles`, which of ``tri`` have any, and which of those face the viewer."""
    count, batch = len(faces), rows.shape[1]
    face = tri if batch == 1 else tri % count
    corners = faces.t().contiguous().index_select(1, face)
    if batch > 1:
        corners = corners + (tri // count) * rows.shape[2]
    p = [rows.view(3, -1).index_select(1, corner) for corner in corners]
    normals = [cross(p[1], p[2]), cross(p[2], p[0]), cross(p[0], p[1])]
    total = cross(p[1] - p[0], p[2] - p[0])
    det = (p[0] * total).sum(0)
    # Seen from the front: counter-clockwise in a world with Y up is clockwise in pixels, where Y runs down.
    kept = ((det < 0 if cull else det != 0) & torch.isfinite(det)).nonzero()[:, 0]
    if kept.numel() < len(tri):
        normals = [n.index_select(1, kept) for n in normals]
        total, det = total.index_select(1, kept), det.index_select(0, kept)
    positive = det > 0
    grow = torch.where(positive, _GROW, -_GROW).to(det)
    columns, sides = [], []
    for n in normals:
        # An edge parallel to the rows has no crossing; a tiny slope sends it to the far left or right, and to the same
        # side for the two triangles that share it.
        nx = torch.where(n[0] == 0, torch.full_like(n[0], 1e-200), n[0])
        # Grown by a ten-millionth of a pixel: a sample on a corner, where rounding could put it outside every triangle
        # of the fan, belongs to all of them.
        columns += [n[1] / nx, (n[2] + grow * (nx.abs() + n[1].abs())) / -nx]
        sides.append((nx > 0) == positive)
    return torch.stack((*columns, *(total / det))), torch.stack(sides), kept, ~positive


@dataclass(frozen=True)
class _Raster:
    """Where samples go, and what :meth:`Triangles.nearest` was told. ``counts``: wanted pixels before each."""

    keys: torch.Tensor
    grid: int
    shear: float
    slots: torch.Tensor | None
    counts: torch.Tensor | None
    budget: int

    @property
    def bits(self) -> int:
        """A sample's column shifted by this is its pixel's: much faster than dividing."""
        return self.grid.bit_length() - 1


def _counts(slots: torch.Tensor | None) -> torch.Tensor | None:
    return None if slots is None else torch.nn.functional.pad((slots >= 0).to(torch.int32).cumsum(0), (1, 0))


def _samples(raster: _Raster, near: float, ids, line, first, last, inverse, slope, y) -> None:
    """Expand rows to samples and enter them into the keys."""
    grid, slots = raster.grid, raster.slots
    row, local = _expand(last - first + 1)
    depth = 1.0 / (inverse.index_select(0, row) + slope.index_select(0, row) * local.to(torch.float32))
    if grid == 1:
        place = (line + first).index_select(0, row) + local
    else:
        x = first.index_select(0, row) + local
        column = x >> raster.bits
        place = line.index_select(0, row) + column
    if slots is not None:
        place = slots.index_select(0, place)
    # Depth is positive here, so its bits order as it does. NaN and infinity fail the comparison.
    good = (depth >= near) & (depth < float("inf"))
    if slots is not None:
        good &= place >= 0
    if grid > 1:
        place = place * (grid * grid) + ((y & (grid - 1)) * grid).index_select(0, row) + (x & (grid - 1))
    key = (depth.view(torch.int32).to(torch.int64) << 32) | ids.index_select(0, row)
    if not bool(good.all()):
        place, key = place[good], key[good]
    raster.keys.scatter_reduce_(0, place, key, "amin")


def _expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For counts (2, 0, 3): owners (0, 0, 2, 2, 2) and places within the owner (0, 1, 0, 1, 2)."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if counts.numel() else 0
    owner = torch.repeat_interleave(counts, output_size=total)
    local = torch.arange(total, device=counts.device) - (ends - counts).index_select(0, owner)
    return owner, local


def _pieces(counts: torch.Tensor, limit: int) -> Iterator[tuple[int, int]]:
    """Ranges of items whose counts sum to at most ``limit`` (or hold one item)."""
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
