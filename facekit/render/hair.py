"""Hair in pictures: cards with coverage, blended in the order of their depth, over a head that is drawn already."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.color import srgb_to_linear
from facekit.geometry.coverage import prepare
from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.normals import dot, vertex_normals
from facekit.hair import Hair, tinted
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.rasterize import pixel_points
from facekit.render.shading import tone
from facekit.render.surface import Facets, Surface, surface

#: Hair may lie under the skin by this much, mm, and still be seen: its triangles are coarser than the head's.
_BIAS = 3.0
#: Layers at most, and the light that still comes through where there are enough; coverage that is none.
_LAYERS, _ENOUGH, _NONE = 8, 0.03, 0.012
#: Where cards are seen edge on they end: cosines of the angle to the viewer.
_EDGE_ON = (0.03, 0.30)
#: Samples of a pixel at edges, as in the head's picture.
_SHEAR, _SPOTS = 0.125, ((0.375, 0.25), (0.875, 0.25), (0.125, 0.75), (0.625, 0.75), (0.5, 0.5))
#: Kajiya and Kay's highlights, as Scheuermann (*Practical real-time hair rendering and shading*, 2004) has two of them:
#: shift toward the tip, exponent, strength, and how far it has the hair's own colour.
_LOBES = ((-0.10, 70.0, 0.16, 0.25), (0.14, 16.0, 0.20, 0.9))
#: How far the strands' grey shifts a highlight, how far light wraps, and the part of diffuse light that has no
#: direction along the strand.
_STREAK, _WRAPPED, _ROUND = 0.30, 0.35, 0.45
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
        """Put it in front of and behind a head, linear colours (3, H, W) times alpha (1, H, W), and its alpha."""
        rest = 1.0 - alpha
        linear = self.front + self.through * (linear + rest * self.behind)
        return linear, 1.0 - self.through * rest * self.through_behind


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
    whole = alpha > 0.999
    # Where the head ends within a pixel, its depth is that of its neighbours.
    near = -torch.nn.functional.max_pool2d(-depth.clamp_max(1e9)[None, None], 3, 1, 1)[0, 0]
    head = torch.where(whole, depth, torch.where(alpha > 0, near, torch.inf)).reshape(-1) + _BIAS
    limit = torch.where(whole.reshape(-1), head, torch.inf)
    place, key = triangles.fragments(limit)
    pixels = height * width
    first = torch.full((pixels,), _EMPTY, device=key.device).scatter_reduce_(0, place, key, "amin")
    nearest = (first >> 32).to(torch.int32).view(torch.float32).view(1, height, width)
    step = camera.intrinsics(size)[0]
    edge = flat_indices(_jumps(nearest, float(1.0 / step[1])) & torch.isfinite(head.clamp_max(1e30)).view_as(nearest))
    slots = torch.full((pixels,), -1, device=key.device).scatter_(0, edge, torch.arange(len(edge), device=key.device))
    fine_place, fine_key = triangles.fragments(limit.index_select(0, edge), grid=2, shear=_SHEAR, slots=slots)
    middle = flat_indices(slots.index_select(0, place) < 0)
    place = torch.cat((place.index_select(0, middle), fine_place + pixels))
    key = torch.cat((key.index_select(0, middle), fine_key))
    owner = torch.cat((torch.arange(pixels, device=key.device), edge.repeat_interleave(4)))
    spot = torch.full((len(owner),), 4, device=key.device)
    spot[pixels:] = torch.arange(4 * len(edge), device=key.device) & 3
    x, y = owner % width, owner // width
    offset = step.new_tensor(_SPOTS)[spot]
    ray = torch.stack(((x + offset[:, 0] - step[2]) / step[0], (step[3] - y - offset[:, 1]) / step[1]))
    scene = _Scene.of(hair, camera, lights, float(1.0 / step[1]))
    colour, through = step.new_zeros(2, 3, len(owner)), step.new_ones(2, len(owner))
    deep, normal = step.new_full((len(owner),), float("inf")), step.new_zeros(3, len(owner))
    head = head.index_select(0, owner)
    for _ in range(_LAYERS):
        if not len(place):
            break
        best = torch.full((len(owner),), _EMPTY, device=key.device).scatter_reduce_(0, place, key, "amin")
        hit = flat_indices(best != _EMPTY)
        found, rgb, cover = scene.shaded(best[hit] & 0xFFFFFFFF, ray[:, hit])
        side = (found.depth > head[hit]).long()
        left = through[side, hit]
        after = left * (1.0 - cover)
        for k in range(3):
            colour[side, k, hit] += left * cover * rgb[k]
        through[side, hit] = after
        half = flat_indices((left >= 0.5) & (after < 0.5) & (side == 0))
        deep[hit[half]] = found.depth[half]
        normal[:, hit[half]] = found.normal[:, half]
        seen = best.index_select(0, place)
        rest = flat_indices((key > seen) & (through.amax(0).index_select(0, place) > _ENOUGH))
        place, key = pick((place, key), rest)
    rows = torch.cat((colour.view(6, -1), through))
    whole = rows[:, :pixels].clone()
    whole[:, edge] = rows[:, pixels:].view(8, -1, 4).mean(2)
    whole = whole.view(8, height, width)
    return Layers(
        whole[0:3], whole[6], whole[3:6], whole[7], deep[:pixels].view(height, width),
        normal[:, :pixels].view(3, height, width),
    )  # fmt: skip


def _jumps(depth: torch.Tensor, pixel: float) -> torch.Tensor:
    """Pixels (1, H, W) where the nearest card ends, or another begins."""
    inverse = 1.0 / depth
    padded = torch.nn.functional.pad(inverse[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    middle = padded[:, 1:-1, 1:-1]
    steps = [(padded[:, a : a + depth.shape[1], b : b + depth.shape[2]] - middle).abs_() for a, b in _AROUND]
    jump = torch.maximum(torch.maximum(steps[0], steps[1]), torch.maximum(steps[2], steps[3]))
    return jump > torch.maximum(inverse, inverse + jump) * (6.0 * pixel)


_AROUND = ((0, 1), (2, 1), (1, 0), (1, 2))


@dataclass(frozen=True)
class _Scene:
    """One head's hair as the camera sees it: points and normals (3, N), values (5, N)."""

    hair: Hair
    lights: Lights
    rotation: torch.Tensor
    points: torch.Tensor
    normals: torch.Tensor
    values: torch.Tensor
    topology: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    pixel: float

    @classmethod
    def of(cls, hair: Hair, camera: Camera, lights: Lights, pixel: float) -> _Scene:
        cards, verts = hair.cards, hair.verts[None]
        rotation = camera.rotation()
        points = camera.view(verts)[0].t().contiguous()
        normals = (vertex_normals(verts, cards.faces)[0] @ rotation[0].t()).t().contiguous()
        along = (cards.along @ rotation[0].t()).t()
        values = torch.cat((along, cards.openness[None], cards.lash.to(along)[None])).contiguous()
        topology = tuple(t.t().contiguous() for t in (cards.faces, cards.uvs, cards.faces_uvs))
        return cls(hair, lights, rotation, points, normals, values, (topology[0], topology[1], topology[2]), pixel)

    def shaded(self, ids: torch.Tensor, ray: torch.Tensor) -> tuple[Surface, torch.Tensor, torch.Tensor]:
        """Where rays meet faces, linear colours (3, P) there, and coverage (P,)."""
        facets, index = Facets.of(self.points, self.normals, self.values, *self.topology, ids)
        found = surface(facets, index, torch.zeros_like(ids), ray, ray.new_tensor([self.pixel]))
        mip = self.hair.cards.mip
        grey, cover = mip.sample(found.uv, found.span + mip.detail)
        lash = found.values[4]
        facing = dot(found.smooth, found.view)
        low, high = _EDGE_ON
        t = ((facing - low) / (high - low)).clamp(0.0, 1.0)
        cover = cover * torch.maximum(t * t * (3.0 - 2.0 * t), lash)
        cover = torch.where(cover < _NONE, torch.zeros_like(cover), cover)
        hair, lashes = self.hair.colours[:, :, None]
        base = srgb_to_linear(torch.lerp(tinted(grey, hair), lashes.expand(3, len(grey)), lash))
        return found, strand_light(found, base, grey, self.lights, self.rotation), cover


