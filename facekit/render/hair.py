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
from facekit.render.samples import SHEAR, SPOTS
from facekit.render.strands import Seen, Strands

#: Depth bias, mm: hair up to this far under the skin is still visible, for its triangles are coarser than the head's.
_BIAS = 3.0
#: First and last layer, exclusive, of those that are shaded together: most samples are opaque after two. There are
#: seven at most.
_WAVES = ((0, 2), (2, 7))
#: Transmittance below which further layers are skipped.
_ENOUGH = 0.08
#: Cards of parts of this id or more (beards, brows, lashes) have transparent borders: their outlines are not seen.
_TUFTS = HAIR_PARTS.index("beard")
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

    Parameters
    ----------
    camera:
        One camera.
    size:
        Height and width in pixels.
    depth, alpha:
        (H, W) of the head: depth, mm, inf in the background, and coverage.
    """
    return layers_of(Seen.of(hair, camera, size, camera.near_plane(hair.verts[None])), lights, depth, alpha)


def layers_of(seen: Seen, lights: Lights, depth: torch.Tensor, alpha: torch.Tensor) -> Layers:
    """Render the hair of one head in the view of a camera, without gradients.

    Fragments are sorted by sample and depth and blended front to back (A-buffer, Carpenter 1984): the result does not
    depend on the order of triangles, has no noise and does not flicker.

    Parameters
    ----------
    depth, alpha:
        (H, W) of the head: depth, mm, inf in the background, and coverage.
    """
    (height, width), pixels = depth.shape, depth.numel()
    triangles = prepare(seen.pixels.t()[None], seen.hair.cards.faces, height, width, near=seen.near)
    scene = Strands.of(seen, lights)
    samples = _Samples.of(triangles, *_head(depth, alpha), seen.intrinsics, scene.part < _TUFTS)
    left, half, colour = _blended(scene, samples)
    # Pixels in front of the head, and then behind it.
    place = samples.owner + pixels * samples.behind
    drawn = torch.cat((colour, 1.0 - left[None])) * samples.share
    drawn = torch.zeros(4, 2 * pixels, device=left.device).index_add_(1, place, drawn).view(4, 2, height, width)
    far, bent = left.new_full((pixels,), torch.inf), left.new_zeros(3, pixels)
    part = torch.zeros(pixels, dtype=torch.uint8, device=left.device)
    # A pixel with four samples takes the depth of the last one, for simplicity. Brows and lashes do not count: depth
    # and part are those of the surface below.
    kept = flat_indices((half >= 0) & ~samples.behind)
    hit = half.index_select(0, kept)
    face = samples.face.index_select(0, hit)
    kind = scene.part.index_select(0, face)
    thick = flat_indices(kind < _FINE)
    kept, hit, face, kind = pick((kept, hit, face, kind), thick)
    at = samples.owner.index_select(0, kept)
    far.index_copy_(0, at, samples.depth.index_select(0, hit))
    part.index_copy_(0, at, kind)
    bent.index_copy_(1, at, scene.normal(face, samples.ray.index_select(1, kept)))
    front, behind = drawn[:3].unbind(1)
    through, through_behind = (1.0 - drawn[3]).unbind(0)
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

    Hair behind the head is blended on its own: there a sample's fragments count as another sample's.

    Parameters
    ----------
    face, depth:
        (P,) int64 and float32 mm of the fragments.
    start, count:
        (S,) int64: first fragment of each sample, and their number.
    behind:
        (S,) bool: behind the head.
    owner, share:
        (S,) int64 and float32: pixel of each sample, and its fraction of it.
    ray:
        (2, S): X and Y at depth 1.
    """

    face: torch.Tensor
    depth: torch.Tensor
    start: torch.Tensor
    count: torch.Tensor
    behind: torch.Tensor
    owner: torch.Tensor
    share: torch.Tensor
    ray: torch.Tensor

    @classmethod
    def of(
        cls,
        triangles: Triangles,
        head: torch.Tensor,
        limit: torch.Tensor,
        intrinsics: tuple[float, ...],
        sheets: torch.Tensor,
    ) -> _Samples:
        """Find fragments up to the depths ``limit`` (H * W,); those beyond ``head`` (H * W,) are behind it.

        Pixels at the outline of triangles in ``sheets`` (F,) bool have four samples.
        """
        height, width, pixels = triangles.height, triangles.width, len(limit)
        place, key = triangles.fragments(limit)
        dense = flat_indices(sheets.index_select(0, key & 0xFFFFFFFF))
        edge = flat_indices(_outline(place.index_select(0, dense), height, width))
        slots = torch.full((pixels,), -1, device=key.device).scatter_(
            0, edge, torch.arange(len(edge), device=key.device)
        )
        fine = triangles.fragments(limit.index_select(0, edge), grid=2, shear=SHEAR, slots=slots)
        place, key = pick((place, key), flat_indices(slots.index_select(0, place) < 0))
        place, key = torch.cat((place, fine[0] + pixels)), torch.cat((key, fine[1]))
        depth = (key >> 32).to(torch.int32).view(torch.float32)
        heads = torch.cat((head, head.index_select(0, edge).repeat_interleave(4)))
        place = (depth > heads.index_select(0, place)).to(torch.int64).add_(place, alpha=2)
        place, order = _in_order(place, depth, 2 * len(heads))
        face, depth = key.bitwise_and_(0xFFFFFFFF).index_select(0, order), depth.index_select(0, order)
        begins = torch.ones(len(place), dtype=torch.bool, device=key.device)
        torch.ne(place[1:], place[:-1], out=begins[1:])
        start = flat_indices(begins)
        count = torch.diff(start, append=start.new_tensor([len(place)]))
        # Samples in the middle of their pixels come first, then those of the outline, four a pixel.
        sample = place.index_select(0, start)
        behind, sample = (sample & 1).to(torch.bool), sample >> 1
        inner = int(torch.searchsorted(sample, pixels))
        within = sample[inner:] - pixels
        owner = torch.cat((sample[:inner], edge.index_select(0, within >> 2)))
        share = torch.ones(len(owner), device=key.device)
        share[inner:] = 0.25
        # Float64 is exact here, and dividing takes a tenth of the time of integers.
        row = torch.div(owner.to(torch.float64), width).floor_()
        column, row = (owner - row * width).to(torch.float32), row.to(torch.float32)
        across, down = share.new_tensor(SPOTS).t()
        column[:inner] += across[4]
        row[:inner] += down[4]
        column[inner:] += across.index_select(0, within & 3)
        row[inner:] += down.index_select(0, within & 3)
        fx, fy, cx, cy = intrinsics
        ray = torch.stack(((column - cx) / fx, (cy - row) / fy))
        return cls(face, depth, start, count, behind, owner, share, ray)


