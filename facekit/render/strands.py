"""Shading of hair cards: ray intersection, texture lookup, and the reflection model of Kajiya and Kay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from facekit.color import srgb_to_linear
from facekit.geometry.normals import cross, dot, vertex_normals
from facekit.hair import HAIR_PARTS, MIDDLE, Hair, tinted
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.shading import tone
from facekit.render.surface import barycentric, mixed

#: Cards fade out when seen edge-on: cosines of the angle between normal and view at which they are gone, and whole.
_EDGE_ON = (0.03, 0.30)
#: Difference of this cosine between strands of grey 0 and 1: a sheet ends in single strands, not in a blur.
_SPLIT = 0.25
#: Kajiya and Kay's highlight as two shifted lobes (Scheuermann, *Practical real-time hair rendering and shading*,
#: 2004): shift of the tangent along the normal, exponent, and strength.
_LOBES = ((-0.10, 60.0, 0.16), (0.14, 14.0, 0.18))
#: Modulation of highlights by the strands' grey level, wrap of diffuse light, and the fraction of diffuse light that is
#: independent of the strand's direction.
_STREAK, _WRAPPED, _ROUND = 1.6, 0.35, 0.45
#: Strength of highlights for each of :data:`facekit.hair.HAIR_PARTS`.
_GLOSS = (1.0, 0.35, 0.25, 0.1)
#: Index of lashes, which have a colour of their own.
_LASHES = HAIR_PARTS.index("lashes")
#: Number of grey levels in the colour lookup table, which is faster than decoding each sample from sRGB.
_GREYS = 1024


@dataclass(frozen=True)
class Strands:
    """Per-triangle shading data of one head's hair for one camera, one column per triangle.

    A fan holds a triangle's value at its first corner, and the differences of the other two corners from it.

    Parameters
    ----------
    planes:
        (9, F), as in :class:`facekit.render.surface.Facets`.
    values:
        (3 * 7, F): fans of diffuse and specular light and of the cosine between normal and view, which is 1 for lashes.
    normals, charts:
        (9, F) and (6, F): fans of normals and of UVs.
    marks:
        (2, F): mip level of the strand texture at a depth of 1 mm, and the first column of ``paint``.
    part:
        (F,) uint8, indices into :data:`facekit.hair.HAIR_PARTS`.
    paint:
        (4, 2 * _GREYS): linear RGB and gain of the highlight by grey level, for hair and then for lashes.
    unlit:
        Whether colours are returned without lighting.
    """

    hair: Hair
    planes: torch.Tensor
    values: torch.Tensor
    normals: torch.Tensor
    charts: torch.Tensor
    marks: torch.Tensor
    part: torch.Tensor
    paint: torch.Tensor
    unlit: bool

    @classmethod
    def of(cls, hair: Hair, camera: Camera, lights: Lights, pixel: float) -> Strands:
        cards, verts = hair.cards, hair.verts[None]
        rotation = camera.rotation()
        points = camera.view(verts)[0].t()
        normals = (vertex_normals(verts, cards.faces)[0] @ rotation[0].t()).t()
        view = -points * torch.rsqrt(dot(points, points).clamp_min(1e-12))
        # Cards are two-sided: the normal is flipped toward the viewer.
        cosine = dot(normals, view)
        facing = torch.where(cosine < -0.3, -1.0, 1.0)
        along = (cards.along @ rotation[0].t()).t()
        gloss = normals.new_tensor(_GLOSS)[cards.part.long()]
        soft, shine = strand_light(normals * facing, view, along, cards.openness, gloss, lights, rotation)
        values = torch.cat((soft, shine, cosine[None]))
        a, b, c = _fan(points, cards.faces)
        planes = torch.stack((*cross(c, b), *cross(a, c), *cross(b, a)))
        chart = _fan(cards.uvs.t(), cards.faces_uvs)
        _, across, up = chart
        flat = (across[0] * up[1] - across[1] * up[0]).abs()
        around = torch.stack(cross(b, c))
        dense = flat / dot(around, around).sqrt().clamp_min(1e-9)
        level = 0.5 * torch.log2(dense.clamp_min(1e-12)) + math.log2(pixel)
        fans, bent = (torch.cat(_fan(table, cards.faces)) for table in (values, normals))
        part = cards.part.index_select(0, cards.faces[:, 0])
        lash = part == _LASHES
        # Lashes are round: they do not fade out edge-on.
        fans[6::7].masked_fill_(lash, 0.0)[0].masked_fill_(lash, 1.0)
        marks = torch.stack((level, _GREYS * lash))
        return cls(hair, planes, fans, bent, torch.cat(chart), marks, part, _paint(hair), lights.unlit)

    def shaded(self, ids: torch.Tensor, depth: torch.Tensor, ray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Shade the intersections of rays (2, P) with faces ``ids`` (P,) at depths (P,).

        Returns linear RGB (3, P) and coverage (P,).
        """
        u, v, _ = barycentric(self.planes.index_select(1, ids), ray)
        mip = self.hair.cards.mip
        level, first = self.marks.index_select(1, ids)
        level = torch.log2(depth).add_(level).add_(mip.detail)
        grey, cover = mip.sample(mixed(self.charts.index_select(1, ids), u, v), level, smooth=False)
        found = mixed(self.values.index_select(1, ids), u, v)
        low, high = _EDGE_ON
        t = torch.add(found[6].abs() - (low + _SPLIT * MIDDLE), grey, alpha=_SPLIT).div_(high - low).clamp_(0.0, 1.0)
        cover = cover * (t * t * (3.0 - 2.0 * t))
        base = self.paint.index_select(1, torch.add(first, grey, alpha=_GREYS - 1).add_(0.5).to(torch.int64))
        if self.unlit:
            return base[:3], cover
        return tone(torch.addcmul(base[:3] * found[:3], found[3:6], base[3])), cover

    def normal(self, ids: torch.Tensor, ray: torch.Tensor) -> torch.Tensor:
        """Interpolate unit normals (3, P) at the intersections of rays (2, P) with faces (P,)."""
        u, v, _ = barycentric(self.planes.index_select(1, ids), ray)
        found = mixed(self.normals.index_select(1, ids), u, v)
        return found * torch.rsqrt(dot(found, found).clamp_min(1e-12))


