"""Topology tools to build the template: a Catmull-Clark step as a matrix, applied to a selection of quads.

Everything is linear in the vertex positions, so that the same sparse operator maps the mean head, its identity modes
and its expression shapes to the new topology, without cracks between refined and coarse regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class CatmullClark:
    """One Catmull-Clark step on a pure quad mesh.

    positions: sparse ``(N + E + Q, N)``, rows = smoothed old vertices, edge points, face points.
    edges: ``(E, 2)`` sorted vertex pairs; edge_of_quad: ``(Q, 4)``, side k runs from corner k to corner k +
    1.
    """

    positions: sp.csr_matrix
    edges: np.ndarray
    edge_of_quad: np.ndarray


@dataclass(frozen=True)
class RefinedMesh:
    """Triangles on the rows of a :class:`CatmullClark`, with UV indices that follow the same splits.

    faces: ``(F, 3)`` into the subdivision's rows; faces_uvs: ``(F, 3)`` into ``uvs``; quad_of_face: ``(F,)``.
    """

    faces: np.ndarray
    uvs: np.ndarray
    faces_uvs: np.ndarray
    quad_of_face: np.ndarray


def _rows(index: np.ndarray, weight: np.ndarray, n_cols: int) -> sp.csr_matrix:
    """Return a sparse matrix whose row i has ``weight[i]`` at columns ``index[i]`` (both ``(rows, k)``)."""
    n, k = index.shape
    row = np.repeat(np.arange(n), k)
    return sp.csr_matrix((weight.ravel(), (row, index.ravel())), shape=(n, n_cols))


def catmull_clark(quads: np.ndarray, n_verts: int) -> CatmullClark:
    """Return the Catmull-Clark operator of ``quads`` ``(Q, 4)`` on ``n_verts`` vertices, with the usual boundary rules.

    Vertices without quads have an empty row.
    """
    n_quads = len(quads)
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1)
    edges, inverse = np.unique(np.sort(sides.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    edge_of_quad = inverse.reshape(n_quads, 4)
    n_edges = len(edges)

    face_points = _rows(quads, np.full(quads.shape, 0.25), n_verts)
    mids = _rows(edges, np.full(edges.shape, 0.5), n_verts)
    faces_at_edge = np.bincount(edge_of_quad.ravel(), minlength=n_edges)
    interior = faces_at_edge == 2
    quad_row = np.repeat(np.arange(n_quads), 4)
    edge_faces = sp.csr_matrix((np.full(4 * n_quads, 0.25), (edge_of_quad.ravel(), quad_row)), shape=(n_edges, n_quads))
    inner = sp.diags(interior.astype(float))
    edge_points = sp.diags(np.where(interior, 0.5, 1.0)) @ mids + inner @ edge_faces @ face_points

    on_border = np.zeros(n_verts, bool)
    on_border[edges[~interior].ravel()] = True
    used = np.zeros(n_verts, bool)
    used[quads.ravel()] = True
    valence = np.maximum(np.bincount(quads.ravel(), minlength=n_verts), 1).astype(float)
    mean_face = sp.csr_matrix((np.ones(4 * n_quads), (quads.ravel(), quad_row)), shape=(n_verts, n_quads)) @ face_points
    ends = edges.ravel()
    edge_row = np.repeat(np.arange(n_edges), 2)
    at_vertex = sp.csr_matrix((np.ones(2 * n_edges), (ends, edge_row)), shape=(n_verts, n_edges))
    smooth = sp.diags(1 / valence**2) @ mean_face + sp.diags(2 / valence**2) @ (at_vertex @ mids)
    smooth = smooth + sp.diags((valence - 3) / valence) @ sp.identity(n_verts)
    border_edges = sp.diags((~interior).astype(float))
    border = 0.25 * (at_vertex @ border_edges @ mids) + 0.5 * sp.identity(n_verts)
    verts = sp.diags((used & ~on_border).astype(float)) @ smooth + sp.diags((used & on_border).astype(float)) @ border
    positions = sp.csr_matrix(sp.vstack([verts, edge_points, face_points]))
    return CatmullClark(positions, edges, edge_of_quad)


def close_selection(selected: np.ndarray, edge_of_quad: np.ndarray, min_split: int = 3) -> np.ndarray:
    """Grow a quad selection ``(Q,)`` until no coarse quad has ``min_split`` or more split sides."""
    selected = selected.copy()
    while True:
        split = np.zeros(edge_of_quad.max() + 1, bool)
        split[edge_of_quad[selected].ravel()] = True
        more = ~selected & (split[edge_of_quad].sum(1) >= min_split)
        if not more.any():
            return selected
        selected |= more


@lru_cache(maxsize=64)
def _triangulations(kinds: tuple[bool, ...]) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """Return all triangulations of a polygon; ``kinds[i]`` is true if corner i is the midpoint of a straight side.

    Triangles that are degenerate in UV (a corner, the midpoint, the next corner) are excluded.
    """
    n = len(kinds)

    def flat(i: int, j: int, k: int) -> bool:
        turns = ((i, j, k), (j, k, i), (k, i, j))
        return any(kinds[b] and (b - 1) % n == a and (b + 1) % n == c for a, b, c in turns)

    def fill(lo: int, hi: int) -> list[tuple[tuple[int, int, int], ...]]:
        if hi - lo < 2:
            return [()]
        out = []
        for mid in range(lo + 1, hi):
            if not flat(lo, mid, hi):
                out += [a + b + ((lo, mid, hi),) for a in fill(lo, mid) for b in fill(mid, hi)]
        return out

    return tuple(fill(0, n - 1))


def _best_triangulation(kinds: tuple[bool, ...], points: np.ndarray) -> tuple[tuple[int, int, int], ...]:
    """Return the triangulation of least total side length; near ties are decided by the distance from the plane x = 0,
    so that both halves of a face have mirrored diagonals. ``points``: ``(n, 3)`` mm.
    """
    dist = np.linalg.norm(points[:, None] - points[None], axis=-1)
    cost = dist + 1e-3 * np.abs(points[:, 0])[:, None] + 1e-3 * np.abs(points[:, 0])[None]
    options = _triangulations(kinds)
    totals = [sum(cost[a, b] + cost[b, c] + cost[c, a] for a, b, c in tris) for tris in options]
    return options[int(np.argmin(np.round(totals, 4)))]


def refine(
    quads: np.ndarray,
    quads_uv: np.ndarray,
    uvs: np.ndarray,
    subdivision: CatmullClark,
    selected: np.ndarray,
    points: np.ndarray,
) -> RefinedMesh:
    """Triangulate, splitting each selected quad into four and joining its coarse neighbours without T-junctions.

    quads, quads_uv: ``(Q, 4)``; uvs: ``(T, 2)``; selected: ``(Q,)`` bool; points: ``(rows, 3)`` mm, the
    positions ``subdivision`` gives on the mean head (they decide the diagonals). New UVs are exact
    midpoints and quad centres.
    """
    n_edges = len(subdivision.edges)
    n_verts = len(points) - n_edges - len(quads)
    split = np.zeros(n_edges, bool)
    split[subdivision.edge_of_quad[selected].ravel()] = True
    new_uvs = list(uvs)
    uv_of_side: dict[tuple[int, int], int] = {}

    def side_uv(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in uv_of_side:
            uv_of_side[key] = len(new_uvs)
            new_uvs.append((uvs[a] + uvs[b]) / 2)
        return uv_of_side[key]

    faces, faces_uvs, owner = [], [], []

    def emit(corner: list[tuple[int, int]], kinds: tuple[bool, ...], quad: int) -> None:
        for tri in _best_triangulation(kinds, points[[v for v, _ in corner]]):
            faces.append([corner[k][0] for k in tri])
            faces_uvs.append([corner[k][1] for k in tri])
            owner.append(quad)

    for q in range(len(quads)):
        v, t, e = quads[q], quads_uv[q], subdivision.edge_of_quad[q]
        mid = [(n_verts + int(e[k]), side_uv(t[k], t[(k + 1) % 4])) if split[e[k]] else None for k in range(4)]
        if selected[q]:
            sides = [point for point in mid if point is not None]  # all four are split
            centre = (n_verts + n_edges + q, len(new_uvs))
            new_uvs.append(uvs[t].mean(0))
            for k in range(4):
                emit([(int(v[k]), int(t[k])), sides[k], centre, sides[k - 1]], (False,) * 4, q)
        else:
            corner, kinds = [], []
            for k in range(4):
                corner.append((int(v[k]), int(t[k])))
                kinds.append(False)
                if mid[k] is not None:
                    corner.append(mid[k])
                    kinds.append(True)
            emit(corner, tuple(kinds), q)
    return RefinedMesh(np.array(faces), np.array(new_uvs), np.array(faces_uvs), np.array(owner))


def compact(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(used, renumbered)``: the sorted values in ``index``, and ``index`` in that numbering."""
    used, inverse = np.unique(index, return_inverse=True)
    return used, inverse.reshape(index.shape)


