"""UV chart of a face in pixels of a picture: landmarks, outlines of the eye openings, soft masks."""

from __future__ import annotations

from typing import Protocol

import torch

from facekit.conventions import LANDMARK_GROUPS
from facekit.geometry.lists import unique_pairs


class Unwrapped(Protocol):
    """Interface to triangles with UVs."""

    @property
    def faces(self) -> torch.Tensor: ...
    @property
    def uvs(self) -> torch.Tensor: ...
    @property
    def faces_uvs(self) -> torch.Tensor: ...


class Charted(Unwrapped, Protocol):
    """Interface to the parts of a template that these functions read."""

    @property
    def landmarks(self) -> torch.Tensor: ...


def landmark_uvs(mesh: Charted) -> torch.Tensor:
    """Return the UVs (68, 2) float32 of the iBUG landmarks, origin bottom-left; on a seam, any of a vertex's UVs."""
    return vertex_uvs(mesh)[mesh.landmarks]


def to_pixels(uvs: torch.Tensor, size: int) -> torch.Tensor:
    """Convert UVs (N, 2) to x, y in pixels of a square picture; pixel centres lie at +0.5."""
    return torch.stack((uvs[:, 0] * size, (1 - uvs[:, 1]) * size), dim=-1)


def eye_openings(mesh: Charted) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outlines of the eye openings in UV, the subject's right eye first: polygons (K, 2) float32.

    They follow the mesh's open edges near the eye's landmarks, or the landmarks themselves where the mesh is closed.
    """
    uvs = vertex_uvs(mesh)
    rim = open_edges(mesh.faces).unique()
    outlines = []
    for eye in (mesh.landmarks[LANDMARK_GROUPS[name]] for name in ("right_eye", "left_eye")):
        own = uvs[eye]
        centre = own.mean(0)
        reach = 0.75 * (own[:, 0].max() - own[:, 0].min())
        near = rim[(uvs[rim] - centre).norm(dim=1) < reach]
        points = uvs[near] if len(near) > 6 else own
        ray = points - points.mean(0)
        outlines.append(points[torch.atan2(ray[:, 1], ray[:, 0]).argsort()])
    return outlines[0], outlines[1]


def open_edges(faces: torch.Tensor) -> torch.Tensor:
    """Return the boundary edges (E, 2) int64: those of only one triangle in ``faces`` (F, 3)."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges, index = unique_pairs(edges, int(faces.max()) + 1)
    return edges[torch.bincount(index) == 1]


def signed_distance(polygon: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
    """Return the signed distance (h, w) float32 of each pixel centre from a polygon's outline, negative inside.

    ``polygon`` (K, 2) x, y in pixels; ``rows`` and ``columns`` bound the window.
    """
    y = torch.arange(rows.start, rows.stop) + 0.5
    x = torch.arange(columns.start, columns.stop) + 0.5
    place = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flip(-1).reshape(-1, 1, 2)
    a, b = polygon.cpu().float(), polygon.cpu().float().roll(-1, 0)
    side = b - a
    along = ((place - a) * side).sum(-1) / side.square().sum(-1).clamp_min(1e-12)
    distance = (place - a - along.clamp(0, 1)[..., None] * side).norm(dim=-1).amin(1)
    crosses = (a[:, 1] > place[..., 1]) != (b[:, 1] > place[..., 1])
    rise = torch.where(side[:, 1] == 0, torch.ones_like(side[:, 1]), side[:, 1])
    left = place[..., 0] < a[:, 0] + (place[..., 1] - a[:, 1]) / rise * side[:, 0]
    inside = (crosses & left).sum(1) % 2 == 1
    return torch.where(inside, -distance, distance).view(len(y), len(x))


def mask_box(mask: torch.Tensor) -> tuple[slice, slice]:
    """Return the rows and columns of the bounding box of a non-empty mask (H, W) bool."""
    rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def rect_box(rect: tuple[float, float, float, float], height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of a rectangle (u0, v0, u1, v1) in a picture with origin at the top."""
    u0, v0, u1, v1 = rect
    return slice(round((1 - v1) * height), round((1 - v0) * height)), slice(round(u0 * width), round(u1 * width))


def bounded(value: torch.Tensor, most: float) -> torch.Tensor:
    """Return values limited smoothly to (-most, most), small ones as they are."""
    return most * torch.tanh(value / most)


def step(value: torch.Tensor, start: float, stop: float) -> torch.Tensor:
    """Smoothstep: 0 up to ``start``, 1 from ``stop`` on; decreasing if ``stop`` is less than ``start``."""
    t = ((value - start) / (stop - start)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def vertex_uvs(mesh: Charted) -> torch.Tensor:
    """Return one UV per vertex, (V, 2); at a seam, any of the vertex's own."""
    found = mesh.uvs.new_zeros(int(mesh.faces.max()) + 1, 2)
    found[mesh.faces.reshape(-1)] = mesh.uvs[mesh.faces_uvs.reshape(-1)]
    return found
