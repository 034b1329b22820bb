"""Hair in pictures: cards with coverage, blended in the order of their depth, over a head that is drawn already."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from facekit.color import srgb_to_linear
from facekit.geometry.coverage import prepare
from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.normals import cross, dot, vertex_normals
from facekit.hair import MIDDLE, Hair, tinted
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.rasterize import pixel_points
from facekit.render.shading import tone
from facekit.render.surface import barycentric

#: Hair may lie under the skin by this much, mm, and still be seen: its triangles are coarser than the head's.
_BIAS = 3.0
#: Layers at most, and the light that still comes through where there are enough.
_LAYERS, _ENOUGH = 7, 0.05
#: Where cards are seen edge on they end: cosines of the angle to the viewer.
_EDGE_ON = (0.03, 0.30)
#: Samples of a pixel at edges, as in the head's picture.
_SHEAR, _SPOTS = 0.125, ((0.375, 0.25), (0.875, 0.25), (0.125, 0.75), (0.625, 0.75), (0.5, 0.5))
#: Kajiya and Kay's highlights, as Scheuermann (*Practical real-time hair rendering and shading*, 2004) has two of them:
#: shift toward the tip, exponent, and strength.
_LOBES = ((-0.10, 60.0, 0.16), (0.14, 14.0, 0.18))
#: How far the strands' grey makes a highlight brighter, how far light wraps, and the part of diffuse light that has no
#: direction along the strand.
_STREAK, _WRAPPED, _ROUND = 1.6, 0.35, 0.45
_EMPTY = (0x7F800000 << 32) | 0xFFFFFFFF


@dataclass(frozen=True)
class Layers:
    """Hair of one picture, premultiplied linear colours (3, H, W) and what shines through (H, W), front and behind.

    ``depth`` (H, W) mm is where half of what is behind is hidden, inf elsewhere; ``normal`` (3, H, W) is there, too.
    """

    front: torch.Tensor
    through: torch.Tensor
    behind: torch.Tensor
    through_behind: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor

    def over(self, linear: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put it in front of and behind a head, linear colours (3, H, W) times alpha (1, H, W); return both anew."""
        rest = 1.0 - alpha
        linear = self.front + self.through * (linear + rest * self.behind)
        return linear, 1.0 - self.through * rest * self.through_behind


