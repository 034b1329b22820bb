"""Strain of a surface relative to its rest shape: edge tension and directional strain.

Both compare lengths of the same material line before and after. *Edge tension* averages the edges around a vertex
(Raman et al., *Mesh-tension driven expression-based wrinkles for synthetic faces*, WACV 2023)::

    t_i = 1 - mean_j |e'_ij| / |e_ij|

so that compression in one direction and stretch in the other cancel. *Directional strain* is measured along one line p
per face, for instance across a furrow, ``s = 1 - |F p| / |p|`` with F the deformation gradient. Both are positive where
skin is compressed, negative where it is stretched, 0 under rigid motion, and 1 - k under scaling by k.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.errors import InputError
from facekit.geometry.lists import unique_pairs

# Change of relative edge length that indicates vertices in another order.
_ORDER_JUMP = 8.0


@dataclass(frozen=True)
class StrainGraph:
    """Edges of a topology, preprocessed for strain by :meth:`of`.

    Parameters
    ----------
    edges:
        (2, E) int64: each edge once.
    share:
        (V,) float64: one over the number of edges at a vertex; 0 if there are none.
    """

    edges: torch.Tensor
    share: torch.Tensor

    @classmethod
    def of(cls, faces: torch.Tensor, vertices: int) -> StrainGraph:
        """Build the graph for faces (F, 3) int64 over ``vertices`` vertices, on the faces' device."""
        if faces.ndim != 2 or faces.shape[1] != 3 or faces.is_floating_point() or not faces.numel():
            raise InputError("faces (F, 3) of integers", f"{tuple(faces.shape)} {faces.dtype}", "pass mesh.faces")
        if int(faces.min()) < 0 or int(faces.max()) >= vertices:
            raise InputError(
                f"faces between 0 and {vertices - 1}", f"{int(faces.min())} to {int(faces.max())}", "check the topology"
            )
        pairs = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        edges = unique_pairs(pairs, vertices)[0].t().contiguous()
        return cls(edges, _share(edges, vertices))

    @property
    def vertices(self) -> int:
        """Number of vertices, V."""
        return len(self.share)

    def tension(self, rest: torch.Tensor, posed: torch.Tensor) -> torch.Tensor:
        """Return per-vertex edge tension (B, V): positive is compressed, negative stretched. Differentiable.

        Parameters
        ----------
        rest, posed:
            (B, V, 3) float: the neutral face (zero expression code) and the posed face, in the same unit; B of either
            may be 1.

        Raises
        ------
        InputError
            If the number or order of vertices differs, values are NaN, or an edge has zero rest length.
        """
        self.check(rest, posed)
        a, b = self.edges

        def lengths(verts: torch.Tensor) -> torch.Tensor:
            return _length([row.index_select(1, b) - row.index_select(1, a) for row in _rows(verts)])

        return _mean(_strain(lengths(rest), lengths(posed)), self.edges, self.share)

    def along(self, rest: torch.Tensor, posed: torch.Tensor, lines: Lines) -> torch.Tensor:
        """Return per-vertex directional strain (B, V), the mean over a vertex's lines; 0 without lines. Differentiable.

        Parameters
        ----------
        rest, posed:
            As in :meth:`tension`, with the same checks.
        lines:
            From :func:`lines_across`.
        """
        self.check(rest, posed)
        first, second = lines.weights.to(posed)

        def lengths(verts: torch.Tensor) -> torch.Tensor:
            parts = []
            for row in _rows(verts):
                i, j, k = (row.index_select(1, corner) for corner in lines.faces)
                parts.append(first * (j - i) + second * (k - i))
            return _length(parts)

        return _mean(_strain(lengths(rest), lengths(posed)), lines.faces, lines.share)

    def smooth(self, values: torch.Tensor, rounds: int) -> torch.Tensor:
        """Average values (B, V) with the mean of their neighbours, in equal parts, ``rounds`` times."""
        a, b = self.edges
        for _ in range(rounds):
            both = torch.cat((values.index_select(1, b), values.index_select(1, a)), dim=1)
            around = _mean(both, torch.cat((a, b))[None], self.share)
            values = torch.where(self.share > 0, 0.5 * (values + around), values)
        return values

    def check(self, rest: torch.Tensor, posed: torch.Tensor) -> None:
        """Raise InputError unless both are (B, V, 3) with this topology's number and order of vertices."""
        for name, verts in (("rest", rest), ("posed", posed)):
            if verts.ndim != 3 or verts.shape[1:] != (self.vertices, 3) or not verts.is_floating_point():
                raise InputError(
                    f"{name} vertices (B, {self.vertices}, 3) float",
                    f"{tuple(verts.shape)} {verts.dtype}",
                    "pass vertices of the mesh that the topology was set up for",
                )
        if len(rest) != len(posed) and 1 not in (len(rest), len(posed)):
            raise InputError("as many rest shapes as posed ones, or one", f"{len(rest)} and {len(posed)}", "match them")
        # A single check of sums: infinity and NaN survive addition.
        span = [float(_edge_share(verts.detach(), self.edges)) for verts in (rest, posed)]
        if not all(value == value and value < float("inf") for value in span):
            raise InputError("finite vertices", "NaN or infinity", "check where the mesh comes from")
        if span[1] > _ORDER_JUMP * span[0] or span[0] > _ORDER_JUMP * span[1]:
            raise InputError(
                "rest and posed vertices in the same order",
                f"edges of {span[0]:.1%} and {span[1]:.1%} of the mesh's size",
                "take both from the same topology, in its own vertex order",
            )