def components(faces: np.ndarray, n: int) -> np.ndarray:
    """Return the label ``(n,)`` of each index's connected component; ``faces`` ``(F, k)``."""
    a = faces.ravel()
    b = np.roll(faces, -1, axis=1).ravel()
    return connected_components(sp.coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)[1]


def adjacency(faces: np.ndarray, n: int) -> sp.csr_matrix:
    """Return the symmetric 0/1 vertex adjacency ``(n, n)`` of a mesh."""
    a = np.concatenate([faces[:, k] for k in range(faces.shape[1])])
    b = np.concatenate([np.roll(faces, -1, axis=1)[:, k] for k in range(faces.shape[1])])
    matrix = sp.coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)).tocsr()
    return ((matrix + matrix.T) > 0).astype(np.float64)


def grow(seed: np.ndarray, links: sp.csr_matrix, rings: int, barrier: np.ndarray | None = None) -> np.ndarray:
    """Grow a vertex set ``(n,)`` bool by edge rings; vertices of ``barrier`` are reached but not passed."""
    reached = seed.copy()
    for _ in range(rings):
        front = reached if barrier is None else reached & ~barrier
        larger = reached | (links @ front.astype(float) > 0)
        if larger.sum() == reached.sum():
            break
        reached = larger
    return reached


def face_normals(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return unnormalised face normals (length = twice the area), ``(F, 3)``."""
    a, b, c = verts[faces[:, 0]], verts[faces[:, 1]], verts[faces[:, 2]]
    return np.cross(b - a, c - a)