def window(hair: Hair, camera: Camera, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a picture that hair can be in, both even; all of it where some is behind the camera."""
    height, width = size
    with torch.no_grad():
        x, y, away = camera.project(hair.verts[None], (height, width))[0].unbind(1)
        if not bool((away > 1.0).all()):
            return slice(0, height), slice(0, width)
        # Two pixels more, for what is told of a pixel by its neighbours.
        ends = [float(v) for t in (y, x) for v in t.aminmax()]
    (top, bottom), (left, right) = (
        (max(0, (int(low) - 2) // 2 * 2), min(most, (int(high) + 4) // 2 * 2))
        for low, high, most in ((ends[0], ends[1], height), (ends[2], ends[3], width))
    )
    return slice(top, bottom), slice(left, right)


@torch.no_grad()
def hair_layers(
    hair: Hair, camera: Camera, lights: Lights, size: tuple[int, int], depth: torch.Tensor, alpha: torch.Tensor
) -> Layers:
    """Draw the hair of one head.

    Fragments are blended front to back (depth peeling, Everitt 2001, of a list instead of a buffer): no order of
    triangles, no noise, and the same from frame to frame.

    Parameters
    ----------
    camera:
        One camera.
    size:
        Height and width in pixels.
    depth, alpha:
        (H, W) of the head: inf where there is none, and coverage.
    """
    height, width = size
    verts, cards = hair.verts[None], hair.cards
    points = pixel_points(verts, camera, height, width)
    triangles = prepare(points, cards.faces, height, width, near=camera.near_plane(verts))
    whole, head = (alpha > 0.999).reshape(-1), depth.reshape(-1) + _BIAS
    part = flat_indices((alpha > 0).reshape(-1) & ~whole)
    if len(part):
        # Where the head ends within a pixel, its depth is that of its nearest neighbour.
        rows, columns = part // width, part % width
        around = [
            ((rows + j).clamp(0, height - 1) * width + (columns + i).clamp(0, width - 1))
            for j in (-1, 0, 1)
            for i in (-1, 0, 1)
        ]
        head = head.index_copy(0, part, head[torch.stack(around)].amin(0))
    limit = torch.where(whole, head, torch.inf)
    pixels, step = height * width, camera.intrinsics(size)[0]
    place, key = triangles.fragments(limit)
    first = torch.full((pixels,), _EMPTY, device=key.device).scatter_reduce_(0, place, key, "amin")
    edge = flat_indices(_jumps(_depth(first).view(1, height, width), float(1.0 / step[1])))
    slots = torch.full((pixels,), -1, device=key.device).scatter_(0, edge, torch.arange(len(edge), device=key.device))
    fine = triangles.fragments(limit.index_select(0, edge), grid=2, shear=_SHEAR, slots=slots)
    middle = flat_indices(slots.index_select(0, place) < 0)
    place, key = pick((place, key), middle)
    place, key = torch.cat((place, fine[0] + pixels)), torch.cat((key, fine[1]))
    # Only samples that see hair have a place from here on.
    some = torch.zeros(pixels + 4 * len(edge), dtype=torch.int32, device=key.device)
    some[place] = 1
    sample = flat_indices(some > 0)
    place = some.cumsum(0).sub_(1).index_select(0, place)
    inner = sample < pixels
    within = (sample - pixels).clamp_min(0)
    owner = sample if not len(edge) else torch.where(inner, sample, edge[(within >> 2).clamp_max(len(edge) - 1)])
    spot = step.new_tensor(_SPOTS)[torch.where(inner, 4, within & 3)]
    row = torch.div(owner, width, rounding_mode="floor")
    x, y = owner - row * width, row
    ray = torch.stack(((x + spot[:, 0] - step[2]) / step[0], (step[3] - y - spot[:, 1]) / step[1]))
    scene = _Scene.of(hair, camera, lights, float(1.0 / step[1]))
    head = head.index_select(0, owner)
    colour, left = step.new_zeros(3, 2 * len(sample)), step.new_ones(2 * len(sample))
    deep, normal = step.new_full((len(sample),), float("inf")), step.new_zeros(3, len(sample))
    for _ in range(_LAYERS):
        if not len(place):
            break
        best = torch.full((len(sample),), _EMPTY, device=key.device).scatter_reduce_(0, place, key, "amin")
        hit = flat_indices(best != _EMPTY)
        front = best.index_select(0, hit)
        far = _depth(front)
        # What lies behind the head, where that ends within a pixel, has a second half of the list.
        side = hit + len(sample) * (far > head.index_select(0, hit))
        rgb, cover, bent, lash = scene.shaded(front & 0xFFFFFFFF, far, ray.index_select(1, hit))
        before = left.index_select(0, side)
        after = before * (1.0 - cover)
        colour.index_add_(1, side, (before - after) * rgb)
        left.index_copy_(0, side, after)
        # Lashes hide nothing: what they lie on tells depth and part.
        half = flat_indices((before >= 0.5) & (after < 0.5) & (side < len(sample)) & (lash < 0.5))
        deep[hit[half]], normal[:, hit[half]] = far[half], bent[:, half]
        most = left[: len(sample)] * left[len(sample) :]
        rest = flat_indices((key > best.index_select(0, place)) & (most.index_select(0, place) > _ENOUGH))
        place, key = pick((place, key), rest)
    share = torch.where(inner, 1.0, 0.25)
    rows = torch.cat((colour[:, : len(sample)], colour[:, len(sample) :], 1.0 - left.view(2, -1))) * share
    picture = step.new_zeros(8, pixels).index_add_(1, owner, rows).view(8, height, width)
    far, bent = step.new_full((pixels,), float("inf")), step.new_zeros(3, pixels)
    # Of a pixel with four samples one tells the depth, the last with the least trouble.
    kept = flat_indices(deep < torch.inf)
    far[owner[kept]], bent[:, owner[kept]] = deep[kept], normal[:, kept]
    return Layers(
        picture[0:3], 1.0 - picture[6], picture[3:6], 1.0 - picture[7], far.view(height, width),
        bent.view(3, height, width),
    )  # fmt: skip


def _depth(key: torch.Tensor) -> torch.Tensor:
    """Depths (P,) float32 of keys."""
    return (key >> 32).to(torch.int32).view(torch.float32)


def _jumps(depth: torch.Tensor, pixel: float) -> torch.Tensor:
    """Pixels (1, H, W) where the nearest card ends, or another begins."""
    inverse = 1.0 / depth
    padded = torch.nn.functional.pad(inverse[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    middle = padded[:, 1:-1, 1:-1]
    steps = [(padded[:, a : a + depth.shape[1], b : b + depth.shape[2]] - middle).abs_() for a, b in _AROUND]
    jump = torch.maximum(torch.maximum(steps[0], steps[1]), torch.maximum(steps[2], steps[3]))
    return jump > torch.maximum(inverse, inverse + jump) * (14.0 * pixel)


_AROUND = ((0, 1), (2, 1), (1, 0), (1, 2))


@dataclass(frozen=True)
class _Scene:
    """One head's hair as the camera sees it, a column a triangle: planes (9, F), as those of
    :class:`facekit.render.surface.Facets`; fans of values (3 * 10, F), normal, diffuse and specular light and the mark
    of lashes; charts (6, F), and the level of the strands' picture for a depth of 1 mm (F,)."""

    hair: Hair
    planes: torch.Tensor
    values: torch.Tensor
    charts: torch.Tensor
    level: torch.Tensor
    unlit: bool

    @classmethod
    def of(cls, hair: Hair, camera: Camera, lights: Lights, pixel: float) -> _Scene:
        cards, verts = hair.cards, hair.verts[None]
        rotation = camera.rotation()
        points = camera.view(verts)[0].t()
        normals = (vertex_normals(verts, cards.faces)[0] @ rotation[0].t()).t()
        view = -points * torch.rsqrt(dot(points, points).clamp_min(1e-12))
        # Both sides of a card are seen: light falls on the one that is turned to the viewer.
        facing = torch.where(dot(normals, view) < -0.3, -1.0, 1.0)
        along = (cards.along @ rotation[0].t()).t()
        soft, shine = strand_light(normals * facing, view, along, cards.openness, cards.lash, lights, rotation)
        values = torch.cat((normals, soft, shine, cards.lash.to(soft)[None]))
        a, b, c = _fan(points, cards.faces)
        planes = torch.stack((*cross(c, b), *cross(a, c), *cross(b, a)))
        chart = _fan(cards.uvs.t(), cards.faces_uvs)
        _, across, up = chart
        flat = (across[0] * up[1] - across[1] * up[0]).abs()
        around = torch.stack(cross(b, c))
        dense = flat / dot(around, around).sqrt().clamp_min(1e-9)
        level = 0.5 * torch.log2(dense.clamp_min(1e-12)) + math.log2(pixel)
        return cls(hair, planes, torch.cat(_fan(values, cards.faces)), torch.cat(chart), level, lights.unlit)

    def shaded(
        self, ids: torch.Tensor, depth: torch.Tensor, ray: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Linear colours (3, P) where rays (2, P) meet faces (P,) at these depths, coverage (P,), normals (3, P), and
        whether they are lashes, 1, or hair, 0."""
        u, v, _ = barycentric(self.planes.index_select(1, ids), ray)
        mip = self.hair.cards.mip
        chart = self.charts.index_select(1, ids)
        uv = torch.addcmul(torch.addcmul(chart[:2], chart[2:4], u), chart[4:], v)
        grey, cover = mip.sample(uv, self.level.index_select(0, ids) + torch.log2(depth) + mip.detail)
        fan = self.values.index_select(1, ids).view(3, 10, -1)
        found = torch.addcmul(torch.addcmul(fan[0], fan[1], u), fan[2], v)
        normal, soft, shine, lash = found[:3], found[3:6], found[6:9], found[9]
        normal = normal * torch.rsqrt(dot(normal, normal).clamp_min(1e-12))
        x, y = ray
        facing = (normal[2] - normal[0] * x - normal[1] * y) * torch.rsqrt(x * x + y * y + 1.0)
        low, high = _EDGE_ON
        t = ((facing.abs() - low) / (high - low)).clamp(0.0, 1.0)
        cover = cover * torch.maximum(t * t * (3.0 - 2.0 * t), lash)
        hair, lashes = self.hair.colours[:, :, None]
        base = srgb_to_linear(tinted(grey, torch.lerp(hair, lashes, lash)))
        if self.unlit:
            return base, cover, normal, lash
        # Strands that stand out catch more of the light, and others less.
        streak = (1.0 + _STREAK * (grey - MIDDLE) / MIDDLE).clamp_min(0.0)
        return tone(torch.addcmul(base * soft, shine, streak * (0.35 + 1.2 * base.amax(0)))), cover, normal, lash


def _fan(table: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(C, V) values at each face's first corner, and what the other two differ from it, (C, F) each."""
    a, b, c = (table.index_select(1, corner) for corner in corners.unbind(1))
    return a, b - a, c - a


def strand_light(
    normal: torch.Tensor,
    view: torch.Tensor,
    along: torch.Tensor,
    openness: torch.Tensor,
    lash: torch.Tensor,
    lights: Lights,
    rotation: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Light on strands at vertices (Kajiya and Kay, *Rendering fur with three dimensional textures*, 1989): diffuse, to
    be multiplied by their colour, and their highlights, both (3, N) linear.

    Parameters
    ----------
    normal, view, along:
        (3, N) unit, camera space: of the card, toward the viewer, and where strands run.
    openness:
        (N,), light from around that reaches them.
    lash:
        (N,) bool: lashes hardly glint.
    """
    along = along - normal * dot(along, normal)
    along = along * torch.rsqrt(dot(along, along).clamp_min(1e-8))
    up = rotation[0, :, 1, None]
    sky, ground = (normal.new_tensor(c)[:, None] for c in (lights.sky, lights.ground))
    soft = 0.5 * (sky + ground) + 0.5 * (sky - ground) * dot(normal, up)
    around = lights.irradiance(normal, rotation, torch.zeros_like(lash, dtype=torch.int64))
    soft = (soft if around is None else soft + around) * openness
    shine = torch.zeros_like(soft)
    dull = openness.square() * (0.35 + 0.65 * openness) * (1.0 - 0.9 * lash.to(openness))
    for light, toward in zip(lights.lights, lights.directions(rotation)[0], strict=True):
        toward = toward[:, None]
        lit = ((dot(normal, toward) + _WRAPPED) / (1.0 + _WRAPPED)).clamp_min(0.0)
        body = _ROUND + (1.0 - _ROUND) * (1.0 - dot(along, toward).square()).clamp_min(0.0).sqrt()
        half = view + toward
        half = half * torch.rsqrt(dot(half, half).clamp_min(1e-8))
        peaks = torch.zeros_like(lit)
        for shift, exponent, amount in _LOBES:
            moved = along + normal * shift
            tilt = dot(moved, half) * torch.rsqrt(dot(moved, moved))
            peaks = peaks + amount * (1.0 - tilt.square()).clamp_min(1e-6).pow(0.5 * exponent)
        strength = light.strength * normal.new_tensor(light.colour)[:, None]
        soft = soft + strength * (lit * body * openness)
        shine = shine + strength * (peaks * lit * dull * light.gloss)
    return soft, shine
