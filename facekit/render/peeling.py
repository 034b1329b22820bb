"""Fragments of hair: the samples they lie in, and their blending from near to far."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from facekit.geometry.coverage import Triangles
from facekit.geometry.lists import flat_indices, pick
from facekit.render.samples import SHEAR, SPOTS

#: Transmittance below which further layers are skipped.
_ENOUGH = 0.08
#: Number of fragments that are sorted and shaded at once. More are peeled layer by layer: most samples are opaque after
#: one or two layers, and what is behind these is neither sorted nor shaded.
_FEW = 1 << 13
#: Key of a sample without fragments, greater than all others; and the bits of a key that hold the face.
_NONE, FACE = (1 << 63) - 1, 0xFFFFFFFF
#: A shader: linear RGB (3, P) and coverage (P,) for keys (P,) and rays (2, P).
Shader = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Fragments:
    """The S samples with hair, and their P fragments in no particular order.

    Hair behind the head is blended on its own: there a sample's fragments count as another sample's.

    Parameters
    ----------
    place, key:
        (P,) int64: sample of each fragment; and its key, see
        :meth:`facekit.geometry.coverage.Triangles.fragments`.
    behind:
        (S,) bool: behind the head.
    owner:
        (S,) int64: pixel of each sample. Samples in the middle of their pixels come first, then those of the outline,
        four a pixel.
    inner:
        Number of the former.
    ray:
        (2, S): X and Y at depth 1.
    """

    place: torch.Tensor
    key: torch.Tensor
    behind: torch.Tensor
    owner: torch.Tensor
    inner: int
    ray: torch.Tensor

    @classmethod
    def of(
        cls,
        triangles: Triangles,
        head: torch.Tensor,
        limit: torch.Tensor,
        intrinsics: tuple[float, ...],
        sheets: torch.Tensor,
    ) -> Fragments:
        """Find fragments up to the depths ``limit`` (H * W,); those beyond ``head`` (H * W,) are behind it.

        Pixels at the outline of triangles in ``sheets`` (F,) bool have four samples.
        """
        height, width, pixels = triangles.height, triangles.width, len(limit)
        place, key = triangles.fragments(limit)
        dense = flat_indices(sheets.index_select(0, key & FACE))
        edge = flat_indices(_outline(_marked(place.index_select(0, dense), pixels), height, width))
        if len(edge):
            slots = torch.full((pixels,), -1, device=key.device)
            slots.scatter_(0, edge, torch.arange(len(edge), device=key.device))
            fine = triangles.fragments(limit.index_select(0, edge), grid=2, shear=SHEAR, slots=slots)
            place, key = pick((place, key), flat_indices(slots.index_select(0, place) < 0))
            place, key = torch.cat((place, fine[0] + pixels)), torch.cat((key, fine[1]))
        heads = torch.cat((head, head.index_select(0, edge).repeat_interleave(4)))
        place = (depths(key) > heads.index_select(0, place)).to(torch.int64).add_(place, alpha=2)
        sample = flat_indices(_marked(place, 2 * len(heads)) > 0)
        number = torch.empty(2 * len(heads), dtype=torch.int64, device=key.device)
        number.scatter_(0, sample, torch.arange(len(sample), device=key.device))
        behind, sample = (sample & 1).to(torch.bool), sample >> 1
        inner = int(torch.searchsorted(sample, pixels))
        within = sample[inner:] - pixels
        owner = torch.cat((sample[:inner], edge.index_select(0, within >> 2)))
        # Float64 is exact here, and dividing takes a tenth of the time of integers.
        row = torch.div(owner.to(torch.float64), width).floor_()
        column, row = (owner - row * width).to(torch.float32), row.to(torch.float32)
        across, down = column.new_tensor(SPOTS).t()
        column[:inner] += across[4]
        row[:inner] += down[4]
        column[inner:] += across.index_select(0, within & 3)
        row[inner:] += down.index_select(0, within & 3)
        fx, fy, cx, cy = intrinsics
        ray = torch.stack(((column - cx) / fx, (cy - row) / fy))
        return cls(number.index_select(0, place), key, behind, owner, inner, ray)

    def summed(self, values: torch.Tensor, pixels: int) -> torch.Tensor:
        """Return means of values (C, S) over pixels, (C, 2, H * W): in front of the head, and behind it."""
        place = self.owner + pixels * self.behind
        out = torch.zeros(len(values), 2 * pixels, device=values.device)
        out.scatter_(1, place[: self.inner].expand(len(values), -1), values[:, : self.inner])
        # Row by row: a tenth of the time.
        for row, fine in zip(out, values[:, self.inner :] * 0.25, strict=True):
            row.scatter_add_(0, place[self.inner :], fine)
        return out.view(-1, 2, pixels)


def depths(key: torch.Tensor) -> torch.Tensor:
    """Return the depths (P,) float32 mm that keys (P,) hold."""
    return (key >> 32).to(torch.int32).view(torch.float32)


def blended(fragments: Fragments, shader: Shader) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blend fragments front to back (depth peeling, Everitt 2001, and an A-buffer, Carpenter 1984, for the last ones).

    Returns the samples' transmittance (S,), the key (S,) of the fragment at which it falls below a half, -1 for none,
    and their premultiplied colours (3, S).
    """
    place, key, total = fragments.place, fragments.key, len(fragments.owner)
    left, half = torch.ones(total, device=key.device), torch.full((total,), -1, device=key.device)
    colour = left.new_zeros(3, total)
    while len(place) > _FEW:
        nearest = torch.full_like(half, _NONE).scatter_reduce_(0, place, key, "amin")
        going = flat_indices(nearest != _NONE)
        near, ray, before = nearest, fragments.ray, left
        if len(going) < total:
            near, ray, before = near.index_select(0, going), ray.index_select(1, going), before.index_select(0, going)
        place, key = pick((place, key), flat_indices(key > nearest.index_select(0, place)))
        rgb, cover = shader(near, ray)
        after = before * (1.0 - cover)
        # At low transmittance a layer stands for those behind it, if there are any.
        more = _marked(place, total).index_select(0, going).to(torch.bool)
        after.masked_fill_(more.logical_and_(after <= _ENOUGH), 0.0)
        crossed = flat_indices((before >= 0.5) & (after < 0.5))
        half.scatter_(0, going.index_select(0, crossed), near.index_select(0, crossed))
        colour.index_add_(1, going, rgb.mul_(before - after))
        left.scatter_(0, going, after)
        # Go on with samples that are not opaque yet.
        place, key = pick((place, key), flat_indices(left.index_select(0, place) > 0.0))
    _blend_all(fragments, shader, place, key, left, half, colour)
    return left, half, colour


