"""Rendering of hair cards: depth-sorted alpha blending over a head that is already drawn."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from facekit.geometry.coverage import Triangles, prepare
from facekit.geometry.lists import flat_indices, pick
from facekit.hair import HAIR_PARTS, Hair
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.rasterize import pixel_points
from facekit.render.samples import SHEAR, SPOTS
from facekit.render.strands import Strands

#: Depth bias, mm: hair up to this far under the skin is still visible, for its triangles are coarser than the head's.
_BIAS = 3.0
#: First and last layer, exclusive, of those that are shaded together: most samples are opaque after two. There are
#: seven at most.
_WAVES = ((0, 2), (2, 7))
#: Transmittance below which further layers are skipped.
_ENOUGH = 0.08
#: Parts of this id or more (brows, lashes) leave the depth and ids of the head below unchanged.
_FINE = HAIR_PARTS.index("brows")


@dataclass(frozen=True)
class Layers:
    """Hair of one picture, in front of the head and behind it: premultiplied linear RGB (3, H, W) and transmittance
    (H, W).

    ``depth`` (H, W) mm is the depth where transmittance falls below a half, inf elsewhere; ``normal`` (3, H, W) and
    ``part`` (H, W) int64, an index into :data:`facekit.hair.HAIR_PARTS`, are those of the hair at this depth.
    """

    front: torch.Tensor
    through: torch.Tensor
    behind: torch.Tensor
    through_behind: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    part: torch.Tensor

    def over(self, linear: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Composite with a head: premultiplied linear RGB (3, H, W) and alpha (1, H, W). Returns both, composited."""
        rest = 1.0 - alpha
        linear = self.front + self.through * (linear + rest * self.behind)
        return linear, 1.0 - self.through * rest * self.through_behind


@torch.no_grad()
def hair_layers(
    hair: Hair, camera: Camera, lights: Lights, size: tuple[int, int], depth: torch.Tensor, alpha: torch.Tensor
) -> Layers:
    """Render the hair of one head.

    Fragments are sorted by sample and depth and blended front to back (A-buffer, Carpenter 1984): the result does not
    depend on the order of triangles, has no noise and does not flicker.

    Parameters
    ----------
    camera:
        One camera.
    size:
        Height and width in pixels.
    depth, alpha:
        (H, W) of the head: depth, mm, inf in the background, and coverage.
    """
    height, width = size
    verts, pixels = hair.verts[None], height * width
    points = pixel_points(verts, camera, height, width)
    triangles = prepare(points, hair.cards.faces, height, width, near=camera.near_plane(verts))
    head, limit = _head(depth, alpha)
    step = camera.intrinsics(size)[0]
    scene = Strands.of(hair, camera, lights, float(1.0 / step[1]))
    samples = _Samples.of(triangles, limit, step)
    left, half, colour = _blended(scene, samples, head, pixels)
    cover = head.new_zeros(2, pixels).index_add_(1, samples.owner, (1.0 - left) * samples.share)
    far, bent = head.new_full((pixels,), torch.inf), head.new_zeros(3, pixels)
    part = torch.zeros(pixels, dtype=torch.int64, device=head.device)
    # A pixel with four samples takes the depth of the last one, for simplicity.
    kept = flat_indices(half >= 0)
    at, hit = samples.owner.index_select(0, kept), half.index_select(0, kept)
    face = samples.face.index_select(0, hit)
    far[at], part[at] = samples.depth.index_select(0, hit), scene.part.index_select(0, face).long()
    bent[:, at] = scene.normal(face, samples.ray.index_select(1, kept))
    front, behind = colour.view(3, 2, height, width).unbind(1)
    through, through_behind = (1.0 - cover).view(2, height, width)
    return Layers(
        front, through, behind, through_behind, far.view(height, width), bent.view(3, height, width),
        part.view(height, width),
    )  # fmt: skip


