"""Triangle setup: visibility, bounding boxes and edge functions.

For the mathematics see :mod:`facekit.geometry.coverage`, which does the sampling.
"""

from __future__ import annotations

import torch

from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.normals import cross

#: Outward offset of edges in pixels.
_GROW = 1e-7


def bounds(
    rows: torch.Tensor, faces: torch.Tensor, height: int, width: int, near: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return triangles (frame * F + face) whose box overlaps the picture, the boxes (4, N) float32, and the nearest
    depths.
    """
    w = rows[2]
    ahead = w >= near
    safe = torch.where(ahead, w, torch.ones_like(w))
    place = [torch.where(ahead, row / safe, torch.zeros_like(w)).to(torch.float32).clamp(-1e6, 1e6) for row in rows[:2]]
    corners = faces.t().contiguous()
    spans = []
    for axis in (*place, w.to(torch.float32)):
        a, b, c = (axis.index_select(1, corner).view(-1) for corner in corners)
        spans += [torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)]
    xlo, xhi, ylo, yhi, closest, farthest = spans
    seen = farthest >= near
    crossing = flat_indices(seen & (closest < near))
    if crossing.numel():
        frame, face = crossing // len(faces), crossing % len(faces)
        cut = _clipped_box(rows.permute(1, 2, 0)[frame[:, None], faces[face]], near)
        xlo[crossing], xhi[crossing], ylo[crossing], yhi[crossing] = (t.to(torch.float32) for t in cut)
    # Float32 coordinates are accurate to some 1e-4 pixel; the margin keeps every sample that float64 would accept.
    margin = 1e-3
    seen &= (xhi > -margin) & (xlo < width + margin) & (yhi > -margin) & (ylo < height + margin)
    tri = flat_indices(seen)
    box = torch.stack((xlo - margin, xhi + margin, ylo - margin, yhi + margin))
    return tri, box.index_select(1, tri), closest.index_select(0, tri)


def _clipped_box(corners: torch.Tensor, near: float) -> tuple[torch.Tensor, ...]:
    """Return the screen bounds of the part of triangles (N, 3, 3) beyond the near plane."""
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


def edge_functions(
    rows: torch.Tensor, faces: torch.Tensor, tri: torch.Tensor, cull: bool
) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return the edges of :class:`facekit.geometry.coverage.Triangles`, the valid ones of ``tri``, and which are
    front-facing.

    Parameters
    ----------
    rows:
        (3, B, V) float64, homogeneous pixel points.
    faces:
        (F, 3) int64.
    tri:
        (N,) int64, frame * F + face.
    cull:
        Skip back-facing triangles (clockwise on screen).

    Returns
    -------
    tuple
        12 rows (n,) float64, indices (n,) int64 into ``tri``, and (n,) bool: front-facing.
    """
    count, batch = len(faces), rows.shape[1]
    corners = pick(faces.t().contiguous(), tri if batch == 1 else tri % count)
    if batch > 1:
        start = (tri // count) * rows.shape[2]
        corners = [corner + start for corner in corners]
    a, b, c = (pick(rows.view(3, -1), corner) for corner in corners)
    normals = [cross(b, c), cross(c, a), cross(a, b)]
    total = cross([q - p for p, q in zip(a, b, strict=True)], [q - p for p, q in zip(a, c, strict=True)])
    det = a[0] * total[0] + a[1] * total[1] + a[2] * total[2]
    # Front-facing: counter-clockwise in a world with Y up is clockwise in pixels, where Y runs down.
    kept = flat_indices((det < 0 if cull else det != 0) & torch.isfinite(det))
    if kept.numel() < len(tri):
        normals = [pick(n, kept) for n in normals]
        total, det = pick(total, kept), det.index_select(0, kept)
    front = det < 0
    grow = torch.where(front, -_GROW, _GROW).to(det)
    slopes, lefts, rights = [], [], []
    for nx, ny, nw in normals:
        # An edge parallel to the rows has no crossing; a tiny slope moves it to the far left or right, and to the same
        # side for both triangles that share it.
        nx = nx.masked_fill_(nx == 0, 1e-200)
        # Enlarged by a ten-millionth of a pixel: a sample on a corner, which rounding could put outside of every
        # triangle of the fan, belongs to all of them.
        crossing = nx.abs().add_(ny.abs()).mul_(grow).add_(nw).div_(nx).neg_()
        slopes.append(ny / nx)
        side = torch.where((nx > 0) != front, torch.inf, -torch.inf)
        lefts.append(torch.minimum(crossing, side))
        rights.append(torch.maximum(crossing, side))
    return [*slopes, *lefts, *rights, *(row.div_(det) for row in total)], kept, front