def _blend_all(
    fragments: Fragments,
    shader: Shader,
    place: torch.Tensor,
    key: torch.Tensor,
    left: torch.Tensor,
    half: torch.Tensor,
    colour: torch.Tensor,
) -> None:
    """Blend the fragments that are left, all layers at once, into the tensors of :func:`blended`."""
    if not len(place):
        return
    place, order = in_order(place, depths(key), len(left))
    key = key.index_select(0, order)
    going, count = torch.unique_consecutive(place, return_counts=True)
    start = count.cumsum(0) - count
    rgb, cover = shader(key, fragments.ray.index_select(1, place))
    # Rows are layers. Where a sample has no more fragments, nothing is covered.
    rank = torch.arange(int(count.max()), device=key.device)[:, None]
    at = flat_indices(count > rank)
    fragment = (start + rank).view(-1).index_select(0, at)
    clear = torch.ones(len(rank), len(going), device=key.device)
    clear.view(-1).index_copy_(0, at, 1.0 - cover.index_select(0, fragment))
    before = left.index_select(0, going)[None]
    after = before * clear.cumprod(0)
    after = after * ((after > _ENOUGH) | (count <= rank + 1)).to(torch.float32).cumprod(0)
    before = torch.cat((before, after[:-1]))
    crossed = flat_indices((before >= 0.5) & (after < 0.5))
    crossing = key.index_select(0, (start + rank).view(-1).index_select(0, crossed))
    half.index_copy_(0, going.index_select(0, crossed % len(going)), crossing)
    left.index_copy_(0, going, after[-1])
    share = torch.empty_like(cover).index_copy_(0, fragment, (before - after).view(-1).index_select(0, at))
    colour.index_add_(1, place, rgb.mul_(share))


def in_order(place: torch.Tensor, depth: torch.Tensor, places: int) -> tuple[torch.Tensor, torch.Tensor]:
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


def _marked(place: torch.Tensor, places: int) -> torch.Tensor:
    """Return (places,) uint8: 1 at these places (P,), 0 elsewhere."""
    ones = torch.ones(len(place), dtype=torch.uint8, device=place.device)
    # Six times as fast as writing a number at an index.
    return torch.zeros(places, dtype=torch.uint8, device=place.device).scatter_(0, place, ones)


def _outline(some: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the pixels (height, width) bool on both sides of the outline of those in ``some``, (H * W,) uint8."""
    padded = torch.nn.functional.pad(some.view(1, height, width), (1, 1, 1, 1), mode="replicate")[0]
    around = [padded[a : a + height, b : b + width] for a, b in _AROUND]
    least, most = (functools.reduce(f, around) for f in (torch.minimum, torch.maximum))
    return least != most


_AROUND = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
