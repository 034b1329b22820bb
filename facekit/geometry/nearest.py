"""Nearest neighbours in space: exact, and quick where queries and points lie on surfaces."""

from __future__ import annotations

import torch

from facekit.geometry.lists import expand, flat_indices

#: Side, mm, of the cubes that points and queries are grouped by; what radii are enlarged by, mm: more than distances
#: are rounded by.
_CELL, _SLACK = 12.0, 0.1


class Cloud:
    """Points grouped by cubes, to look up the nearest of them.

    Parameters
    ----------
    points:
        (M, 3) float32, mm; at least as many as are sought.
    """

    def __init__(self, points: torch.Tensor) -> None:
        self.points = points
        cell, self._middle, self._radius, self._held = _cells(points)
        self._order = cell.argsort(stable=True)
        self._start = self._held.cumsum(0) - self._held

    def near(self, queries: torch.Tensor, count: int, reach: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the ``count`` nearest points of those queries (N, 3) mm whose nearest one is closer than ``reach``, mm.

        Returns the indices (n,) int64 of these queries, in order, and of their points (n, count) int64, nearest first.
        """
        group, middle, radius, _ = _cells(queries)
        away = torch.cdist(middle, self._middle)
        least = away - self._radius
        # Groups that are near at all are few for hair that hangs; they get new numbers.
        near = flat_indices(least.amin(1) < reach + radius)
        number = torch.full_like(radius, -1, dtype=torch.long).index_copy_(0, near, torch.arange(len(near)).to(group))
        away, least, radius = away[near], least[near], radius[near, None]
        rows = flat_indices(number[group] >= 0)
        group = number[group[rows]]
        # As many of the nearest cells as hold enough points bound the distance of a query's last neighbour.
        bound, order = (away + self._radius).topk(min(count, away.shape[1]), dim=1, largest=False)
        enough = (self._held[order].cumsum(1) < count).sum(1, keepdim=True).clamp_max(order.shape[1] - 1)
        pair = flat_indices(least <= bound.gather(1, enough) + 2 * radius)
        one, cell = pair // away.shape[1], pair % away.shape[1]
        # The points in the cells of each group in one list, where each group's begin, and how many they are.
        held = self._held[cell]
        owner, local = expand(held)
        places = self._order[self._start[cell][owner] + local]
        many = torch.zeros_like(near).index_add_(0, one, held)
        begin, many = (many.cumsum(0) - many)[group], many[group]
        owner, local = expand(many)
        place = places[begin[owner] + local]
        width = max(count, int(many.max())) if len(rows) else count
        square = torch.zeros_like(local, dtype=queries.dtype)
        for own, other in zip(queries[rows].unbind(1), self.points.unbind(1), strict=True):
            square += (own.index_select(0, owner) - other.index_select(0, place)).square_()
        table = queries.new_full((len(rows), width), torch.inf)
        table.view(-1)[owner * width + local] = square
        square, index = table.topk(count, dim=1, largest=False)
        close = flat_indices(square[:, 0] < reach**2)
        return rows[close], places[(begin[:, None] + index)[close]]


def _cells(points: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Group points (N, 3) by cubes: the group (N,) int64 of each, the groups' middles (G, 3), their radii (G,), and how
    many points they hold, (G,) int64.
    """
    corner = torch.div(points - points.amin(0), _CELL, rounding_mode="floor").long()
    size = corner.amax(0) + 1
    key = (corner[:, 0] * size[1] + corner[:, 1]) * size[2] + corner[:, 2]
    group = key.unique(return_inverse=True)[1]
    held = torch.bincount(group)
    middle = points.new_zeros(len(held), 3).index_add_(0, group, points) / held[:, None]
    radius = points.new_zeros(len(held)).scatter_reduce_(0, group, (points - middle[group]).norm(dim=1), "amax")
    return group, middle, radius + _SLACK, held
