"""Textures: slopes of maps, sampling at UVs, and baking of per-vertex values into UV space.

UVs have their origin bottom-left and texel edges at 0 and 1; image row 0 is the top (v = 1).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from facekit.geometry.charts import Charted, Unwrapped


def slopes(heights: torch.Tensor) -> torch.Tensor:
    """Return the slopes of a map along u and v, (B, 2, H, W) mm per unit of UV, from heights (B, 1, H, W) mm.

    Central differences of fourth order: second order would flatten features a few texels wide, such as pores. Unlike
    normals, slopes may be averaged and downsampled like any texture. Differentiable.
    """
    height, width = heights.shape[2:]
    steps = []
    for axis, scale in ((3, width), (2, -height)):  # rows run down, v runs up
        pad = (2, 2, 0, 0) if axis == 3 else (0, 0, 2, 2)
        wide, count = F.pad(heights, pad, mode="replicate"), heights.shape[axis]
        a, b, c, d = (wide.narrow(axis, k, count) for k in (0, 1, 3, 4))
        steps.append((c - b).mul_(scale * 8 / 12).add_(a, alpha=scale / 12).sub_(d, alpha=scale / 12))
    return torch.cat(steps, dim=1)


def sample_texture(texture: torch.Tensor, uvs: torch.Tensor) -> torch.Tensor:
    """Return bilinear samples of textures at UVs, clamped at the border.

    Parameters
    ----------
    texture:
        (B, C, H, W) float32.
    uvs:
        (T, 2) or (B, T, 2) float32.

    Returns
    -------
    torch.Tensor
        (B, T, C) float32.
    """
    uvs = uvs.expand(texture.shape[0], *uvs.shape[-2:])
    place = torch.stack((2.0 * uvs[..., 0] - 1.0, 1.0 - 2.0 * uvs[..., 1]), dim=-1)
    found = F.grid_sample(texture, place[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def rasterize_uv(
    uvs: torch.Tensor, faces_uvs: torch.Tensor, size: int | tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the triangle at each texel's centre.

    Parameters
    ----------
    uvs:
        (T, 2) float32.
    faces_uvs:
        (F, 3) int64.
    size:
        Side in texels, or (height, width).

    Returns
    -------
    tuple
        face_ids (H, W) int64, -1 outside, and barycentric weights (H, W, 3) float32, zero outside. If triangles
        overlap, the one with the lowest index counts.
    """
    from facekit.geometry.coverage import prepare

    height, width = (size, size) if isinstance(size, int) else size
    uv = uvs.detach().to(torch.float64)
    points = torch.stack((uv[:, 0] * width, (1.0 - uv[:, 1]) * height, torch.ones_like(uv[:, 0])), dim=-1)
    ids, _ = prepare(points[None], faces_uvs, height, width, near=0.5).nearest()
    ids = ids.view(height, width)
    # Each triangle's first corner, and its edges divided by twice its area, whose cross products give the weights.
    corner = points[faces_uvs][..., :2]
    edges = corner[:, 1:] - corner[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    scaled = edges / torch.where(area == 0, torch.ones_like(area), area)[:, None, None]
    terms = torch.cat((corner[:, 0], scaled.flatten(1)), dim=1)[ids.clamp_min(0)]
    x0, y0, ax, ay, bx, by = terms.unbind(-1)
    x = torch.arange(width, device=uvs.device) + 0.5 - x0
    y = (torch.arange(height, device=uvs.device) + 0.5)[:, None] - y0
    second, third = x * by - y * bx, y * ax - x * ay
    weights = torch.stack((1 - second - third, second, third), dim=-1).to(torch.float32)
    return ids, weights.masked_fill_(ids[..., None] < 0, 0.0)


def box_blurred(maps: torch.Tensor, width: int) -> torch.Tensor:
    """Return the means of maps (B, C, H, W) over squares of ``width`` (odd) texels; values outside count as zero."""
    rows = F.avg_pool2d(maps, (width, 1), 1, (width // 2, 0))  # separable: many times quicker
    return F.avg_pool2d(rows, (1, width), 1, (0, width // 2))


def box_max(maps: torch.Tensor, width: int) -> torch.Tensor:
    """Return the greatest values of maps (B, C, H, W) in squares of ``width`` (odd) texels."""
    half = width // 2
    for axis, pad in ((2, (0, 0, half, half)), (3, (half, half, 0, 0))):
        span = 1
        maps = F.pad(maps, pad, value=-torch.inf)
        # Of spans that double: several times as quick as pooling, which notes where each value was.
        while span < width:
            step = min(span, width - span)
            left = maps.shape[axis] - step
            maps, span = torch.maximum(maps.narrow(axis, 0, left), maps.narrow(axis, step, left)), span + step
    return maps


def bake(
    values: torch.Tensor, faces: torch.Tensor, face_ids: torch.Tensor, weights: torch.Tensor, fill: float = 0.0
) -> torch.Tensor:
    """Rasterise per-vertex values to a map: (B, V, C) to (B, C, H, W), ``fill`` outside; see :func:`rasterize_uv`."""
    corner = faces[face_ids.clamp_min(0)]
    first, *rest = (values[:, corner[..., k]] * weights[..., k, None].to(values) for k in range(3))
    mixed = sum(rest, first)
    mixed = torch.where(face_ids[..., None] >= 0, mixed, torch.full_like(mixed, fill))
    return mixed.permute(0, 3, 1, 2).contiguous()


def bake_skirted(values: torch.Tensor, mesh: Unwrapped, size: int | tuple[int, int], skirt: int = 9) -> torch.Tensor:
    """Rasterise per-vertex values to a map, and extend them beyond the charts' edges: (V, C) to (C, H, W).

    Filtering a texture at an edge mixes in texels outside of it. They get the mean of the values within ``skirt // 2``
    texels, 0 farther out.
    """
    ids, weights = rasterize_uv(mesh.uvs, mesh.faces_uvs, size)
    baked = bake(values[None], mesh.faces, ids, weights)[0]
    known = (ids >= 0).float()[None]
    near, count = (box_blurred(t, skirt) for t in (baked * known, known))
    return torch.where(known > 0, baked, near / count.clamp_min(1e-6))


def bake_box(
    values: torch.Tensor, mesh: Charted, tile_uvs: torch.Tensor, faces: torch.Tensor, size: int
) -> tuple[tuple[slice, slice], torch.Tensor]:
    """Rasterise per-vertex values to the part of a square tile that some triangles cover.

    Parameters
    ----------
    values:
        (V, C) float32.
    mesh:
        Mesh with ``faces`` and ``faces_uvs``.
    tile_uvs:
        (T, 2) float32: tile coordinates of its UVs (origin bottom-left, the tile is [0, 1]²).
    faces:
        (F,) bool: the triangles.
    size:
        Side of the tile in texels.

    Returns
    -------
    box, maps:
        Rows and columns of the tile, and (C, h, w) float32 in it, 0 outside of the triangles.
    """
    corners = tile_uvs[mesh.faces_uvs[faces]].flatten(0, 1)
    low, high = corners.amin(0), corners.amax(0)
    columns = slice(int(low[0] * size), math.ceil(float(high[0]) * size))
    rows = slice(int((1 - high[1]) * size), math.ceil(float(1 - low[1]) * size))
    # In coordinates of the box: the whole tile would take ten times as long.
    width, height = columns.stop - columns.start, rows.stop - rows.start
    x = (tile_uvs[:, 0] * size - columns.start) / width
    y = 1 - ((1 - tile_uvs[:, 1]) * size - rows.start) / height
    ids, weights = rasterize_uv(torch.stack((x, y), 1), mesh.faces_uvs[faces], (height, width))
    return (rows, columns), bake(values[None], mesh.faces[faces], ids, weights)[0]
