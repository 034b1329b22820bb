"""Shading of hair cards: ray intersection and texture lookup."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from facekit.color import srgb_to_linear
from facekit.geometry.normals import cross, dot
from facekit.hair import HAIR_PARTS, MIDDLE, Hair, HairCards, contrast, tinted
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.peeling import FACE, depths
from facekit.render.shading import tone
from facekit.render.strand_light import strand_light

#: Cards fade out when seen edge-on: cosines of the angle between normal and view at which they are gone, and whole.
_EDGE_ON = (0.02, 0.18)
#: Difference of this cosine between strands of grey 0 and 1: a sheet ends in single strands, not in a blur.
_SPLIT = 0.18
#: The same for hair that has fuzz: the cosine from the front within which it is gone, and the factor beyond it, which
#: widens the fade. What is behind an outline is gone first: it would be seen through the strands before it.
_FUZZ, _FUZZIER = 0.06, 0.65
#: Modulation of highlights by the strands' grey level, as a multiple of their contrast.
_STREAK = 2.13
#: Strength of highlights for each of :data:`facekit.hair.HAIR_PARTS`.
_GLOSS = (1.0, 0.35, 0.25, 0.1)
#: Index of lashes, which have a colour of their own.
_LASHES = HAIR_PARTS.index("lashes")
#: Number of grey levels in the colour lookup table, which is faster than decoding each sample from sRGB.
_GREYS = 1024


@dataclass(frozen=True)
class Seen:
    """Hair of one head in the view of one camera, or in a part of it.

    Parameters
    ----------
    rotation:
        (3, 3): the camera's rotation.
    points:
        (3, N): camera space, mm.
    pixels:
        (3, N) float64, homogeneous pixel points (X w, Y w, w), where w is the depth in mm.
    intrinsics:
        Focal lengths along X and Y, and the principal point x and y, in pixels.
    near:
        Depth of the near plane, mm.
    """

    hair: Hair
    rotation: torch.Tensor
    points: torch.Tensor
    pixels: torch.Tensor
    intrinsics: tuple[float, float, float, float]
    near: float

    @classmethod
    def of(cls, hair: Hair, camera: Camera, size: tuple[int, int], near: float) -> Seen:
        """Project hair to a picture of this height and width in pixels."""
        rotation = camera.rotation()[0]
        x, y, z = points = rotation.double() @ (hair.verts.double() - camera.position[0]).t()
        fx, fy, cx, cy = camera.intrinsics(size)[0].tolist()
        pixels = torch.stack((x * fx - z * cx, -y * fy - z * cy, -z))
        return cls(hair, rotation, points.float(), pixels, (fx, fy, cx, cy), near)

    def crop(self, top: int, left: int) -> Seen:
        """Return the same for a part of the picture that begins at this pixel."""
        x, y, w = self.pixels
        fx, fy, cx, cy = self.intrinsics
        pixels = torch.stack((x - left * w, y - top * w, w))
        return replace(self, pixels=pixels, intrinsics=(fx, fy, cx - left, cy - top))


@dataclass(frozen=True)
class _Layout:
    """Data for shading that depend on the cards alone, not on their places.

    Parameters
    ----------
    corners, places:
        (3, F) int64: vertices of each corner; and (9 F,) int64: their X, Y and Z, as :attr:`Seen.points` lie in memory.
    charts:
        (2, 3, F): UVs of each corner.
    level:
        (F,): mip level of the strand texture for triangles of 1 mm² that are seen at a depth of 1 mm in pixels of 1 mm.
    mark:
        (F,): the first column of :attr:`Strands.paint`.
    across:
        (2, F): differences of the second and third corner from the first in the strand texture across its strands, in
        texels.
    part:
        (F,) uint8, indices into :data:`facekit.hair.HAIR_PARTS`.
    gloss:
        (N,): :data:`_GLOSS` of the vertices.
    """

    corners: torch.Tensor
    places: torch.Tensor
    charts: torch.Tensor
    level: torch.Tensor
    mark: torch.Tensor
    across: torch.Tensor
    part: torch.Tensor
    gloss: torch.Tensor

    @classmethod
    def of(cls, cards: HairCards) -> _Layout:
        """Return the layout of cards; cached."""
        kept = cards.__dict__.get("_layout")
        if kept is None:
            corners = cards.faces.t().contiguous()
            axes = len(cards.verts) * torch.arange(3, device=corners.device)
            charts = cards.uvs.t()[:, cards.faces_uvs.t()]
            across, up = (charts[:, k] - charts[:, 0] for k in (1, 2))
            flat = (across[0] * up[1] - across[1] * up[0]).abs()
            level = 0.5 * torch.log2(flat.clamp_min(1e-12)) + cards.mip.detail
            part = cards.part.index_select(0, corners[0])
            mark = _GREYS * (part == _LASHES).to(level)
            high, wide = cards.strands.shape[1:]
            sides = [side * side.new_tensor([[wide], [high]]) for side in (across, up)]
            places = (corners.flatten() + axes[:, None]).flatten()
            gloss = flat.new_tensor(_GLOSS)[cards.part.long()]
            kept = cards.__dict__["_layout"] = cls(
                corners, places, charts, level, mark, _across(cards, corners, sides), part, gloss
            )
        return kept


@dataclass(frozen=True)
class Strands:
    """Per-triangle shading data of one head's hair for one camera, one column per triangle.

    Parameters
    ----------
    facets:
        (28, F): planes of nine values: diffuse and specular light, the cosine between normal and view, which is 1 for
        lashes and smaller for hair with fuzz, and places in the strand texture; then the first column of ``paint``. A
        value's plane is a vector n, and its value at a depth of the ray d = (x, y, -1) is depth * d . n, exact in
        perspective. All X come first, then all Y and all -Z.
    normals:
        (9, F): planes of normals.
    level:
        (F,): mip level of the strand texture.
    part:
        (F,) uint8, indices into :data:`facekit.hair.HAIR_PARTS`.
    paint:
        (4, 2 * _GREYS): linear RGB and gain of the highlight by grey level, for hair and then for lashes.
    unlit:
        Whether colours are returned without lighting.
    """

    hair: Hair
    facets: torch.Tensor
    normals: torch.Tensor
    level: torch.Tensor
    part: torch.Tensor
    paint: torch.Tensor
    unlit: bool

    @classmethod
    def of(cls, seen: Seen, lights: Lights) -> Strands:
        hair, points = seen.hair, seen.points
        cards, layout = hair.cards, _Layout.of(hair.cards)
        a, b, c = _fan(points, layout.corners)
        around = torch.stack(cross(b, c))
        normals = torch.zeros(points.numel(), device=points.device)
        normals = normals.index_add_(0, layout.places, around.repeat(1, 3).view(-1)).view_as(points)
        normals = normals * torch.rsqrt(dot(normals, normals).clamp_min(1e-24))
        view = -points * torch.rsqrt(dot(points, points).clamp_min(1e-12))
        # Cards are two-sided: the normal is flipped toward the viewer.
        cosine = dot(normals, view)
        facing = torch.where(cosine < -0.3, -1.0, 1.0)
        along = seen.rotation @ cards.along.t()
        soft, shine = strand_light(normals * facing, view, along, hair.openness, layout.gloss, lights, seen.rotation)
        area = dot(around, around).clamp_min(1e-18)
        level = layout.level - 0.25 * torch.log2(area) + torch.log2(-a[2] / seen.intrinsics[1])
        level = torch.maximum(level, _foreshortened(seen, layout))
        # Barycentric coordinates at depth 1 along d are the products of d with three vectors.
        det = dot(a, around)
        scale = det / (det * det).add_(1e-12)
        planes = torch.stack((around, torch.stack(cross(c, a)), torch.stack(cross(a, b)))).mul_(scale)
        planes[:, 2].neg_()  # along d = (x, y, -1)
        gone = torch.maximum(cosine, -cards.fuzz).clamp_max(_FUZZ)
        whole = torch.where(cards.fuzz > 0, _FUZZIER * (cosine - gone), cosine)
        # Lashes are round: they do not fade out edge-on.
        whole = whole.masked_fill_(cards.lash, 1.0)
        values = _fan(torch.cat((soft, shine, whole[None])), layout.corners)
        first, *others = cards.mip.places(layout.charts, level).unbind(1)
        places = (first, *(other - first for other in others))
        lit, read, bent = (_planes(fan, planes) for fan in (values, places, _fan(normals, layout.corners)))
        facets = torch.cat((torch.cat((lit, read), dim=1).flatten(0, 1), layout.mark[None]))
        tints = (tuple(colour) for colour in hair.colours.tolist())
        paint = _paint(*tints, points.device)
        return cls(hair, facets, bent.flatten(0, 1), level, layout.part, paint, lights.unlit)

    def shaded(self, key: torch.Tensor, ray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Shade fragments of keys (P,), see :meth:`facekit.geometry.coverage.Triangles.fragments`, on rays (2, P).

        Returns linear RGB (3, P) and coverage (P,).
        """
        facet = self.facets.index_select(1, key & FACE)
        found = _along(facet[:27], ray).mul_(depths(key))
        grey, cover = self.hair.cards.mip.read(found[7:])
        low, high = _EDGE_ON
        t = found[6].abs_().add_(grey, alpha=_SPLIT).sub_(low + _SPLIT * MIDDLE).div_(high - low).clamp_(0.0, 1.0)
        cover = (3.0 - 2.0 * t).mul_(t).mul_(t).mul_(cover)
        base = self.paint.index_select(1, torch.add(facet[27], grey, alpha=_GREYS - 1).add_(0.5).to(torch.int64))
        if self.unlit:
            return base[:3], cover
        return tone(base[:3].mul_(found[:3]).addcmul_(found[3:6], base[3])), cover

    def normal(self, ids: torch.Tensor, ray: torch.Tensor) -> torch.Tensor:
        """Interpolate unit normals (3, P) at the intersections of rays (2, P) with faces (P,)."""
        found = _along(self.normals.index_select(1, ids), ray)
        return found * torch.rsqrt(dot(found, found).clamp_min(1e-24))