def _paint(hair: Hair) -> torch.Tensor:
    """Return the lookup table ``paint`` of :class:`Strands`. Brighter strands get stronger highlights."""
    grey = torch.linspace(0.0, 1.0, _GREYS, device=hair.colour.device)
    base = torch.cat([srgb_to_linear(tinted(grey, colour[:, None])) for colour in hair.colours], dim=1)
    streak = (1.0 + _STREAK * (grey.repeat(2) - MIDDLE) / MIDDLE).clamp_min(0.0)
    return torch.cat((base, (streak * (0.35 + 1.2 * base.amax(0)))[None]))


def _fan(table: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the fan of values (C, V) for triangles (F, 3): those at the first corner, and the differences of the other
    two from it, (C, F) each.
    """
    a, b, c = (table.index_select(1, corner) for corner in corners.unbind(1))
    return a, b - a, c - a


def strand_light(
    normal: torch.Tensor,
    view: torch.Tensor,
    along: torch.Tensor,
    openness: torch.Tensor,
    gloss: torch.Tensor,
    lights: Lights,
    rotation: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the light on strands at vertices (Kajiya and Kay, *Rendering fur with three dimensional textures*, 1989):
    diffuse, to be multiplied by their colour, and specular, both (3, N) linear.

    Parameters
    ----------
    normal, view, along:
        (3, N) unit, camera space: normal of the card, direction to the viewer, and direction of the strands.
    openness:
        (N,) in [0, 1]: fraction of ambient light that reaches them.
    gloss:
        (N,) in [0, 1]: strength of highlights, less for short hairs than for long ones, least for lashes.
    """
    along = along - normal * dot(along, normal)
    along = along * torch.rsqrt(dot(along, along).clamp_min(1e-8))
    up = rotation[0, :, 1, None]
    sky, ground = (normal.new_tensor(c)[:, None] for c in (lights.sky, lights.ground))
    soft = 0.5 * (sky + ground) + 0.5 * (sky - ground) * dot(normal, up)
    around = lights.irradiance(normal, rotation, torch.zeros_like(gloss, dtype=torch.int64))
    soft = (soft if around is None else soft + around) * openness
    if not lights.lights:
        return soft, torch.zeros_like(soft)
    # One row per light. The half vector is never computed: it is (l + v) / |l + v|, and |l + v|² = 2 + 2 l . v.
    toward = lights.directions(rotation)[0]
    facing, leaning = toward @ normal, toward @ along
    lit = ((facing + _WRAPPED) / (1.0 + _WRAPPED)).clamp_min(0.0)
    body = _ROUND + (1.0 - _ROUND) * (1.0 - leaning.square()).clamp_min(0.0).sqrt()
    scale = torch.rsqrt((2.0 + 2.0 * (toward @ view)).clamp_min(1e-8))
    across, ahead, length = facing + dot(normal, view), leaning + dot(along, view), dot(along, along)
    peaks = torch.zeros_like(lit)
    for shift, exponent, amount in _LOBES:
        # The shifted tangent's two parts are orthogonal.
        tilt = torch.add(ahead, across, alpha=shift) * scale * torch.rsqrt(length + shift**2)
        peaks.add_((1.0 - tilt.square()).clamp_min(1e-6).pow(0.5 * exponent), alpha=amount)
    dull = openness.square() * (0.35 + 0.65 * openness) * gloss
    colours = normal.new_tensor([[light.strength * c for c in light.colour] for light in lights.lights])
    glossy = colours * normal.new_tensor([light.gloss for light in lights.lights])[:, None]
    return soft + colours.t() @ (lit * body * openness), glossy.t() @ (peaks * lit * dull)
