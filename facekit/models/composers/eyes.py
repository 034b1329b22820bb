"""EyeInpainter: takes stains and mosaic from around the eyes of a generated face."""

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

# Distances from the rim of the eye's opening, in pixels of the tile.
# Stains are mended up to here, and mended wholly up to the first number.
_STAIN = (18.0, 30.0)
# Where a mosaic is, lids are painted up to here, and blocks are blurred up to there.
_MOSAIC, _BLOCKS_REACH = (24.0, 36.0), (46.0, 62.0)
# Skin to mend with is taken from here outward; the window ends there.
_SOURCE = (12.0, 26.0)
_MARGIN = 64
# Blocks are looked for this far inside the window.
_INNER = 20
# Brightness against the face's tone from which on, and from which on wholly, skin here is lit; the tone's own say.
_LIT, _TONE = (0.72, 0.95), 0.3
# Darkest the lids may be against the skin around: at the rim, where lashes are, and away from it; lashes' width.
_RIM, _LID, _LASHES = 0.70, 0.93, 2.4
# How gently darkness is lifted (the curve's rounding).
_ROUND = 0.05
# Distance in chroma from the skin's from which on, and from which on wholly, a hue is a stain's.
_HUE = (0.012, 0.06)
# Width of the blur that takes blocks away, in fours of pixels, applied twice.
_BLUR = 5
# Pitches of a mosaic in pixels; steps of brightness that are none; windows in which lines stand out; strength (variance
# against the mean step) at which they are weak; the measure from which on, and from which on wholly, one is believed.
_PITCHES, _FAINT, _LINE, _WEAK, _BLOCKS = (5, 31), 2e-3, 7, 0.02, (0.22, 0.45)


class EyeInpainter(nn.Module):
    """Mends the eye region of tiles.

    Stains (all that is darker than lids are against the skin around them) are lifted; the opening, of which the mesh
    shows nothing but the rim, is filled; a mosaic, such as FaceScape's subjects 360 to 847 carry, gives way to skin
    with the detail of the base texture's lids.

    Parameters
    ----------
    base:
        (1, 3, S, S) sRGB: the base texture's own face, in the tile's place.
    template:
        Says where the eyes are.
    tile_pixels:
        From UVs (N, 2) to the tile's pixels (N, 2).
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
            # Brows are hair, no stain: from two thirds of the way to them on, nothing is mended.
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
        """The tile (B, 3, S, S) with mended eyes; ``tone`` (B, 3, 1, 1) is its skin's."""
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
        """The skin around the eye carried on over it (B, 3, h, w)."""
        lit = step(luminance(crop) / luminance(tone).clamp_min(0.02), *_LIT)
        known = getattr(self, f"source_{side}") * lit * skin_likeness(crop, tone)
        coarse = [F.avg_pool2d(t, 4, ceil_mode=True, count_include_pad=False) for t in (crop * known, known)]
        filled = fill(coarse[0] / coarse[1].clamp_min(1e-4), coarse[1], tone)
        # A stain may reach past where it is mended: the tone of the whole face has a say in what skin is here.
        filled = torch.lerp(filled, tone, _TONE)
        return F.interpolate(filled, size=crop.shape[2:], mode="bilinear", align_corners=False)

    def lifted(self, crop: torch.Tensor, skin: torch.Tensor, side: int) -> torch.Tensor:
        """The crop with its stains lifted toward the skin."""
        light = luminance(skin).clamp_min(0.02)
        above = luminance(crop) / light - getattr(self, f"floor_{side}")
        lift = 0.5 * ((above.square() + _ROUND**2).sqrt() - above)
        amount = getattr(self, f"stain_{side}")
        mended = crop + amount * lift * skin
        # The stain's own hue gives way, too: redness of the rims, and what shows where it was lifted.
        plain = skin * (luminance(mended) / light)
        return torch.lerp(mended, plain, amount * step(chroma_distance(mended, skin) + 0.3 * lift, *_HUE))

    @staticmethod
    def mosaic(crop: torch.Tensor) -> torch.Tensor:
        """The belief (B, 1, 1, 1) in [0, 1] that the eye is pixelated."""
        inner = crop[..., _INNER:-_INNER, _INNER:-_INNER]
        return step(blockiness(luminance(inner)), *_BLOCKS)


def blockiness(light: torch.Tensor) -> torch.Tensor:
    """Share of a picture's change that lies on a grid of lines, whatever its pitch and place: (B, 1, 1, 1) up to 1.

    The mean steps between columns, and those between rows, are laid over themselves, moved by each pitch in turn: on a
    grid both agree at one pitch. What is wider than a line is taken out before. Skin and lids give up to 0.13,
    pixelated ones 0.5 to 0.9, if blurred by a pixel or two, too.

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
    """(B, C, h, w) blurred by more than a block."""
    size = picture.shape[2:]
    picture = F.avg_pool2d(picture, 4, ceil_mode=True, count_include_pad=False)
    for _ in range(2):
        picture = F.avg_pool2d(picture, _BLUR, 1, _BLUR // 2, count_include_pad=False)
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False)
