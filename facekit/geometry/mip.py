"""Mip-mapped textures: built quickly, and sampled often.

UVs have their origin bottom-left and texel edges at 0 and 1; image row 0 is the top (v = 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from facekit.geometry.lists import flat_indices, pick


@dataclass(frozen=True)
class Taps:
    """Places where P samples read a texture, the same for all textures of one :attr:`MipTexture.form`.

    Parameters
    ----------
    full, half:
        (1, 1, ·, 2) float32: places in the image, and among the halved levels; None if all levels are in the image.
        Those of second levels come last.
    fine, coarse:
        (N,) and (P - N,) int64: samples whose first level is the full size, and the others.
    part:
        (P,) float32: share of the second level; None for one level a sample.
    """

    full: torch.Tensor
    half: torch.Tensor | None
    fine: torch.Tensor
    coarse: torch.Tensor
    part: torch.Tensor | None


@dataclass(frozen=True)
class MipTexture:
    """Textures with their mip pyramid.

    The halved levels are stored in one image, so that a level is an offset in it: the largest on the left, the others
    stacked to its right (Williams, *Pyramidal parametrics*, SIGGRAPH 1983). Values are filtered as stored, albedo in
    sRGB: this keeps the unlit picture equal to the texture, and avoids decoding.

    Parameters
    ----------
    image:
        (B, C, H, W) float32: the full size, which is not copied.
    halved:
        (B, C, H / 2, W / 2 + W / 4) float32: the other levels; None if there are none.
    layout:
        (levels, 4) float32 on the CPU: x, y, width and height of each level in its image, in texels.
    """

    image: torch.Tensor
    halved: torch.Tensor | None
    layout: torch.Tensor

    @property
    def detail(self) -> float:
        """The mip level for a UV length l is log2 l plus this, the log2 of the number of texels per unit of UV."""
        width, height = self.layout[0, 2:].tolist()
        return 0.5 * math.log2(width * height)

    @property
    def form(self) -> tuple[int, ...]:
        """Numbers that are equal for textures with the same :meth:`taps`."""
        return (*self.image.shape[::2], self.image.shape[3], len(self.layout), self.halved is None)

    @classmethod
    def build(cls, texture: torch.Tensor, levels: int | None = None) -> MipTexture:
        """Build the pyramid from (B, C, H, W) float, with at most ``levels`` levels, by default down to 4 texels.
        Differentiable.
        """
        height, width = texture.shape[2:]
        layout, halved = [(0.0, 0.0, float(width), float(height))], []
        x = y = 0
        level = texture
        while min(level.shape[2:]) >= 8 and (levels is None or len(layout) < levels):
            level = halve(level)
            if y + level.shape[2] > height // 2:
                break
            layout.append((float(x), float(y), float(level.shape[3]), float(level.shape[2])))
            halved.append(level)
            x, y = width // 2, y + level.shape[2] if x else 0
        if not halved:
            return cls(texture, None, torch.tensor(layout))
        image = texture.new_empty(*texture.shape[:2], height // 2, width // 2 + (width // 4 if len(halved) > 1 else 0))
        y = 0
        for level, (left, top, wide, high) in zip(halved, layout[1:], strict=True):
            rows, columns = slice(int(top), int(top + high)), slice(int(left), int(left + wide))
            image[..., rows, columns] = level
            if left:
                image[..., rows, columns.stop :] = 0.0  # neighbours that a sample at the edge touches with weight 0
                y = rows.stop
        image[..., y:, width // 2 :] = 0.0
        return cls(texture, image, torch.tensor(layout))

    def packed(self) -> MipTexture:
        """Return the same with all levels in one image, which are sampled in two thirds of the time: for textures that
        many pictures share. Each level has a margin that repeats its border.
        """
        if self.halved is None:
            return self
        levels, layout, right, high = [], [], 0, 0
        for k, (x, y, width, height) in enumerate(self.layout.int().tolist()):
            source = self.halved if k else self.image
            level = F.pad(source[..., y : y + height, x : x + width], (1, 1, 1, 1), mode="replicate")
            if k < 3:
                # The full size, the largest halved level, and the column of the others.
                left, top = right, 0
                right += width + 2
            else:
                left, top = layout[2][0] - 1, layout[-1][1] + layout[-1][3] + 1
            layout.append((left + 1, top + 1, width, height))
            levels.append((level, slice(top, top + height + 2), slice(left, left + width + 2)))
            high = max(high, top + height + 2)
        image = self.image.new_zeros(*self.image.shape[:2], high, right)
        for level, rows, columns in levels:
            image[..., rows, columns] = level
        return MipTexture(image, None, torch.tensor(layout, dtype=torch.float32))

    def sample(self, uv: torch.Tensor, level: torch.Tensor, frame: torch.Tensor | None = None) -> torch.Tensor:
        """Return trilinear samples (C, P) float32, clamped at the texture's border.

        Parameters
        ----------
        uv:
            (2, P) float32.
        level:
            (P,) float32: mip level, 0 is the full texture. Clamped to the available levels.
        frame:
            (P,) int64: index of the texture in the batch; None if there is only one.
        """
        return self.at(self.taps(uv, level, frame))

    def places(self, uv: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Return where :meth:`read` finds the nearest level of one :meth:`packed` texture, (2, ..., P) float32, without
        gradients: places of a triangle's corners are interpolated between them as UVs are.

        Parameters
        ----------
        uv:
            (2, ..., P) float32, clamped to [0, 1].
        level:
            (P,) float32: mip level, clamped to the available ones.
        """
        index = (level + 0.5).clamp_(0.0, len(self.layout) - 0.5).to(torch.int64)
        # Rows for x and y: factor and offset of a level, in units of grid_sample; v runs upward.
        unit = 2.0 / self.layout.new_tensor([self.image.shape[3], self.image.shape[2]])
        start, size = (self.layout * unit.repeat(2)).t().split(2)
        up = size.new_tensor([[0.0], [1.0]])
        table = torch.cat((size * (1.0 - 2.0 * up), start + size * up - 1.0)).to(uv.device)
        factor, offset = (rows.view(2, *[1] * (uv.ndim - 2), -1) for rows in table.index_select(1, index).split(2))
        return uv.clamp(0.0, 1.0).mul_(factor).add_(offset)

    def read(self, places: torch.Tensor) -> torch.Tensor:
        """Return bilinear samples (C, P) float32 at :meth:`places` (2, P): faster than :meth:`sample`."""
        return _read(self.image, places.t()[None, None])

    def taps(self, uv: torch.Tensor, level: torch.Tensor, frame: torch.Tensor | None = None) -> Taps:
        """Return where :meth:`sample` reads, to be shared by several textures."""
        top = len(self.layout) - 1
        level = level.clamp(0.0, float(top))
        first = level.detach().floor()
        part = level - first if top else None
        index = first.to(torch.int64)
        places = [self._texels(uv, index, frame)]
        if part is not None:
            places.append(self._texels(uv, (index + 1).clamp_max(top), frame))
        if self.halved is None:
            full = torch.cat([_places(place, self.image) for place in places], 2)
            return Taps(full, None, index[:0], index[:0], part)
        fine, coarse = flat_indices(index == 0), flat_indices(index > 0)
        full = _places(pick(places[0], fine), self.image)
        places[0] = pick(places[0], coarse)
        half = torch.cat([_places(place, self.halved) for place in places], 2)
        return Taps(full, half, fine, coarse, part)

    def at(self, taps: Taps) -> torch.Tensor:
        """Return samples (C, P) float32 at taps of this form."""
        near, first = _read(self.image, taps.full), len(taps.coarse)
        if taps.half is None:
            if taps.part is None:
                return near
            near, far = near.chunk(2, dim=1)
            return torch.lerp(near, far, taps.part)
        assert self.halved is not None
        far = _read(self.halved, taps.half)
        if first:
            rows = near.new_empty(len(near), len(taps.fine) + first)
            near = rows.index_copy(1, taps.fine, near).index_copy(1, taps.coarse, far[:, :first])
        return near if taps.part is None else torch.lerp(near, far[:, first:], taps.part)

    def _texels(self, uv: torch.Tensor, level: torch.Tensor, frame: torch.Tensor | None) -> list[torch.Tensor]:
        """Return the positions x and y (P,) of samples in the image of their level, in texels."""
        x0, y0, w, h = self.layout.t().to(uv.device).contiguous().index_select(1, level)
        x = x0 + torch.minimum((uv[0] * w).clamp_min(0.5), w - 0.5)
        y = y0 + torch.minimum(((1.0 - uv[1]) * h).clamp_min(0.5), h - 0.5)
        if frame is not None and len(self.image) > 1:
            # Textures are stacked vertically: one flat list of samples serves the whole batch.
            low = self.image.shape[2] if self.halved is None else self.halved.shape[2]
            y = y + frame * torch.where(level > 0, low, self.image.shape[2])
        return [x, y]


def _places(place: list[torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """Return positions x and y (P,) in images, in texels, as ``grid_sample`` expects them, (1, 1, P, 2)."""
    x, y = place
    across, down = 2.0 / image.shape[3], 2.0 / (image.shape[0] * image.shape[2])
    return torch.stack((x * across - 1.0, y * down - 1.0), dim=-1)[None, None]


def _read(image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return bilinear samples (C, P) of images (B, C, H, W), stacked vertically."""
    if len(image) > 1:
        image = image.transpose(0, 1).flatten(1, 2)[None]
    return F.grid_sample(image, places, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0]


def halve(image: torch.Tensor) -> torch.Tensor:
    """Downsample (B, C, H, W) by two, averaging four values each; an odd last row or column is dropped."""
    image = image[..., : image.shape[-2] // 2 * 2, : image.shape[-1] // 2 * 2]
    # Two strided sums: several times faster on a CPU than avg_pool2d and interpolate.
    rows = image[..., 0::2, :] + image[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)