@dataclass(frozen=True)
class Lines:
    """One line per face for n faces: on face (i, j, k) it is ``weights[0] (v_j - v_i) + weights[1] (v_k - v_i)``.

    Parameters
    ----------
    faces:
        (3, n) int64: vertices of the faces.
    weights:
        (2, n) float64.
    share:
        (V,) float64: one over the number of lines at a vertex; 0 if there are none.
    """

    faces: torch.Tensor
    weights: torch.Tensor
    share: torch.Tensor


def lines_across(
    verts: torch.Tensor, faces: torch.Tensor, uvs: torch.Tensor, faces_uvs: torch.Tensor, along: torch.Tensor
) -> Lines:
    """Return unit lines on the surface that are orthogonal to directions given in UV.

    Parameters
    ----------
    verts:
        (V, 3) float: the rest shape, on which they are orthogonal.
    faces, faces_uvs:
        (F, 3) int64.
    uvs:
        (T, 2) float.
    along:
        (F, 2) float: a UV direction per face, for instance along a furrow; (0, 0) for none. Degenerate faces, in space
        or in UV, get no line.
    """
    a, b, c = (verts[faces[:, k]].double() for k in range(3))
    p, q, r = (uvs[faces_uvs[:, k]].double() for k in range(3))
    area = _wedge(q - p, r - p)
    safe = torch.where(area == 0, 1.0, area)
    # Barycentric components of the UV direction in the face, by Cramer's rule.
    u = _wedge(along.double(), r - p) / safe
    v = _wedge(q - p, along.double()) / safe
    e, f = b - a, c - a
    furrow = u[:, None] * e + v[:, None] * f
    # With the face's metric (E, G, H), (x, y) is orthogonal to (u, v) if x (uE + vG) + y (uG + vH) = 0.
    across = torch.stack((-(f * furrow).sum(-1), (e * furrow).sum(-1)))
    length = (across[0, :, None] * e + across[1, :, None] * f).norm(dim=-1)
    good = (area != 0) & (length > 1e-12)
    corners = faces[good].t().contiguous()
    return Lines(corners, across[:, good] / length[good], _share(corners, len(verts)))


def _rows(verts: torch.Tensor) -> list[torch.Tensor]:
    """Split (B, V, 3) into three (B, V): torch gathers one row of numbers at a time fastest."""
    return [row.contiguous() for row in verts.unbind(-1)]


def _length(parts: list[torch.Tensor]) -> torch.Tensor:
    square = parts[0] * parts[0] + parts[1] * parts[1] + parts[2] * parts[2]
    # The gradient of the root at zero would be NaN: lines of zero length have no gradient.
    empty = square == 0
    return torch.where(empty, 0.0, torch.where(empty, 1.0, square).sqrt())


def _strain(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return 1 - |after| / |before| of lines, (B, n)."""
    empty = int((before == 0).sum())
    if empty:
        raise InputError(
            "edges with non-zero rest length", f"{empty} of zero length", "merge or remove collapsed triangles"
        )
    return 1 - after / before


def _share(ends: torch.Tensor, count: int) -> torch.Tensor:
    number = torch.bincount(ends.reshape(-1), minlength=count).double()
    return torch.where(number > 0, 1 / number.clamp_min(1), 0.0)


def _mean(values: torch.Tensor, ends: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return per-vertex means of values on edges or faces: (B, n) to (B, V)."""
    if values.requires_grad:
        total = values.new_zeros(len(values), len(share))
        for end in ends:
            total = total.index_add(1, end, values)
        return total * share.to(values)
    rows = []
    for row in values:  # one dimension at a time is fastest on a CPU
        total = row.new_zeros(len(share))
        for end in ends:
            total.index_add_(0, end, row)
        rows.append(total)
    return torch.stack(rows) * share.to(values)


def _edge_share(verts: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Return the mean edge length relative to the extent of the first mesh; NaN or infinite if any coordinate is."""
    some = edges[:, :: max(1, edges.shape[1] // 4096)]
    length = (verts[0, some[1]] - verts[0, some[0]]).norm(dim=-1).mean()
    return length / (verts[0].amax(0) - verts[0].amin(0)).norm().clamp_min(1e-30) + 0.0 * verts.sum()


def _wedge(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
