"""EyeInpainter: removes stains and pixelation around the eyes of generated faces."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from facekit.color import luminance
from facekit.conventions import LANDMARK_GROUPS
from facekit.geometry.charts import eye_openings, landmark_uvs, signed_distance, step
from facekit.models.composers.skin import chroma_distance, fill, skin_likeness
from facekit.template import Template

# Distances from the rim of the eye opening, in tile pixels: stains are removed fully up to the first, and fade out up
# to the second.
_STAIN = (18.0, 30.0)
# If there is pixelation: distances up to which the lids are repainted, and up to which blocks are blurred.
_MOSAIC, _BLOCKS_REACH = (24.0, 36.0), (46.0, 62.0)
# Distances between which skin is sampled for the repair; the window ends there.
_SOURCE = (12.0, 26.0)
_MARGIN = 64
# Margin inside the window for the detection of blocks.
_INNER = 20
# Brightness relative to the face's tone at which skin starts to count as lit, and fully does; weight of the tone
# itself.
_LIT, _TONE = (0.72, 0.95), 0.3
# Least brightness of the lids relative to the surrounding skin: at the rim, with lashes, and away from it; width of the
# lashes.
_RIM, _LID, _LASHES = 0.70, 0.93, 2.4
# Softness of the curve that lifts dark values.
_ROUND = 0.05
# Chroma difference from the skin at which a hue starts to count as a stain, and fully does.
_HUE = (0.012, 0.06)
# Width of the blur that removes blocks, in units of four pixels, applied twice.
_BLUR = 5
# Pixelation: range of block sizes in pixels; ignored brightness steps; window in which lines stand out; strength
# (variance relative to the mean step) of weak lines; blockiness at which pixelation starts to be assumed, and fully is.
_PITCHES, _FAINT, _LINE, _WEAK, _BLOCKS = (5, 31), 2e-3, 7, 0.02, (0.22, 0.45)


class EyeInpainter(nn.Module):
    """Repair the eye region of tiles.

    Stains (darker, relative to the surrounding skin, than lids are) are brightened; the eye opening, of which the mesh
    shows only the rim, is filled; pixelation, as on FaceScape's subjects 360 to 847, is replaced by skin with the
    detail of the base texture's lids.

    Parameters
    ----------
    base:
        (1, 3, S, S) sRGB: the base texture at the tile's position.
    template:
        Template with the eye openings.
    tile_pixels:
        Function from UVs (N, 2) to tile pixels (N, 2).
    """

    def __init__(
        self, base: torch.Tensor, template: Template, tile_pixels: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        super().__init__()
        size = base.shape[-1]
        self.windows: list[tuple[slice, slice]] = []
        brows = tile_pixels(landmark_uvs(template))[LANDMARK_GROUPS["brows"]]
        for side, (outline, brow) in enumerate(zip(eye_openings(template), brows.split(5), strict=True)):
            outline = tile_pixels(outline)
            low, high = outline.amin(0).floor().long() - _MARGIN, outline.amax(0).ceil().long() + _MARGIN
            rows, columns = (slice(max(int(low[k]), 0), min(int(high[k]), size)) for k in (1, 0))
            self.windows.append((rows, columns))
            distance = signed_distance(outline, rows, columns)
            # Brows are not stains: the repair ends two thirds of the way to them.
            y = torch.arange(rows.start, rows.stop) + 0.5
            room = outline[:, 1].amin() - brow[:, 1].amax()
            below = step(y, float(brow[:, 1].amax() + 0.15 * room), float(brow[:, 1].amax() + 0.45 * room))[:, None]
            floor = _LID - (_LID - _RIM) * torch.exp(-((distance / _LASHES) ** 2))
            maps = {
                "source": step(distance, *_SOURCE) * below,
                "stain": step(distance, *_STAIN[::-1]) * below,
                "lid": step(distance, *_MOSAIC[::-1]) * below,
                "blocks": step(distance, *_BLOCKS_REACH[::-1]) * below,
                "opening": step(distance, 0.0, -3.0),
                "floor": floor,
            }
            for name, value in maps.items():
                self.register_buffer(f"{name}_{side}", value[None, None], persistent=False)
        for side, (rows, columns) in enumerate(self.windows):
            crop = base[:, :, rows, columns]
            tone = crop.mean((2, 3), keepdim=True)
            skin = self.skin(crop, tone, side)
            lids = self.lifted(crop, skin, side) / skin.clamp_min(0.02)
            self.register_buffer(f"lids_{side}", lids, persistent=False)

    def forward(self, tile: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
        """Return the tile (B, 3, S, S) with repaired eyes; ``tone`` (B, 3, 1, 1) is its skin's."""
        tile = tile.clone()
        for side, window in enumerate(self.windows):
            crop = tile[(..., *window)].clone()
            belief = self.mosaic(crop)
            crop = torch.lerp(crop, blurred(crop), belief * getattr(self, f"blocks_{side}"))
            skin = self.skin(crop, tone, side)
            mended = self.lifted(crop, skin, side)
            painted = skin * getattr(self, f"lids_{side}")
            cover = torch.maximum(getattr(self, f"opening_{side}"), belief * getattr(self, f"lid_{side}"))
            tile[(..., *window)] = torch.lerp(mended, painted, cover)
        return tile

    def skin(self, crop: torch.Tensor, tone: torch.Tensor, side: int) -> torch.Tensor:
        """Extend the surrounding skin over the eye: (B, 3, h, w)."""
        lit = step(luminance(crop) / luminance(tone).clamp_min(0.02), *_LIT)
        known = getattr(self, f"source_{side}") * lit * skin_likeness(crop, tone)
        coarse = [F.avg_pool2d(t, 4, ceil_mode=True, count_include_pad=False) for t in (crop * known, known)]
        filled = fill(coarse[0] / coarse[1].clamp_min(1e-4), coarse[1], tone)
        # A stain may extend beyond the repaired area, so the tone of the whole face is mixed in.
        filled = torch.lerp(filled, tone, _TONE)
        return F.interpolate(filled, size=crop.shape[2:], mode="bilinear", align_corners=False)

    def lifted(self, crop: torch.Tensor, skin: torch.Tensor, side: int) -> torch.Tensor:
        """Return the crop with its stains brightened toward the skin."""
        light = luminance(skin).clamp_min(0.02)
        above = luminance(crop) / light - getattr(self, f"floor_{side}")
        lift = 0.5 * ((above.square() + _ROUND**2).sqrt() - above)
        amount = getattr(self, f"stain_{side}")
        mended = crop + amount * lift * skin
        # Remove the stain's hue, too: redness of the rims, and residual colour of brightened areas.
        plain = skin * (luminance(mended) / light)
        return torch.lerp(mended, plain, amount * step(chroma_distance(mended, skin) + 0.3 * lift, *_HUE))

    @staticmethod
    def mosaic(crop: torch.Tensor) -> torch.Tensor:
        """Return the probability (B, 1, 1, 1) that the eye is pixelated."""
        inner = crop[..., _INNER:-_INNER, _INNER:-_INNER]
        return step(blockiness(luminance(inner)), *_BLOCKS)


