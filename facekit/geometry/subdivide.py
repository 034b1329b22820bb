"""Subdivision of triangles into four, and the smooth surface through the vertices.

New vertices lie at edge midpoints and come after the old ones, which keep their indices. Positions and UVs have
separate topologies and are split separately: a UV seam cannot open the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.geometry.lists import unique_pairs

#: Interpolation factor from the flat triangle to the tangent planes. The paper takes 0.75 for its appearance; 0.5
#: reproduces quadratic surfaces exactly, and curved surfaces touch the tangent planes at the vertices.
PHONG_SHAPE = 0.5


@dataclass(frozen=True)
class Subdivision:
    """Triangles with their shared edges.

    Parameters
    ----------
    faces:
        (F, 3) int64.
    edges:
        (E, 2) int64: the ends of each edge; every edge occurs once.
    sides:
        (F, 3) int64: the edges of each triangle, the first from its first corner to its second, and so on around.
    vertices:
        V, the number of vertices, used or not.
    """

    faces: torch.Tensor
    edges: torch.Tensor
    sides: torch.Tensor
    vertices: int

    @classmethod
    def of(cls, faces: torch.Tensor, vertices: int) -> Subdivision:
        """Build it for faces (F, 3) int64 over ``vertices`` vertices."""
        ends = torch.stack((faces, faces.roll(-1, 1)), dim=-1).view(-1, 2)
        edges, side = unique_pairs(ends, vertices)
        return cls(faces, edges, side.view(-1, 3), vertices)

    def counts(self, level: int) -> tuple[int, int]:
        """Return the numbers of vertices and triangles after ``level`` splits."""
        vertices, edges, faces = self.vertices, len(self.edges), len(self.faces)
        for _ in range(level):
            vertices, edges, faces = vertices + edges, 2 * edges + 3 * faces, 4 * faces
        return vertices, faces

    def split_faces(self) -> torch.Tensor:
        """Return four triangles for each, (4 F, 3): those at its corners, then the middle one."""
        a, b, c = self.faces.unbind(1)
        ab, bc, ca = (self.sides + self.vertices).unbind(1)
        rows = (a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1).view(-1, 3)

    def split(self) -> Subdivision:
        """Split once. Edges are derived from the coarser ones without sorting."""
        count, (begin, end) = len(self.edges), self.edges.t()
        middle = torch.arange(count, device=begin.device) + self.vertices
        # Edge e splits into 2 e, at its first end, and 2 e + 1; each triangle has three new inner edges, one per
        # corner.
        halves = torch.stack((begin, middle, middle, end), dim=-1).view(-1, 2)
        own = self.sides + self.vertices
        inner = torch.stack((own.roll(1, 1), own), dim=-1).view(-1, 2)
        ahead = begin[self.sides] == self.faces  # whether the side has the direction of the edge
        ab, bc, ca = (2 * self.sides + ~ahead).unbind(1)  # the half at the corner where the side begins
        ba, cb, ac = (2 * self.sides + ahead).unbind(1)
        at_a, at_b, at_c = (torch.arange(self.faces.numel(), device=begin.device).view(-1, 3) + 2 * count).unbind(1)
        rows = (ab, at_a, ac), (ba, bc, at_b), (at_c, cb, ca), (at_b, at_c, at_a)
        sides = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1).view(-1, 3)
        return Subdivision(self.split_faces(), torch.cat((halves, inner)), sides, self.vertices + count)

    def midpoints(self, values: torch.Tensor) -> torch.Tensor:
        """Append edge midpoints to rows of vertex values: (C, V) to (C, V + E)."""
        a, b = (values.index_select(1, end) for end in self.edges.t())
        return torch.cat((values, (a + b) / 2), dim=1)

    def lesser(self, labels: torch.Tensor) -> torch.Tensor:
        """Append to vertex labels (V,) the smaller label of each edge's ends: (V + E,)."""
        a, b = (labels.index_select(0, end) for end in self.edges.t())
        return torch.cat((labels, torch.minimum(a, b)))


def levels(mesh: Subdivision, level: int) -> tuple[list[Subdivision], torch.Tensor]:
    """Return the meshes that are split on the way to ``level``, the coarsest first, and the resulting faces."""
    meshes: list[Subdivision] = []
    for _ in range(level):
        meshes.append(mesh if not meshes else meshes[-1].split())
    return meshes, meshes[-1].split_faces() if meshes else mesh.faces


def phong_rows(verts: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """Return rows (15, B, V) for :func:`phong_surface`, to be interpolated over the triangles.

    Parameters
    ----------
    verts, normals:
        (B, V, 3) float; normals of unit length.
    """
    p, n = verts.permute(2, 0, 1), normals.permute(2, 0, 1)
    height = (p * n).sum(0)
    products = torch.stack([n[i] * n[j] for i, j in _PAIRS])
    return torch.cat((p, n, n * height, products))


def phong_surface(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions and normals (B, N, 3) on the smooth surface by Phong tessellation.

    (Boubekeur and Alexa, *Phong tessellation*, SIGGRAPH Asia 2008.)

    A point p of a triangle moves toward the weighted mean of its projections onto the corners' tangent planes, ``sum
    w_i (p - ((p - p_i) . n_i) n_i)``. That is ``p - M p + m`` with ``M = sum w_i n_i n_i'`` and ``m = sum w_i (p_i .
    n_i) n_i``: means of per-vertex quantities, so that interpolating these from level to level gives the paper's
    surface directly. Vertices stay in place; an edge depends on its ends only, so that there are no cracks.

    Parameters
    ----------
    rows:
        (15, B, N) from :func:`phong_rows`, interpolated.
    """
    p, n, m = rows[0:3], rows[3:6], rows[6:9]
    xx, yy, zz, xy, xz, yz = rows[9:15]
    drawn = torch.stack(
        (xx * p[0] + xy * p[1] + xz * p[2], xy * p[0] + yy * p[1] + yz * p[2], xz * p[0] + yz * p[1] + zz * p[2])
    )
    places = p - PHONG_SHAPE * (drawn - m)
    normals = n * torch.rsqrt((n * n).sum(0).clamp_min(1e-12))
    return places.permute(1, 2, 0).contiguous(), normals.permute(1, 2, 0).contiguous()


_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
