"""Hair in pictures: cards with coverage, blended in the order of their depth, over a head that is drawn already."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from facekit.geometry.coverage import prepare
from facekit.geometry.lists import flat_indices, pick
from facekit.hair import HAIR_PARTS, Hair
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.rasterize import pixel_points
from facekit.render.strands import Strands

#: Hair may lie under the skin by this much, mm, and still be seen: its triangles are coarser than the head's.
_BIAS = 3.0
#: Layers at most, and the light that still comes through where there are enough.
_LAYERS, _ENOUGH = 7, 0.08
#: Parts of this id or more lie on the head, and hide nothing of it.
_FINE = HAIR_PARTS.index("brows")
#: Samples of a pixel at edges, as in the head's picture.
_SHEAR, _SPOTS = 0.125, ((0.375, 0.25), (0.875, 0.25), (0.125, 0.75), (0.625, 0.75), (0.5, 0.5))


@dataclass(frozen=True)
class Layers:
    """Hair of one picture, premultiplied linear colours (3, H, W) and what shines through (H, W), front and behind.

    ``depth`` (H, W) mm is where half of what is behind is hidden, inf elsewhere; ``normal`` (3, H, W) and ``part``
    (H, W) int64, an id into :data:`facekit.hair.HAIR_PARTS`, are those of the hair there.
    """

    front: torch.Tensor
    through: torch.Tensor
    behind: torch.Tensor
    through_behind: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    part: torch.Tensor

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

    Fragments are sorted by place and depth and blended front to back (the A-buffer, Carpenter 1984): no order of
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
    scene = Strands.of(hair, camera, lights, float(1.0 / step[1]))
    place, key = triangles.fragments(limit)
    edge = flat_indices(_outline(place, height, width))
    slots = torch.full((pixels,), -1, device=key.device).scatter_(0, edge, torch.arange(len(edge), device=key.device))
    fine = triangles.fragments(limit.index_select(0, edge), grid=2, shear=_SHEAR, slots=slots)
    middle = flat_indices(slots.index_select(0, place) < 0)
    place, key = pick((place, key), middle)
    place, key = torch.cat((place, fine[0] + pixels)), torch.cat((key, fine[1]))
    depth = (key >> 32).to(torch.int32).view(torch.float32)
    place, order = _in_order(place, depth, pixels + 4 * len(edge))
    face, depth = (key & 0xFFFFFFFF).index_select(0, order), depth.index_select(0, order)
    # Where the list of each sample that sees hair begins, and how long it is.
    begins = torch.ones(len(place), dtype=torch.bool, device=key.device)
    torch.ne(place[1:], place[:-1], out=begins[1:])
    start = flat_indices(begins)
    sample, count = place.index_select(0, start), torch.diff(start, append=start.new_tensor([len(place)]))
    inner = sample < pixels
    within = (sample - pixels).clamp_min(0)
    owner = sample if not len(edge) else torch.where(inner, sample, edge[(within >> 2).clamp_max(len(edge) - 1)])
    spot = step.new_tensor(_SPOTS)[torch.where(inner, 4, within & 3)]
    row = torch.div(owner, width, rounding_mode="floor")
    x, y = owner - row * width, row
    ray = torch.stack(((x + spot[:, 0] - step[2]) / step[0], (step[3] - y - spot[:, 1]) / step[1]))
    head = head.index_select(0, owner)
    colour, left = step.new_zeros(3, 2 * len(sample)), step.new_ones(2 * len(sample))
    deep, normal = step.new_full((len(sample),), float("inf")), step.new_zeros(3, len(sample))
    kind = torch.zeros(len(sample), dtype=torch.uint8, device=key.device)
    hit = torch.arange(len(sample), device=key.device)
    for layer in range(_LAYERS):
        if layer:
            # What still shines through both halves, and has something left to be seen.
            most = left[: len(sample)] * left[len(sample) :]
            hit = hit.index_select(0, flat_indices(((count > layer) & (most > 0.0)).index_select(0, hit)))
        if not len(hit):
            break
        seen = start.index_select(0, hit) + layer
        triangle, far = face.index_select(0, seen), depth.index_select(0, seen)
        # What lies behind the head, where that ends within a pixel, has a second half of the list.
        side = hit + len(sample) * (far > head.index_select(0, hit))
        rgb, cover, corner = scene.shaded(triangle, far, ray.index_select(1, hit))
        before = left.index_select(0, side)
        after = before * (1.0 - cover)
        # Where little still shines through, this layer stands for those behind it, if there are any.
        after = after * ((after > _ENOUGH) | (count.index_select(0, hit) == layer + 1))
        colour.index_add_(1, side, (before - after) * rgb)
        left.index_copy_(0, side, after)
        # Brows and lashes hide nothing: what they lie on tells depth and part.
        hides = (before >= 0.5) & (after < 0.5) & (side < len(sample)) & (scene.part.index_select(0, triangle) < _FINE)
        half = flat_indices(hides)
        at = hit.index_select(0, half)
        deep[at], kind[at] = far[half], scene.part[triangle[half]]
        normal[:, at] = scene.normal(triangle[half], *pick(corner, half))
    share = torch.where(inner, 1.0, 0.25)
    rows = torch.cat((colour[:, : len(sample)], colour[:, len(sample) :], 1.0 - left.view(2, -1))) * share
    picture = step.new_zeros(8, pixels).index_add_(1, owner, rows).view(8, height, width)
    far, bent = step.new_full((pixels,), float("inf")), step.new_zeros(3, pixels)
    part_of = torch.zeros(pixels, dtype=torch.int64, device=key.device)
    # Of a pixel with four samples one tells the depth, the last with the least trouble.
    kept = flat_indices(deep < torch.inf)
    far[owner[kept]], bent[:, owner[kept]] = deep[kept], normal[:, kept]
    part_of[owner[kept]] = kind[kept].long()
    return Layers(
        picture[0:3], 1.0 - picture[6], picture[3:6], 1.0 - picture[7], far.view(height, width),
        bent.view(3, height, width), part_of.view(height, width),
    )  # fmt: skip


def _in_order(place: torch.Tensor, depth: torch.Tensor, places: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Order fragments (P,) by their place, under ``places``, and each place's from near to far: places (P,), and where
    each fragment stood (P,).

    One sort of one number each. What bits place and number leave tell the depth, some thousandths of a millimetre even
    in large pictures.
    """
    number = max(len(place) - 1, 1).bit_length()
    bits = min(62 - number - places.bit_length(), 24)
    low, high = (float(t) for t in depth.aminmax()) if len(depth) else (0.0, 1.0)
    most = 2**bits - 1
    steps = ((depth - low) * (most / max(high - low, 1e-6))).to(torch.int64).clamp_(0, most)
    keys = (((place << bits) | steps) << number) | torch.arange(len(place), device=place.device)
    if keys.device.type == "cpu":
        keys.numpy().sort()  # in place, and twice as fast as torch's
    else:
        keys = keys.sort()[0]
    return keys >> (bits + number), keys & ((1 << number) - 1)


def _outline(place: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Pixels (height, width) bool where hair ends: those of fragments with a neighbour that has none, and these."""
    some = torch.zeros(height * width, dtype=torch.uint8, device=place.device)
    some[place] = 1
    padded = torch.nn.functional.pad(some.view(1, height, width), (1, 1, 1, 1), mode="replicate")[0]
    around = [padded[a : a + height, b : b + width] for a, b in _AROUND]
    least, most = (functools.reduce(f, around) for f in (torch.minimum, torch.maximum))
    return least != most


_AROUND = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
