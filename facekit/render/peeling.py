"""Fragments of hair: the samples they lie in, and their blending from near to far."""

from __future__ import annotations

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
    """P fragments of hair in no particular order, and the N samples they lie in.

    Samples are numbered: first those in the middle of all pixels, then four for each of E pixels at the outline, whose
    middles have no fragments, then those of hair behind the head, which is blended on its own.

    Parameters
    ----------
    place, key:
        (P,) int64: sample of each fragment; and its key, see
        :meth:`facekit.geometry.coverage.Triangles.fragments`.
    pixels:
        Number of pixels.
    edge:
        (E,) int64: pixels at the outline.
    parted:
        (B,) int64: samples that hair both in front of the head and behind it may cover. What is behind counts as
        another sample's, the one of this number after the first pixels + 4 E.
    ray:
        (2, N): X and Y at depth 1.
    """

    place: torch.Tensor
    key: torch.Tensor
    pixels: int
    edge: torch.Tensor
    parted: torch.Tensor
    ray: torch.Tensor

    @classmethod
    def of(
        cls,
        triangles: Triangles,
        head: torch.Tensor,
        limit: torch.Tensor,
        intrinsics: tuple[float, ...],
        faces: torch.Tensor,
        sheets: torch.Tensor,
    ) -> Fragments:
        """Find fragments up to the depths ``limit`` (H * W,); those beyond ``head`` (H * W,) are behind it.

        Pixels at the outline of those ``faces`` (F, 3) int64 that are in ``sheets`` (F,) bool have four samples.
        """
        height, width, pixels = triangles.height, triangles.width, len(limit)
        place, key = triangles.fragments(limit)
        dense = flat_indices(sheets.index_select(0, key & FACE))
        outline = _outline(_marked(place.index_select(0, dense), pixels), height, width)
        edge, both = flat_indices(outline), limit > head
        # Marks of pixels: 2 at the outline, 1 beside it; and 4 where hair may lie both before the head and behind it.
        mark = (_most(outline) + outline).view(-1).add_(both, alpha=4).index_select(0, place)
        number = edge[:0]
        if len(edge):
            # Where four samples are wanted, only triangles that cover the middle of a pixel there or beside it, and
            # their neighbours, for narrow ones cover none.
            level = mark & 3
            beside = _marked(key.index_select(0, flat_indices(level > 0)) & FACE, len(sheets))
            slots = torch.full((pixels,), -1, device=key.device)
            slots.scatter_(0, edge, torch.arange(len(edge), device=key.device))
            fine = triangles.only(_with_neighbours(beside, faces)).fragments(
                limit.index_select(0, edge), grid=2, shear=SHEAR, slots=slots
            )
            place, key, mark = pick((place, key, mark), flat_indices(level < 2))
            number = flat_indices(both.index_select(0, edge).index_select(0, fine[0] >> 2)) + len(place)
            place, key = torch.cat((place, fine[0] + pixels)), torch.cat((key, fine[1]))
        parted = flat_indices(torch.cat((both, both.index_select(0, edge).repeat_interleave(4))))
        samples = cls(place, key, pixels, edge, parted, _rays(height, width, edge, parted, intrinsics))
        there = torch.cat((flat_indices(mark >= 4), number))
        own = torch.searchsorted(parted, place.index_select(0, there))
        far = head.index_select(0, samples.pixel(parted)).index_select(0, own)
        hidden = flat_indices(depths(key.index_select(0, there)) > far)
        place.index_copy_(0, there.index_select(0, hidden), own.index_select(0, hidden) + samples.front)
        return samples

    @property
    def front(self) -> int:
        """Number of samples in front of the head."""
        return self.pixels + 4 * len(self.edge)

    def pixel(self, sample: torch.Tensor) -> torch.Tensor:
        """Return the pixels (S,) of ascending samples (S,) int64 in front of the head."""
        middle = int(torch.searchsorted(sample, self.pixels))
        return torch.cat((sample[:middle], self.edge.index_select(0, (sample[middle:] - self.pixels) >> 2)))

    def pictured(self, values: torch.Tensor, bare: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return means of values (C, N), which are written over, for pixels in front of the head and behind it, (C,
        H * W) each; ``bare`` (C,) where there are no samples behind it.
        """
        middle, fine, behind = values.split((self.pixels, 4 * len(self.edge), len(self.parted)), dim=1)
        own, ones = self.pixel(self.parted), int(torch.searchsorted(self.parted, self.pixels))
        out = bare[:, None].repeat(1, self.pixels)
        # Row by row: a tenth of the time. The four samples of a pixel follow each other.
        for row, means, back, rest in zip(middle, fine, out, behind, strict=True):
            row.scatter_(0, self.edge, means.view(-1, 4).mean(1))
            back.scatter_(0, own[:ones], rest[:ones]).scatter_(0, own[ones::4], rest[ones:].view(-1, 4).mean(1))
        return middle, out


def depths(key: torch.Tensor) -> torch.Tensor:
    """Return the depths (P,) float32 mm that keys (P,) hold."""
    return (key >> 32).to(torch.int32).view(torch.float32)


def blended(fragments: Fragments, shader: Shader) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend fragments front to back (depth peeling, Everitt 2001, and an A-buffer, Carpenter 1984, for the last ones).

    Returns the samples' premultiplied colours and transmittance (4, N), and the key (N,) of the fragment at which the
    latter falls below a half, -1 for none.
    """
    place, key, total = fragments.place, fragments.key, fragments.ray.shape[1]
    out, half = torch.zeros(4, total, device=key.device), torch.full((total,), -1, device=key.device)
    colour, left = out[:3], out[3].fill_(1.0)
    last = torch.full_like(half, -1).scatter_reduce_(0, place, key, "amax") if len(place) > _FEW else half
    while len(place) > _FEW:
        nearest = torch.full_like(half, _NONE).scatter_reduce_(0, place, key, "amin")
        going = flat_indices(nearest != _NONE)
        near, before, most = pick((nearest, left, last), going)
        rgb, cover = shader(near, fragments.ray.index_select(1, going))
        after = before * (1.0 - cover)
        # At low transmittance a layer stands for those behind it, if there are any.
        done = (after <= _ENOUGH).logical_and_(most > near)
        after.masked_fill_(done, 0.0)
        crossed = flat_indices((before >= 0.5) & (after < 0.5))
        half.scatter_(0, going.index_select(0, crossed), near.index_select(0, crossed))
        for row, own in zip(colour, rgb.mul_(before - after), strict=True):
            row.scatter_add_(0, going, own)
        left.scatter_(0, going, after)
        # Go on with samples that are not opaque yet.
        nearest.scatter_(0, going, near.masked_fill_(after <= 0.0, _NONE))
        place, key = pick((place, key), flat_indices(key > nearest.index_select(0, place)))
    _blend_all(fragments, shader, place, key, left, half, colour)
    return out, half


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


def _with_neighbours(some: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Return (F,) uint8: those of the faces (F, 3) that share a vertex with some, (F,) uint8."""
    touched = _marked(faces.index_select(0, flat_indices(some)).view(-1), int(faces.max()) + 1)
    a, b, c = (touched.index_select(0, corner) for corner in faces.unbind(1))
    return a | b | c


def _outline(some: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the pixels (height, width) uint8 on both sides of the outline of those in ``some``, (H * W,) uint8."""
    some = some.view(height, width)
    # Of zeros and ones, the least is one where the most of their opposites is zero.
    return _most(some) & _most(some ^ 1)


def _most(some: torch.Tensor) -> torch.Tensor:
    """Return the largest of each pixel's own value and its four neighbours', (height, width) uint8."""
    out = some.clone()
    for to, of in ((out[1:], some[:-1]), (out[:-1], some[1:]), (out[:, 1:], some[:, :-1]), (out[:, :-1], some[:, 1:])):
        torch.maximum(to, of, out=to)
    return out


def _rays(
    height: int, width: int, edge: torch.Tensor, parted: torch.Tensor, intrinsics: tuple[float, ...]
) -> torch.Tensor:
    """Return :attr:`Fragments.ray`."""
    fx, fy, cx, cy = intrinsics
    spots = torch.tensor(SPOTS, device=edge.device).t()
    row = torch.div(edge, width, rounding_mode="floor")
    across, down = (
        (torch.arange(number, device=edge.device)[:, None] + spot).sub_(centre).div_(focal)
        for number, spot, centre, focal in ((width, spots[0], cx, fx), (height, spots[1], cy, -fy))
    )
    pixels, front = height * width, height * width + 4 * len(edge)
    ray = across.new_empty(2, front + len(parted))
    column = edge - row * width
    for out, middle, own in zip(
        ray, (across[:, 4], down[:, 4, None]), (across.index_select(0, column), down.index_select(0, row)), strict=True
    ):
        out[:pixels].view(height, width).copy_(middle)
        out[pixels:front].view(-1, 4).copy_(own[:, :4])
        out[front:] = out.index_select(0, parted)
    return ray
