"""Soft silhouettes with useful gradients, for fitting cameras and shapes to masks.

Coverage itself is a step function, without a gradient. Here each pixel has the logistic function of its signed distance
to the outline, as Liu et al. use for every triangle (*Soft Rasterizer*, ICCV 2019); but only edges on the outline are
used, which are found without gradients, as in the deferred shader. Each pixel then recomputes its distance to the
nearest edge, differentiable with respect to that edge's two vertices and the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from facekit.errors import InputError
from facekit.geometry.lists import expand, flat_indices, unique_pairs
from facekit.mesh import FaceMesh
from facekit.render.backends import choose, visibility
from facekit.render.camera import Camera
from facekit.render.pinhole import size_of
from facekit.render.rasterize import pixel_points
from facekit.render.render import default_camera, frame_count
from facekit.torch_defaults import with_torch_defaults

#: Range in sigmas: beyond it a pixel is fully inside or outside, as the logistic function is within 1/3000 of that.
_REACH = 8.0
#: Edges are split into segments of at most this many pixels, as parts of an edge may be hidden.
_PIECE = 2.0
#: Number of pairs of pixels and segments compared at once.
_PAIRS = 1 << 24


@with_torch_defaults
def silhouette(
    mesh: FaceMesh,
    camera: Camera | None = None,
    image_size: int | tuple[int, int] = 128,
    sigma: float = 1.0,
    backend: str = "auto",
) -> torch.Tensor:
    """Return soft coverage: the degree to which each pixel is inside of the outline.

    Differentiable with respect to ``mesh.verts`` and the camera.

    Parameters
    ----------
    mesh:
        B meshes.
    camera:
        N cameras, B and N equal or one of them 1; by default :func:`facekit.render.render.default_camera`.
    image_size:
        Size in pixels, or (height, width).
    sigma:
        Softness in pixels: one sigma inside of the outline the value is 0.73. With 0.3 it looks like an antialiased
        mask. Gradients reach some 5 sigmas, so begin a fit with several pixels and end with one.
    backend:
        Visibility backend, see :func:`facekit.render.render`.

    Returns
    -------
    torch.Tensor
        (max(B, N), 1, H, W) float32 in [0, 1]. The picture's border is not an outline, nor is the cut of the near
        plane.
    """
    view = (default_camera(mesh) if camera is None else camera).to(mesh.verts.device)
    height, width = size_of(image_size)
    if not 0.0 < sigma < float("inf"):
        raise InputError("a sigma of more than 0 pixels", f"sigma {sigma}", "pass for instance 1.0")
    count = frame_count(mesh, view)
    backend = choose(backend, height, width, mesh.verts.device)
    edges = _Edges.of(mesh.faces)
    pictures = []
    for k in range(count):
        verts = mesh.verts[k if len(mesh) > 1 else 0]
        pictures.append(_picture(verts, edges, view[k if len(view) > 1 else 0], height, width, sigma, backend))
    return torch.stack(pictures)[:, None]


@dataclass(frozen=True)
class _Edges:
    """Edges of a topology: ends (E, 2), and the index of each face's sides among them (3 F,); faces (F, 3)."""

    faces: torch.Tensor
    ends: torch.Tensor
    sides: torch.Tensor

    @classmethod
    def of(cls, faces: torch.Tensor) -> _Edges:
        pairs = torch.cat((faces[:, :2], faces[:, 1:], faces[:, ::2]))
        return cls(faces, *unique_pairs(pairs, int(faces.max()) + 1 if faces.numel() else 1))

    def folds(self, points: torch.Tensor) -> torch.Tensor:
        """Return the edges (P,) between a front and a back face, or at a border, for homogeneous pixel points (V,
        3).
        """
        a, b, c = points[self.faces].unbind(1)
        front = torch.sign((a * torch.linalg.cross(b, c)).sum(1)).repeat(3)
        total = front.new_zeros(len(self.ends)).index_add_(0, self.sides, front)
        users = torch.bincount(self.sides, minlength=len(self.ends))
        return flat_indices((users == 1) | (total.abs() < users))


