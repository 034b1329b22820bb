"""Samples on the mesh: from face ids to positions, normals, UVs and materials, with gradients to the vertices.

Every sample recomputes the intersection of its ray with its face, so that all visibility backends give the same
picture. Lists are rows of coordinates, such as (3, P), for which plain torch is fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.mip import MipTexture, Taps
from facekit.geometry.normals import cross, dot
from facekit.render.relief import tilted, uv_gradients

#: Additional occlusion per mm of depth of a hollow.
_CAVITY = 1.5


@dataclass(frozen=True)
class Facets:
    """The n visible faces, preprocessed for samples, one per column: far fewer than samples.

    Parameters
    ----------
    planes:
        (12, n) float32: for corners a, b, c the normals of Möller and Trumbore (*Fast, minimum storage ray-triangle
        intersection*, 1997), (c - a) x (b - a), a x (c - a) and (b - a) x a; and the z of a, b - a and c - a.
    normals:
        (9, n): the vertex normal at a, and the differences of b and c from it.
    charts:
        (7, n): the UV at a, and the differences of b and c from it; twice the signed area in UV.
    values:
        (3 C, n): the same for all other interpolated values.
    gradients:
        (6, n): the surface gradients of u and of v, 1/mm; None without a relief.
    """

    planes: torch.Tensor
    normals: torch.Tensor
    charts: torch.Tensor
    values: torch.Tensor
    gradients: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        points: torch.Tensor,
        normals: torch.Tensor,
        values: torch.Tensor,
        faces: torch.Tensor,
        uvs: torch.Tensor,
        faces_uvs: torch.Tensor,
        ids: torch.Tensor,
        relief: bool = False,
        batch: int = 1,
    ) -> tuple[Facets, torch.Tensor]:
        """Return the facets of the samples, and the facet of each sample, (P,) int64.

        Parameters
        ----------
        points, normals:
            (3, B * V) float32, camera space.
        values:
            (C, V) float32: other values to interpolate; (C, B * V) if frames differ in them.
        faces, faces_uvs:
            (3, F) int64: transposed.
        uvs:
            (2, T) float32: transposed.
        ids:
            (P,) int64: frame * F + face of each sample.
        relief:
            Whether the gradients of UV are needed.
        batch:
            B, the number of frames.
        """
        count = faces.shape[1]
        used = torch.zeros(batch * count, dtype=torch.int32, device=ids.device)
        used.scatter_(0, ids, torch.ones_like(ids, dtype=torch.int32))
        seen = flat_indices(used > 0)
        index = used.cumsum(0).sub_(1).index_select(0, ids)
        face = seen if batch == 1 else seen % count
        corners = pick(faces, face)
        spots = corners
        if batch > 1:
            start = seen // count * (points.shape[1] // batch)
            spots = [corner + start for corner in corners]
        a, b, c = _fan(points, spots)
        planes = torch.stack((*cross(c, b), *cross(a, c), *cross(b, a), a[2], b[2], c[2]))
        chart = _fan(uvs, pick(faces_uvs, face))
        _, along, across = chart
        area = along[0] * across[1] - along[1] * across[0]
        charts = torch.cat((*chart, area[None]))
        gradients = uv_gradients(b, c, along, across) if relief else None
        owners = spots if values.shape[1] == points.shape[1] else corners
        return cls(planes, torch.cat(_fan(normals, spots)), charts, torch.cat(_fan(values, owners)), gradients), index


@dataclass(frozen=True)
class Surface:
    """Surface points of P samples in camera space, as rows of coordinates.

    Parameters
    ----------
    frame:
        (P,) int64.
    ray, depth:
        (2, P) and (P,) float32: the position is depth times (x, y, -1), mm.
    normal:
        (3, P) unit normals, facing the viewer, with the relief's slopes.
    smooth:
        (3, P) unit normals without the relief: the same tensor if there is none.
    view:
        (3, P) unit vectors toward the viewer.
    uv, span:
        (2, P), and (P,): log2 of the UV length of a pixel.
    values:
        (C, P): other interpolated values.
    taps:
        Where textures are read, by their forms: relief and colour are often of one size.
    """

    frame: torch.Tensor
    ray: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    smooth: torch.Tensor
    view: torch.Tensor
    uv: torch.Tensor
    span: torch.Tensor
    values: torch.Tensor
    taps: dict[tuple[int, ...], Taps] = field(default_factory=dict)

    def outward(self, middle: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (3, P) to the samples from points (3, B), camera space."""
        from_it = torch.cat((self.ray * self.depth, -self.depth[None]))
        from_it = from_it - (middle if middle.shape[1] == 1 else middle.index_select(1, self.frame))
        return from_it * torch.rsqrt(dot(from_it, from_it).clamp_min(1e-20))

    def sampled(self, texture: MipTexture) -> torch.Tensor:
        """Sample a texture (C, P) float32."""
        if texture.form not in self.taps:
            self.taps[texture.form] = texture.taps(self.uv, self.span + texture.detail, self.frame)
        return texture.at(self.taps[texture.form])