def _planes(fan: Sequence[torch.Tensor], planes: torch.Tensor) -> torch.Tensor:
    """Return the planes (3, C, F) of C values of :func:`_fan` for three vectors (3, 3, F)."""
    (a, b, c), (first, second, third) = fan, planes[:, :, None]
    return torch.addcmul(torch.addcmul(first * a, second, b), third, c)


def _along(planes: torch.Tensor, ray: torch.Tensor) -> torch.Tensor:
    """Return the values (C, P) at depth 1 of rays (2, P), for planes (3 C, P), which are written over."""
    x, y, z = planes.view(3, len(planes) // 3, planes.shape[1])
    return z.addcmul_(x, ray[0]).addcmul_(y, ray[1])


@functools.lru_cache(maxsize=64)
def _paint(hair: tuple[float, ...], lash: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return the lookup table ``paint`` of :class:`Strands` for hair and lashes of these colours, sRGB. Brighter
    strands get stronger highlights.
    """
    grey = torch.linspace(0.0, 1.0, _GREYS, device=device)
    base = torch.cat([srgb_to_linear(tinted(grey, grey.new_tensor(own)[:, None])) for own in (hair, lash)], dim=1)
    differ = torch.cat([contrast(grey.new_tensor(own)[:, None]).expand(1, _GREYS) for own in (hair, lash)], dim=1)[0]
    streak = (1.0 + _STREAK * differ * (grey.repeat(2) - MIDDLE) / MIDDLE).clamp_min(0.0)
    return torch.cat((base, (streak * (0.35 + 1.2 * base.amax(0)))[None]))


def _fan(table: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the fan of values (C, V) for triangles (3, F): those at the first corner, and the differences of the other
    two from it, (C, F) each.
    """
    a, b, c = (table.index_select(1, corner) for corner in corners)
    return a, b - a, c - a


def _across(cards: HairCards, corners: torch.Tensor, sides: list[torch.Tensor]) -> torch.Tensor:
    """Return :attr:`_Layout.across` for triangles (3, F) with these sides (2, F) in the strand texture, in texels."""
    _, b, c = _fan(cards.verts.t(), corners)
    way = cards.along.t()[:, corners].sum(1)
    # Least squares: the strands' direction as a sum of the sides.
    bb, bc, cc, bw, cw = dot(b, b), dot(b, c), dot(c, c), dot(b, way), dot(c, way)
    x, y = (cc * bw - bc * cw) * sides[0] + (bb * cw - bc * bw) * sides[1]
    # The direction of lashes is not that of their strands, which run along v.
    x = x.masked_fill(cards.lash.index_select(0, corners[0]), 0.0)
    scale = torch.rsqrt(x * x + y * y + 1e-12)
    return torch.stack([(side[0] * y - side[1] * x) * scale for side in sides])


def _foreshortened(seen: Seen, layout: _Layout) -> torch.Tensor:
    """Return the mip levels (F,) at which a texel is a pixel across the strands of each triangle: where these are seen
    edge-on, finer levels would show rows of dots.
    """
    x, y, away = seen.pixels
    _, b, c = _fan(torch.stack((x, y)).div_(away.clamp_min(1e-3)).float(), layout.corners)
    one, two = layout.across
    steep = one * c - two * b
    return 0.5 * torch.log2(steep.square().sum(0) / (b[0] * c[1] - b[1] * c[0]).square().clamp_min(1e-6) + 1e-6)