def blockiness(light: torch.Tensor) -> torch.Tensor:
    """Return the fraction (B, 1, 1, 1) of a picture's gradient that lies on a regular grid of any pitch and offset.

    The autocorrelation of the mean steps between columns, and of those between rows, is computed at every pitch: on a
    grid both peak at the same one. Structures wider than a line are removed first. Skin and lids give up to 0.13,
    pixelated ones 0.5 to 0.9, even if blurred by a pixel or two.

    light: (B, 1, h, w), brightness.
    """
    found = []
    for along, across in ((3, 2), (2, 3)):
        change = light.diff(dim=along).abs().mean(across)
        change = change / (change.mean(-1, keepdim=True) + _FAINT)
        change = change - F.avg_pool1d(change, _LINE, 1, _LINE // 2, count_include_pad=False)
        scores = []
        for pitch in range(*_PITCHES):
            a, b = change[..., :-pitch], change[..., pitch:]
            scores.append((a * b).mean(-1) / ((a.square().mean(-1) * b.square().mean(-1) + 1e-9).sqrt() + _WEAK))
        found.append(torch.stack(scores).amax(0))
    return torch.minimum(*found)[..., None, None]


def blurred(picture: torch.Tensor) -> torch.Tensor:
    """Blur (B, C, h, w) by more than a block."""
    size = picture.shape[2:]
    picture = F.avg_pool2d(picture, 4, ceil_mode=True, count_include_pad=False)
    for _ in range(2):
        picture = F.avg_pool2d(picture, _BLUR, 1, _BLUR // 2, count_include_pad=False)
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False)