def surface(
    facets: Facets,
    index: torch.Tensor,
    frame: torch.Tensor,
    ray: torch.Tensor,
    pixel: torch.Tensor,
    relief: MipTexture | None = None,
) -> Surface:
    """Intersect rays with the faces they are known to hit, and interpolate.

    Parameters
    ----------
    index, frame:
        (P,) int64: columns of the facets, and frames.
    ray:
        (2, P) float32: x and y of the direction (x, y, -1) in camera space.
    pixel:
        (B,) float32: the ray's change from one pixel to the next, 1 / focal length.
    relief:
        Result of :func:`facekit.render.relief.relief_of`; requires facets with gradients.
    """
    u, v, inverse, depth = _hit(facets, index, ray)
    smooth, view, turn = _facing(facets, index, ray, u, v)
    chart = facets.charts.index_select(1, index)
    with torch.no_grad():
        # UV area per pixel: from w_i = d . n_i / det(a, b, c) the map from screen to UV has the Jacobian determinant
        # |along x across| depth² pixel² / |det|. A slanted pixel is longer in one direction; a fraction of its cosine
        # shifts the level toward that length, a compromise between the blur of the long side and the noise of the short
        # one.
        step = depth * (pixel if pixel.shape[0] == 1 else pixel.index_select(0, frame))
        area = (chart[6] * inverse * step * step).abs() + 1e-20
        span = 0.5 * torch.log2(area) - 0.15 * torch.log2(dot(smooth, view).clamp_min(0.05))
    values, uv = mixed(facets.values.index_select(1, index), u, v), mixed(chart[:6], u, v)
    found = Surface(frame, ray, depth, smooth, smooth, view, uv, span, values)
    if relief is None:
        return found
    assert facets.gradients is not None
    rise = found.sampled(relief)
    normal = tilted(smooth, view, turn, rise, facets.gradients.index_select(1, index))
    # Occlusion is the first of the values.
    values = torch.cat((values[:1] / (1.0 + _CAVITY * rise[2:]), values[1:]))
    return replace(found, normal=normal, values=values)


def _fan(table: torch.Tensor, corners: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return values (C, V) at each face's first corner, and the differences of the other two from it, (C, n) each."""
    a, b, c = (table.index_select(1, corner) for corner in corners)
    return a, b - a, c - a


def mixed(fan: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Interpolate (3 C, P) values of :func:`_fan`: (C, P)."""
    a, b, c = fan.view(3, len(fan) // 3, fan.shape[1])
    return torch.addcmul(torch.addcmul(a, b, u), c, v)


def barycentric(plane: torch.Tensor, ray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return barycentric u and v and 1 / determinant, all (P,), at the hits of rays (2, P), X and Y at depth 1.

    Rows 0 to 8 of ``plane`` (9 or more, P) are those of :class:`Facets`.
    """
    x, y = ray
    # Along d = (x, y, -1).
    det, u, v = (torch.addcmul(torch.addcmul(-plane[k + 2], plane[k], x), plane[k + 1], y) for k in (0, 3, 6))
    # 1 / det, but zero for a face that is exactly edge-on.
    inverse = det / torch.addcmul(det.new_tensor(1e-24), det, det)
    # A sample may lie slightly outside its face by rounding, or far outside for edge-on faces.
    v = (v * inverse).clamp(0.0, 1.0)
    return torch.minimum((u * inverse).clamp_min(0.0), 1.0 - v), v, inverse


def _hit(facets: Facets, index: torch.Tensor, ray: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return barycentric u and v, 1 / determinant and depth of rays on their facets, all (P,)."""
    plane = facets.planes.index_select(1, index)
    u, v, inverse = barycentric(plane, ray)
    return u, v, inverse, -mixed(plane[9:], u, v)[0]


def _facing(facets: Facets, index: torch.Tensor, ray: torch.Tensor, u, v) -> tuple[torch.Tensor, ...]:
    """Return unit normals, bent toward the viewer (interpolated ones face away at silhouettes, and open meshes show
    their backs); unit vectors toward the viewer; and -1 for back faces, else 1.
    """
    dx, dy = ray
    view = torch.stack((-dx, -dy, torch.ones_like(dx))) * torch.rsqrt(dx * dx + dy * dy + 1.0)
    normal = mixed(facets.normals.index_select(1, index), u, v)
    facing = dot(normal, view)
    turn = torch.sign(facing + 0.3)
    lack = (0.02 - facing * turn).clamp_min(0.0)
    normal = torch.addcmul(normal * turn, view, lack)
    return normal * torch.rsqrt(dot(normal, normal).clamp_min(1e-20)), view, turn
