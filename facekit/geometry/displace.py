"""Convert displacement maps for other programs: to tangent-space normals, or to triangles.

A displacement map is a height over the smooth surface in UV space, in mm along the smooth vertex normal. Its slope in
UV and the surface's metric (mm per unit of UV) give the normals; subdivision finer than the map's furrows gives the
shape itself.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from facekit.checks import whole
from facekit.errors import InputError
from facekit.geometry.mip import MipTexture
from facekit.geometry.normals import cross, vertex_normals
from facekit.geometry.subdivide import Subdivision, levels, phong_rows, phong_surface
from facekit.geometry.texels import Texels, check_uvs, texels_of

if TYPE_CHECKING:
    from facekit.mesh import FaceMesh

#: Largest level of :func:`detailed_mesh`: 256 triangles per triangle.
MAX_LEVEL = 4
#: Largest number of vertices that :func:`detailed_mesh` makes for a batch; needs about 4 GB of memory.
MAX_VERTICES = 8_000_000


def normal_map(mesh: FaceMesh) -> torch.Tensor:
    """Return the displaced surface's normals in the tangent space of the smooth surface.

    The space is that of MikkTSpace (Mikkelsen, 2008), which glTF prescribes and Blender, Unity and Unreal use: the
    normal is the smooth vertex normal, the tangent runs along +u, the bitangent completes them at a right angle on the
    side of +v, which is OpenGL's +Y. Stretch and shear of the UVs and the pose are taken into account. Differentiable.

    Parameters
    ----------
    mesh:
        Mesh with ``displacement`` (B, 1, H, W).

    Returns
    -------
    torch.Tensor
        (B, 3, H, W) in [0, 1]: 0.5 + 0.5 n. A few texels around each chart repeat its border, so that filtered samples
        show no seam; beyond them, and for constant displacement, (0.5, 0.5, 1).

    Raises
    ------
    InputError
        If the mesh has no displacement or UVs, or values are not finite.
    """
    heights = _checked(mesh)
    texels = texels_of(mesh.uvs, mesh.faces_uvs, (heights.shape[2], heights.shape[3]))
    along_u, along_v = texels.slopes(heights)
    x, y = _tilt(mesh, texels, along_u, along_v)
    length = torch.rsqrt(x * x + y * y + 1)
    normals = torch.cat((-x * length, -y * length, length), dim=1)
    return texels.fill(0.5 + 0.5 * normals)


def tangents(mesh: FaceMesh, vertex: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Return the tangents that belong to :func:`normal_map`, as stored by glTF.

    Parameters
    ----------
    vertex, uv:
        (N,) int64: pairs of a vertex and one of its UVs.

    Returns
    -------
    torch.Tensor
        (B, N, 4): the unit tangent along +u, orthogonal to the vertex normal, and the sign w for which w (normal x
        tangent) is the bitangent on the side of +v; -1 for mirrored charts.
    """
    du, dv = (rows.index_select(2, uv) for rows in _derivatives(mesh))
    normal = vertex_normals(mesh.verts, mesh.faces).permute(2, 0, 1).index_select(2, vertex)
    # If the chart is degenerate, use any tangent: project the axis least aligned with the normal.
    axis = torch.nn.functional.one_hot(normal.detach().abs().argmin(0), 3).permute(2, 0, 1).to(normal)
    along = du - normal * (normal * du).sum(0)
    length = along.square().sum(0)
    along = torch.where(length > 1e-8, along, axis - normal * (normal * axis).sum(0))
    along = along * torch.rsqrt(along.square().sum(0))
    side = (torch.stack(cross(normal, along)) * dv).sum(0)
    sign = torch.where(side < 0, -torch.ones_like(side), torch.ones_like(side))
    return torch.cat((along, sign[None])).permute(1, 2, 0).contiguous()


def detailed_mesh(mesh: FaceMesh, level: int = 2) -> FaceMesh:
    """Return the mesh with its displacement as triangles, for 3D printing or close-ups.

    Each triangle is split into four, ``level`` times; the new vertices are put on the smooth surface by Phong
    tessellation, and all are moved along the smooth normal by the map. The map is filtered to the vertex spacing first,
    so that pores finer than the triangles do not alias. Differentiable.

    Parameters
    ----------
    mesh:
        Mesh of B faces with ``displacement``.
    level:
        0 to :data:`MAX_LEVEL`.

    Returns
    -------
    FaceMesh
        Old vertices and UVs keep their indices; texture and landmarks are unchanged, ``ao`` is interpolated, a new
        vertex between two ``parts`` belongs to the one with the lower id. ``displacement`` is None, as it is now part
        of the vertices. Closed surfaces stay closed. A vertex with several UVs moves by the mean over its corners.

    Raises
    ------
    InputError
        If the mesh has no displacement or UVs, values are not finite, the level is out of range, or there are more than
        :data:`MAX_VERTICES` vertices.
    """
    heights = _checked(mesh)
    check_uvs(mesh.uvs, mesh.faces_uvs)
    level = whole(level, "level", 0, MAX_LEVEL, "each level has four times the triangles")
    surface, chart = (
        Subdivision.of(faces, count)
        for faces, count in ((mesh.faces, mesh.verts.shape[1]), (mesh.faces_uvs, len(mesh.uvs)))
    )
    count = surface.counts(level)[0] * len(mesh)
    if count > MAX_VERTICES:
        raise InputError(
            f"at most {MAX_VERTICES:,} vertices", f"{count:,} at level {level}", "take a lower level or fewer faces"
        )
    batch = len(mesh)
    rows = phong_rows(mesh.verts, vertex_normals(mesh.verts, mesh.faces)).flatten(0, 1)
    shared = [] if mesh.ao is None else [mesh.ao[None].to(rows)]
    rows, parts = torch.cat((rows, *shared)), mesh.parts
    meshes, faces = levels(surface, level)
    for coarser in meshes:
        rows = coarser.midpoints(rows)
        parts = None if parts is None else coarser.lesser(parts)
    smooth, normals = phong_surface(rows[: 15 * batch].view(15, batch, -1))
    uvs, faces_uvs, moved = _sampled(mesh, heights, chart, level)
    total = moved.new_zeros(batch, smooth.shape[1]).index_add(1, faces.view(-1), moved[:, faces_uvs.view(-1)])
    corners = torch.bincount(faces.view(-1), minlength=smooth.shape[1]).clamp_min(1)
    return dataclasses.replace(
        mesh,
        verts=smooth + (total / corners)[..., None] * normals,
        faces=faces,
        uvs=uvs,
        faces_uvs=faces_uvs,
        ao=None if mesh.ao is None else rows[-1].to(mesh.ao),
        parts=parts,
        displacement=None,
    )