def _blended(scene: Strands, samples: _Samples) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blend fragments front to back.

    Returns the samples' transmittance (S,), the fragment (S,) int64 at which it falls below a half, -1 for none, and
    their premultiplied colours (3, S).
    """
    count, total = samples.count, len(samples.start)
    left = torch.ones(total, device=count.device)
    colour, half = left.new_zeros(3, total), torch.full_like(samples.start, -1)
    going = torch.arange(total, device=count.device)
    for first, end in _WAVES:
        if first:
            # Go on with samples that have further fragments and are not opaque yet.
            going = flat_indices((count > first) & (left > 0.0))
        if not len(going):
            break
        rank = torch.arange(first, end, device=count.device)[:, None]
        most, begin = count.index_select(0, going), samples.start.index_select(0, going) + rank
        at = flat_indices(most > rank)
        hit, sample = begin.view(-1).index_select(0, at), going.expand(end - first, -1).reshape(-1).index_select(0, at)
        rgb, cover = scene.shaded(samples.face.index_select(0, hit), samples.ray.index_select(1, sample))
        # Where there are fewer fragments than layers, nothing is covered.
        clear = torch.ones(begin.shape, device=left.device)
        clear.view(-1).index_copy_(0, at, 1.0 - cover)
        before = left.index_select(0, going)[None]
        after = before * clear.cumprod(0)
        # At low transmittance a layer stands for those behind it, if there are any.
        after = after * ((after > _ENOUGH) | (most <= rank + 1)).to(torch.float32).cumprod(0)
        before = torch.cat((before, after[:-1]))
        crossed = flat_indices((before >= 0.5) & (after < 0.5))
        half.index_copy_(0, going.index_select(0, crossed % len(going)), begin.view(-1).index_select(0, crossed))
        left.index_copy_(0, going, after[-1])
        colour.index_add_(1, sample, (before - after).view(-1).index_select(0, at) * rgb)
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