def strand_light(
    found: Surface, base: torch.Tensor, grey: torch.Tensor, lights: Lights, rotation: torch.Tensor
) -> torch.Tensor:
    """Light that strands reflect, (3, P) linear and tone-mapped (Kajiya and Kay, *Rendering fur with three dimensional
    textures*, 1989).

    Parameters
    ----------
    found:
        With rows of values: where strands run (3), and the light from around that reaches them.
    base:
        (3, P) linear.
    grey:
        (P,) the strands' own brightness, which moves highlights from strand to strand.
    """
    if lights.unlit:
        return base
    normal, view = found.smooth, found.view
    along, openness, lash = found.values[:3], found.values[3], found.values[4]
    along = along - normal * dot(along, normal)
    along = along * torch.rsqrt(dot(along, along).clamp_min(1e-8))
    up = rotation[0, :, 1, None]
    sky, ground = (normal.new_tensor(c)[:, None] for c in (lights.sky, lights.ground))
    ambient = 0.5 * (sky + ground) + 0.5 * (sky - ground) * dot(normal, up)
    around = lights.irradiance(normal, rotation, found.frame)
    ambient = ambient if around is None else ambient + around
    total = ambient * base * openness
    dull = openness.square() * (1.0 - 0.9 * lash)
    for k, light in enumerate(lights.lights):
        toward = lights.directions(rotation)[0, k, :, None]
        cosine = dot(normal, toward)
        lit = ((cosine + _WRAPPED) / (1.0 + _WRAPPED)).clamp_min(0.0)
        slant = dot(along, toward)
        body = _ROUND + (1.0 - _ROUND) * (1.0 - slant.square()).clamp_min(0.0).sqrt()
        half = view + toward
        half = half * torch.rsqrt(dot(half, half).clamp_min(1e-8))
        strength = [light.strength * c for c in light.colour]
        shine = torch.zeros_like(base)
        for shift, exponent, amount, own in _LOBES:
            moved = along + normal * (shift + _STREAK * (grey - 0.5))
            tilt = dot(moved, half) * torch.rsqrt(dot(moved, moved))
            peak = (1.0 - tilt.square()).clamp_min(1e-6).pow(0.5 * exponent)
            peak = peak * amount * light.gloss
            tint = torch.lerp(torch.ones_like(base) * 0.35, base * 1.6 + 0.03, own)
            shine = shine + tint * peak
        reach = lit * (0.35 + 0.65 * openness)
        for c in range(3):
            total[c] += strength[c] * (base[c] * lit * body * openness + shine[c] * dull * reach)
    return tone(total)