def _checked(mesh: FaceMesh) -> torch.Tensor:
    """Return the displacement (B, 1, H, W) after checks."""
    if mesh.displacement is None:
        raise InputError("a mesh with displacement", "one without", "make the face with detail=True")
    for name, value in (("vertices", mesh.verts), ("displacement", mesh.displacement)):
        if not bool(value.isfinite().all()):
            raise InputError(f"finite {name}", "NaN or infinity", "check where the mesh comes from")
    return mesh.displacement


def _tilt(
    mesh: FaceMesh, texels: Texels, along_u: torch.Tensor, along_v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the slope (B, 1, H, W) along tangent and bitangent, given that along u and v in mm per unit of UV.

    With the surface's derivatives P_u = a T and P_v = c T + b B, a height h rises by h_u / a along T and by
    (h_v - c h_u / a) / b along B.
    """
    batch, count = len(mesh), len(mesh.uvs)
    du, dv = _derivatives(mesh)
    a = du.square().sum(0).clamp_min(1e-12).sqrt()
    c = (du * dv).sum(0) / a
    b = (dv.square().sum(0) - c * c).clamp_min(1e-12).sqrt()
    # Charts are nearly degenerate in places, where the slope would be arbitrary.
    a, b = (torch.maximum(side, 0.02 * side.detach().median(dim=1, keepdim=True).values) for side in (a, b))
    metric = torch.stack((1 / a, 1 / b, -c / (a * b))).view(3 * batch, count)
    scale, across, shear = texels.bake(metric).view(3, batch, 1, *texels.size)
    return along_u * scale, along_v * across + along_u * shear


def _derivatives(mesh: FaceMesh) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the surface's derivatives along u and v at UV vertices, (3, B, T) mm per unit of UV: means weighted by UV
    area.

    Both sides of a seam have their own, as MikkTSpace requires.
    """
    batch, count = len(mesh), len(mesh.uvs)
    rows = mesh.verts.permute(2, 0, 1).reshape(3 * batch, -1)
    a, b, c = (rows.index_select(1, corner) for corner in mesh.faces.t())
    first, second = b - a, c - a
    place = mesh.uvs.to(rows).t()
    a, b, c = (place.index_select(1, corner) for corner in mesh.faces_uvs.t())
    (u1, v1), (u2, v2) = b - a, c - a
    area = u1 * v2 - u2 * v1
    side = torch.sign(area)  # derivatives of mirrored triangles are valid, too
    weight = area.abs()
    sums = torch.cat((side * (first * v2 - second * v1), side * (second * u1 - first * u2), weight[None]))
    total = sums.new_zeros(len(sums), count)
    for corner in mesh.faces_uvs.t():
        total = total.index_add(1, corner, sums)
    mean = total[:-1] / total[-1].clamp_min(1e-20)
    du, dv = mean.view(2, 3, batch, count)
    return du, dv


def _sampled(
    mesh: FaceMesh, heights: torch.Tensor, chart: Subdivision, level: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return split UVs (N, 2), their triangles, and the displacement there, (B, N) mm."""
    height, width = heights.shape[2:]
    mask = texels_of(mesh.uvs, mesh.faces_uvs, (height, width)).mask().to(heights)
    # Faces are channels of one picture with the mask as the last one: texels outside of the charts have no weight.
    pyramid = MipTexture.build(torch.cat((heights * mask, mask)).transpose(0, 1))
    with torch.no_grad():
        uvs = mesh.uvs.to(heights)
        a, b = (uvs.index_select(0, end) for end in chart.edges.t())
        length = ((b - a) * uvs.new_tensor([width, height])).norm(dim=1)
        total = length.new_zeros(2, len(uvs))
        for end in chart.edges.t():
            total.index_add_(1, end, torch.stack((length, torch.ones_like(length))))
        spacing = total[0] / total[1].clamp_min(1)
        # Vertices are n texels apart: sample texels half as wide, as bilinear filtering has a width of n.
        blur = torch.log2(spacing.clamp_min(1e-6)) - level - 1
        rows = torch.cat((mesh.uvs.t(), blur[None].to(mesh.uvs)))
        meshes, faces = levels(chart, level)
        for coarser in meshes:
            rows = coarser.midpoints(rows)
    sampled = pyramid.sample(rows[:2].to(heights), rows[2].to(heights))
    return rows[:2].t().contiguous(), faces, sampled[:-1] / sampled[-1].clamp_min(1e-3)