def _head(depth: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for each pixel (H * W,) the depth beyond which hair is behind the head, and that beyond which it is
    hidden.
    """
    height, width = alpha.shape
    whole, head = (alpha > 0.999).reshape(-1), depth.reshape(-1) + _BIAS
    part = flat_indices((alpha > 0).reshape(-1) & ~whole)
    if len(part):
        # At the head's silhouette a pixel gets the least depth of its neighbours.
        rows, columns = part // width, part % width
        around = [
            ((rows + j).clamp(0, height - 1) * width + (columns + i).clamp(0, width - 1))
            for j in (-1, 0, 1)
            for i in (-1, 0, 1)
        ]
        head = head.index_copy(0, part, head[torch.stack(around)].amin(0))
    return head, torch.where(whole, head, torch.inf)


@dataclass(frozen=True)
class _Samples:
    """The S samples with hair, and their P fragments in order: by sample, and from near to far.

    Parameters
    ----------
    face, depth:
        (P,) int64 and float32 mm of the fragments.
    start, count:
        (S,) int64: first fragment of each sample, and their number.
    owner, share:
        (S,) int64 and float32: pixel of each sample, and its fraction of it.
    ray:
        (2, S): X and Y at depth 1.
    """

    face: torch.Tensor
    depth: torch.Tensor
    start: torch.Tensor
    count: torch.Tensor
    owner: torch.Tensor
    share: torch.Tensor
    ray: torch.Tensor

    @classmethod
    def of(cls, triangles: Triangles, limit: torch.Tensor, step: torch.Tensor) -> _Samples:
        """Find fragments up to the depths ``limit`` (H * W,); ``step`` are the camera's intrinsics, in pixels."""
        height, width, pixels = triangles.height, triangles.width, len(limit)
        place, key = triangles.fragments(limit)
        edge = flat_indices(_outline(place, height, width))
        slots = torch.full((pixels,), -1, device=key.device).scatter_(
            0, edge, torch.arange(len(edge), device=key.device)
        )
        fine = triangles.fragments(limit.index_select(0, edge), grid=2, shear=SHEAR, slots=slots)
        place, key = pick((place, key), flat_indices(slots.index_select(0, place) < 0))
        place, key = torch.cat((place, fine[0] + pixels)), torch.cat((key, fine[1]))
        depth = (key >> 32).to(torch.int32).view(torch.float32)
        place, order = _in_order(place, depth, pixels + 4 * len(edge))
        face, depth = key.bitwise_and_(0xFFFFFFFF).index_select(0, order), depth.index_select(0, order)
        begins = torch.ones(len(place), dtype=torch.bool, device=key.device)
        torch.ne(place[1:], place[:-1], out=begins[1:])
        start = flat_indices(begins)
        count = torch.diff(start, append=start.new_tensor([len(place)]))
        # Samples in the middle of their pixels come first, then those of the outline, four a pixel.
        sample = place.index_select(0, start)
        inner = int(torch.searchsorted(sample, pixels))
        within = sample[inner:] - pixels
        owner = torch.cat((sample[:inner], edge.index_select(0, within >> 2)))
        spot = torch.nn.functional.pad(within & 3, (inner, 0), value=4)
        share = step.new_ones(len(owner))
        share[inner:] = 0.25
        row = torch.div(owner, width, rounding_mode="floor")
        across, down = step.new_tensor(SPOTS).t().contiguous().index_select(1, spot)
        ray = torch.stack(((owner - row * width + across - step[2]) / step[0], (step[3] - row - down) / step[1]))
        return cls(face, depth, start, count, owner, share, ray)


def _blended(
    scene: Strands, samples: _Samples, head: torch.Tensor, pixels: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blend fragments front to back, in front of the head and behind it.

    Returns the transmittance of the samples (2, S), the fragment (S,) int64 at which it falls below a half, -1 for
    none, and the pixels' premultiplied colours (3, 2 * pixels).
    """
    count, total = samples.count, len(samples.start)
    left, colour = head.new_ones(2, total), head.new_zeros(3, 2 * pixels)
    half = torch.full_like(samples.start, -1)
    head = head.index_select(0, samples.owner)
    going = torch.arange(total, device=head.device)
    for first, end in _WAVES:
        if first:
            # Go on with samples that have further fragments and are not opaque yet.
            going = flat_indices((count > first) & (left[0] * left[1] > 0.0))
        if not len(going):
            break
        rank = torch.arange(first, end, device=head.device)[:, None]
        most, begin = count.index_select(0, going), samples.start.index_select(0, going) + rank
        at = flat_indices(most > rank)
        hit, sample = begin.view(-1).index_select(0, at), going.expand(end - first, -1).reshape(-1).index_select(0, at)
        face, far = samples.face.index_select(0, hit), samples.depth.index_select(0, hit)
        rgb, cover = scene.shaded(face, far, samples.ray.index_select(1, sample))
        # Hair behind the head is blended on its own: fragments in front of it come first. Where there are fewer
        # fragments than layers, nothing is covered.
        behind = far > head.index_select(0, sample)
        covers = head.new_zeros(2, begin.numel())
        covers.view(-1).index_copy_(0, at + begin.numel() * behind, cover)
        before = left.index_select(1, going)[:, None]
        after = before * (1.0 - covers.view(2, *begin.shape)).cumprod(1)
        # At low transmittance a layer stands for those behind it, if there are any.
        after = after * ((after > _ENOUGH) | (most <= rank + 1)).to(torch.float32).cumprod(1)
        after[1] = torch.where(after[0, -1] > 0.0, after[1], before[1])
        before = torch.cat((before, after[:, :-1]), dim=1)
        # Brows and lashes do not count: depth and part are those of the surface below.
        hides = (scene.part.index_select(0, face) < _FINE) & ~behind
        solid = torch.zeros_like(begin, dtype=torch.bool).view(-1).index_copy_(0, at, hides).view_as(begin)
        crossed = torch.where((before[0] >= 0.5) & (after[0] < 0.5) & solid, begin, -1).amax(0)
        half.index_copy_(0, going, torch.maximum(half.index_select(0, going), crossed))
        left.index_copy_(1, going, after[:, -1])
        amount = (before - after).sum(0).view(-1).index_select(0, at)
        owner, share = samples.owner.index_select(0, sample), samples.share.index_select(0, sample)
        colour.index_add_(1, owner + pixels * behind, (amount * share) * rgb)
    return left, half, colour


def _in_order(place: torch.Tensor, depth: torch.Tensor, places: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort fragments (P,) by sample, an id below ``places``, and from near to far within a sample. Returns the sorted
    sample ids (P,) and the permutation (P,).

    Sample, depth and index are packed into one 64-bit key. Depth gets the bits that the others leave: steps of a few
    thousandths of a millimetre even in large pictures.
    """
    number = max(len(place) - 1, 1).bit_length()
    bits = min(62 - number - places.bit_length(), 24)
    low, high = (float(t) for t in depth.aminmax()) if len(depth) else (0.0, 1.0)
    most = 2**bits - 1
    steps = ((depth - low) * (most / max(high - low, 1e-6))).to(torch.int64).clamp_(0, most)
    keys = (((place << bits) | steps) << number) | torch.arange(len(place), device=place.device)
    keys = keys.sort()[0]
    return keys >> (bits + number), keys & ((1 << number) - 1)


def _outline(place: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the pixels (height, width) bool on both sides of the hair's outline, for fragments at pixels ``place``."""
    some = torch.zeros(height * width, dtype=torch.uint8, device=place.device)
    some[place] = 1
    padded = torch.nn.functional.pad(some.view(1, height, width), (1, 1, 1, 1), mode="replicate")[0]
    around = [padded[a : a + height, b : b + width] for a, b in _AROUND]
    least, most = (functools.reduce(f, around) for f in (torch.minimum, torch.maximum))
    return least != most


_AROUND = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