def _picture(verts, edges: _Edges, camera: Camera, height: int, width: int, sigma: float, backend: str) -> torch.Tensor:
    """Return the soft silhouette (H, W) of one mesh (V, 3)."""
    margin, near = math.ceil(_REACH * sigma) + 2, camera.near_plane(verts[None])
    with torch.no_grad():
        # Pad the picture, for outlines just outside of it.
        points = pixel_points(verts[None], camera, height, width)
        points[..., :2] += margin * points[..., 2:]
        size = height + 2 * margin, width + 2 * margin
        seen = visibility(points, edges.faces, *size, near=near, backend=backend)
        inside = seen.nearest()[0].view(size) >= 0
        finer = seen.nearest(scale=2)[0].view(2 * size[0], 2 * size[1]) >= 0
        folds = edges.folds(points[0])
    ends = _projected(verts, edges.ends[folds], camera, near, height, width)
    with torch.no_grad():
        owner, begin, end = _outline(ends, finer, margin)
        crop = slice(margin, margin + height), slice(margin, margin + width)
        soft = flat_indices(_near_the_border(inside, math.ceil(_REACH * sigma))[crop])
        spots = torch.stack((soft % width, soft // width), 1) + 0.5
        nearest, along = _nearest(spots, ends.detach()[owner], begin, end)
    hard = inside[crop].to(verts.dtype)
    if not owner.numel() or not soft.numel():
        return hard + 0.0 * ends.sum()
    a, b = ends[owner[nearest]].unbind(1)
    away = spots - torch.lerp(a, b, along[:, None])
    # At the nearest point the distance does not change along the edge, so that only the edge's motion matters.
    direction = F.normalize(away.detach(), dim=1)
    signed = (away * direction).sum(1) * (2.0 * hard.reshape(-1)[soft] - 1.0)
    return hard.reshape(-1).index_put((soft,), torch.sigmoid(signed / sigma)).view(height, width)


def _projected(
    verts: torch.Tensor, ends: torch.Tensor, camera: Camera, near: float, height: int, width: int
) -> torch.Tensor:
    """Project edges to pixels, (E, 2, 2), clipped at the near plane; those behind it are moved far off the picture."""
    place = camera.view(verts[None])[0][ends]
    a, b = place.unbind(1)
    depth = -place[..., 2]
    span = depth[:, 1] - depth[:, 0]
    t = (near - depth[:, 0]) / torch.where(span == 0, torch.ones_like(span), span)
    cut = torch.lerp(a, b, t[:, None])[:, None]
    ahead = (depth >= near)[..., None]
    place = torch.where(ahead, place, cut)
    behind = ~ahead.any(1, keepdim=True)
    place = torch.where(behind, near * place.new_tensor([1e4, 1e4, -1.0]), place)
    fx, fy, cx, cy = camera.intrinsics((height, width))[0].to(place)
    depth = -place[..., 2]
    return torch.stack((cx + place[..., 0] * (fx / depth), cy - place[..., 1] * (fy / depth)), -1)


def _outline(ends: torch.Tensor, inside: torch.Tensor, margin: int) -> tuple[torch.Tensor, ...]:
    """Return segments with the mesh on one side only: edge (P,), and their begin and end along the edge.

    ``inside`` is the mask at twice the size. Folds of a fine mesh zigzag, so the sides are taken from the mask's
    gradient, not from the edge's direction.
    """
    high, wide = inside.shape
    size = ends.new_tensor([wide, high]) / 2
    low, top = ends.amin(1) + margin, ends.amax(1) + margin
    owner = flat_indices(((top >= 0) & (low <= size) & torch.isfinite(top) & (top - low < 1e5)).all(1))
    length = (ends[owner, 1] - ends[owner, 0]).norm(dim=1)
    pieces = (length / _PIECE).ceil().clamp(1, 2 * max(high, wide)).to(torch.int64)
    local, step = expand(pieces)
    begin, end = step / pieces[local], (step + 1) / pieces[local]
    owner = owner[local]
    a, b = ends[owner].unbind(1)
    middle = 2 * (torch.lerp(a, b, ((begin + end) / 2)[:, None]) + margin)
    sums = F.avg_pool2d(inside[None, None].to(ends.dtype), 3, 1, 1)[0, 0]
    column, row = (middle - 0.5).round().to(torch.int64).clamp_min(1).unbind(1)
    column, row = column.clamp_max(wide - 2), row.clamp_max(high - 2)
    slope = (sums[row, column + 1] - sums[row, column - 1], sums[row + 1, column] - sums[row - 1, column])
    aside = F.normalize(torch.stack(slope, 1), dim=1)
    # Step one pixel of the finer mask to either side: its centre is at most that far away, so it is on the same side.
    left, right = (_looked_up(inside, middle + side * aside) for side in (1, -1))
    some = flat_indices(left + right == 1)
    return owner[some], begin[some], end[some]


def _looked_up(inside: torch.Tensor, spots: torch.Tensor) -> torch.Tensor:
    """Look points up in the mask: 1 inside of the mesh, 0 outside, and 3 beyond the picture: (P,) int64."""
    high, wide = inside.shape
    x, y = spots.floor().to(torch.int64).unbind(1)
    there = (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    value = inside[y.clamp(0, high - 1), x.clamp(0, wide - 1)].to(torch.int64)
    return torch.where(there, value, 3)


def _near_the_border(inside: torch.Tensor, reach: int) -> torch.Tensor:
    """Return the pixels (H, W) with both inside and outside within reach."""
    mask = inside[None, None].to(torch.float32)
    grown = [-F.max_pool2d(-m, (1, 2 * reach + 1), 1, (0, reach)) for m in (mask, 1.0 - mask)]
    low, high = (-F.max_pool2d(-m, (2 * reach + 1, 1), 1, (reach, 0)) for m in grown)
    return ((low == 0) & (high == 0))[0, 0]


def _nearest(
    spots: torch.Tensor, ends: torch.Tensor, begin: torch.Tensor, end: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for each position (S, 2) the nearest segment (S,), and the position along its edge."""
    a, b = ends.unbind(1)
    middle = torch.lerp(a, b, ((begin + end) / 2)[:, None])
    few, found = min(4, len(middle)), []
    for part in spots.split(max(1, _PAIRS // max(len(middle), 1))) if few else ():
        # Preselect the segments with the nearest midpoints, then compare exactly.
        piece = torch.cdist(part, middle).topk(few, dim=1, largest=False).indices
        start, span = a[piece], b[piece] - a[piece]
        t = ((part[:, None] - start) * span).sum(-1) / span.square().sum(-1).clamp_min(1e-12)
        t = torch.minimum(torch.maximum(t, begin[piece]), end[piece])
        best = (part[:, None] - start - span * t[..., None]).square().sum(-1).argmin(1, keepdim=True)
        found.append((piece.gather(1, best)[:, 0], t.gather(1, best)[:, 0]))
    if not found:
        return spots.new_zeros(0, dtype=torch.int64), spots.new_zeros(0)
    nearest, along = (torch.cat(column) for column in zip(*found, strict=True))
    return nearest, along
