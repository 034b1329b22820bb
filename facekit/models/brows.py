"""Shape of a person's brows: the pair that the texture network paints, moved, bent, narrowed and thinned.

The network learnt one pair of brows, with the thickness and the line of the person, and paints them too high and too
much alike. Here each person gets brows of their own: how high they are along the line, how much they arch and
slope, where they begin and end, how dense they are, and a little difference between left and right. The painted skin
is warped, and the tufts of hair on it are moved, by the same rule. It depends on identity and texture noise, not on
expression, so that nothing flickers in a sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekit.errors import WeightsError
from facekit.geometry.charts import bounded, step

#: Entries of the texture noise whose projections shape brows and eyelids. Those of moles, of which only the rare large
#: values show otherwise, and which photographs set to zero.
SHAPING = slice(84, 124)
# Millimetres per tile unit around the brows, in x and y.
_MM = (185.0, 263.0)
# Height relative to the drawn pair's, of the thinnest and of the thickest, and its logarithm's standard deviation.
_THIN, _THICK, _HEIGHT_VARIES = 0.95, 0.67, 0.28
# The same along the brow, from the inner to the outer end.
_TAPER = (0.80, 0.97, 1.0, 0.95, 0.85)
# Share of their distance from the line that hairs lose at the outer end, where they leave a line that bends.
_TAIL = 0.6
# Where the outer end begins, and the least by which a brow falls there, mm per length.
_TAIL_FROM, _FALL = 0.75, 8.0
# Standard deviations, mm: of arch, slope (the outer end's fall), height, inner and outer end; and of the difference
# between left and right, as a fraction of these.
_VARIES, _SIDES = (1.5, 2.4, 1.9, 2.1, 2.2), 0.2
# Arch, slope and height, mm, that women's brows have over men's, which are flatter and lower.
_WOMENS = (1.1, 0.2, 1.4)
# By how much brows lie lower than the drawn ones, and by how much more their inner ends, mm: so they do in photographs.
_LOWER, _INNER_LOWER = 0.8, 1.1
# Bounds of the numbers above, in standard deviations.
_BOUND = 2.0
# Least density, and the logistic's slope and offset: with more sparse ones, brows are fainter than photographed ones.
_SPARSE, _DENSITY = 0.5, (2.2, 1.2)
# Warp of the painted skin, mm: how far it reaches at full strength above and below the line, over which distance it
# ends, and the most by which narrowing moves skin.
_ABOVE, _BELOW, _ENDS, _MOST = 9.0, 6.5, 6.0, 3.5
# How far it reaches beyond the brow's ends, as a fraction of its length, and how far the line goes on straight there.
_BEYOND, _FURTHER = 0.22, 0.1
# Rows and columns of the forehead on a tile of 512 texels.
_FOREHEAD = (40, 66, 200, 312)
# Darkness relative to the forehead at which skin begins to be hair, and at which it is.
_DARK = (0.08, 0.30)


@dataclass(frozen=True)
class BrowForm:
    """Brows of B people on two sides, the image's left first, at C columns from the inner to the outer end.

    Parameters
    ----------
    line, bow:
        (B, 1, C) and (B, 2, C) tile units, down: the painted brow's centre line, and how far this person's is below.
    height:
        (B, 2, C): height relative to the drawn pair's.
    thickness:
        (B,): see :func:`brow_thickness`.
    ends:
        (B, 2, 2): how far the inner and the outer end move outward, as fractions of the brow's length.
    density:
        (B,) in [0, 1].
    """

    line: Tensor
    bow: Tensor
    height: Tensor
    thickness: Tensor
    ends: Tensor
    density: Tensor


class BrowShape(nn.Module):
    """Shape brows by identity and texture noise.

    Parameters
    ----------
    arrays:
        ``brow_guides`` (L, 20): directions of the identity code, one per brow line; ``brow_lift`` (L, C): these lines
        relative to their mean ``brow_centre`` (C,), tile units, at the columns ``brow_columns`` (C,).
    """

    guides: Tensor
    lift: Tensor
    centre: Tensor
    columns: Tensor
    axes: Tensor

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        names = ("guides", "lift", "centre", "columns")
        missing = [name for name in names if f"brow_{name}" not in arrays]
        if missing:
            raise WeightsError("the brows' arrays", f"none named {', '.join(missing)}", "reinstall facekit")
        for name in names:
            self.register_buffer(name, arrays[f"brow_{name}"].float(), persistent=False)
        count = 2 * len(_VARIES) + 2
        self.register_buffer("axes", noise_axes(count, 31), persistent=False)

    def form(self, identity: Tensor, texture_noise: Tensor, traits: dict[str, Tensor]) -> BrowForm:
        """Return the brows of codes (B, 20) and (B, 128) with these trait projections (B,) by name."""
        male = torch.special.ndtr(traits["masculinity"])[:, None]
        thickness = brow_thickness(traits)
        draws = bounded(texture_noise[:, SHAPING] @ self.axes, _BOUND)
        count = len(_VARIES)
        both, apart, (high, dense) = draws[:, :count], draws[:, count : 2 * count], draws[:, 2 * count :].unbind(1)
        sides = torch.stack((both + _SIDES * apart, both - _SIDES * apart), 1) * both.new_tensor(_VARIES)
        womens = torch.cat((both.new_tensor(_WOMENS) * (0.5 - male), torch.zeros_like(both[:, 3:])), 1)
        arch, slope, rise, inner, outer = (sides + womens[:, None]).unbind(-1)
        t = torch.linspace(0, 1, len(self.columns), device=identity.device)
        bump = torch.exp(-0.5 * ((t - 0.62) / 0.26).square())
        bow = slope[..., None] * (t - 0.4) - arch[..., None] * (bump - 0.5) - rise[..., None]
        bow = bow + _LOWER + _INNER_LOWER * (1 - t).square()
        line = self.centre + brow_lift(brow_lines(identity, self.guides), self.lift, brow_height(traits))
        # Some of the drawn lines end early and went on level, where the mean falls: their difference rises.
        line = _falling(line, t)
        bow = _falling(line[:, None] + bow / _MM[1], t) - line[:, None]
        taper = F.interpolate(both.new_tensor(_TAPER)[None, None], len(t), mode="linear", align_corners=True)[0]
        height = (_THIN + (_THICK - _THIN) * thickness[:, None]) * torch.exp(_HEIGHT_VARIES * high[:, None]) * taper
        length = float(self.columns[0] - self.columns[-1]) * _MM[0]
        density = _SPARSE + (1 - _SPARSE) * torch.sigmoid(_DENSITY[0] * dense + _DENSITY[1])
        return BrowForm(
            line[:, None],
            bow,
            height[:, None].expand(-1, 2, -1),
            thickness,
            torch.stack((inner, outer), -1) / length,
            density,
        )

    def placed(self, form: BrowForm, points: Tensor) -> Tensor:
        """Move points (B, …, 2) on the tile, x and y down in [0, 1], from the drawn pair of brows to these."""
        places = points.flatten(1, -2)
        side = (places[..., 0] > 0.5).long()
        t = self._along(places[..., 0])
        inner, outer = _ends(form, side)
        # Hairs that reach beyond the brow's end keep their direction.
        on = t.clamp(0, 1)
        moved = on + inner + (outer - inner) * on
        off = places[..., 1] - _at(self.centre[None, None], on)
        line = _at(form.line, moved) + _at(form.bow, moved, side)
        y = line + off * _at(form.height, on, side) * (1 - _TAIL * step(on, _TAIL_FROM, 1.0))
        return torch.stack((self._column(moved + t - on, side), y), -1).view_as(points)

    def painted(self, form: BrowForm, tile: Tensor) -> Tensor:
        """Return tiles (B, 3, S, S) with the painted brows warped to these."""
        size = tile.shape[-1]
        low, high = size // 8, size * 3 // 8
        y = (torch.arange(low, high, device=tile.device) + 0.5)[:, None] / size
        x = (torch.arange(size, device=tile.device) + 0.5) / size
        side = (x > 0.5).long().expand(len(tile), -1)
        t = self._along(x).expand(len(tile), -1)
        inner, outer = _ends(form, side)
        on = ((t - inner) / (1 + outer - inner)).clamp(0, 1)
        moved = on + inner + (outer - inner) * on
        source = on + t - moved
        line = (_at(form.line, moved) + _at(form.bow, moved, side))[:, None]
        # Distance from this person's line, mm, and from the painted one where the same skin is painted.
        off = (y - line) * _MM[1]
        more = off * ((brow_stretch(form.thickness)[:, None] / _at(form.height, on, side))[:, None] - 1)
        there = _at(form.line, on)[:, None] + (off + _MOST * torch.tanh(more / _MOST)) / _MM[1]
        share = _window(t, off)
        dx = (self._column(source, side) - x)[:, None] * share
        rows = torch.lerp(y.expand_as(there), there, share)
        grid = torch.stack(((x + dx) * 2 - 1, (rows * size - low) / (high - low) * 2 - 1), -1)
        band = tile[:, :, low:high]
        skin = forehead(tile)[:, :, None, None]
        bare = (1 - form.density)[:, None, None, None] * step(darkness(band, skin), *_DARK)
        band = torch.lerp(band, skin, bare * share[:, None])
        band = F.grid_sample(band, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return torch.cat((tile[:, :, :low], band, tile[:, :, high:]), 2)

    def _along(self, x: Tensor) -> Tensor:
        """Return positions along a brow, 0 at its inner and 1 at its outer end, of columns of the tile."""
        x = 0.5 - (x - 0.5).abs()
        return (self.columns[0] - x) / (self.columns[0] - self.columns[-1])

    def _column(self, t: Tensor, side: Tensor) -> Tensor:
        """Return the tile's columns of positions along the brow of a side."""
        x = self.columns[0] - t * (self.columns[0] - self.columns[-1])
        return torch.where(side > 0, 1 - x, x)


def noise_axes(count: int, seed: int) -> Tensor:
    """Return orthonormal axes (N, ``count``) in the N entries :data:`SHAPING`, the same for a seed."""
    noise = torch.randn(SHAPING.stop - SHAPING.start, count, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(noise)[0]


def _falling(line: Tensor, t: Tensor) -> Tensor:
    """Return lines (…, C) that fall by ``_FALL`` at least at the outer end, t from ``_TAIL_FROM`` on."""
    start = int((t < _TAIL_FROM).sum())
    least = line[..., start - 1 : start] + _FALL / _MM[1] * (t[start:] - _TAIL_FROM)
    return torch.cat((line[..., :start], torch.maximum(line[..., start:], least)), -1)


def _window(t: Tensor, off: Tensor) -> Tensor:
    """Return the strength (B, H, W) of the warp at places (B, W) along the brow and (B, H, W) mm below it."""
    along = step(t + _BEYOND, 0.0, _BEYOND) * step(1 + _BEYOND - t, 0.0, _BEYOND)
    return along[:, None] * step(_ABOVE + _ENDS + off, 0.0, _ENDS) * step(_BELOW + _ENDS - off, 0.0, _ENDS)


def brow_thickness(p: dict[str, Tensor]) -> Tensor:
    """Return the thickness of brows (B,) in [0, 1]: thicker in men."""
    male = torch.special.ndtr(p["masculinity"])
    return torch.sigmoid(1.3 * p["brow_thickness"] + 1.2 * (2 * male - 1) + 0.2)


def brow_stretch(thickness: Tensor) -> Tensor:
    """Return the factor (B,) on a painted brow's height at this thickness."""
    return 0.78 + 0.32 * thickness


def brow_lines(identity: Tensor, guides: Tensor) -> Tensor:
    """Return the mix (B, L) of brow lines, which sums to 1, of codes (B, 20), by one direction (L, 20) per line."""
    return torch.softmax(2.5 * identity @ guides.T, -1)


def brow_height(p: dict[str, Tensor]) -> Tensor:
    """Return the height of brows (B,) in [-1, 1], 0 in the mean."""
    return torch.tanh(0.6 * p["brow_height"])


def brow_lift(lines: Tensor, lift: Tensor, height: Tensor) -> Tensor:
    """Return how far brows lie below the mean line, (B, C) of the tile, by lines (B, L) that do so by (L, C)."""
    return 1.3 * lines @ lift - 0.007 * height[:, None]


def forehead(tile: Tensor) -> Tensor:
    """Return the mean colour (B, 3) of the forehead of tiles (B, 3, S, S)."""
    top, bottom, left, right = (edge * tile.shape[-1] // 512 for edge in _FOREHEAD)
    return tile[:, :, top:bottom, left:right].mean((2, 3))


def darkness(tile: Tensor, skin: Tensor) -> Tensor:
    """Return how much darker (B, 1, H, W) than the skin (B, 3, 1, 1) a tile (B, 3, H, W) is: 0 as light, 1 black."""
    return 1 - tile.mean(1, keepdim=True) / skin.mean(1, keepdim=True).clamp_min(0.02)


def _ends(form: BrowForm, side: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far the inner and the outer end move (B, N) on the sides (B, N)."""
    return form.ends[..., 0].gather(1, side), form.ends[..., 1].gather(1, side)


def _at(curves: Tensor, t: Tensor, side: Tensor | int = 0) -> Tensor:
    """Interpolate curves (B, K, C) at positions t (B, N), 0 to 1 and a little beyond; `side` (B, N) chooses of K."""
    last = curves.shape[-1] - 1
    place = t.clamp(-_FURTHER, 1 + _FURTHER) * last
    low = place.detach().long().clamp(0, last - 1)
    index = side * (last + 1) + low
    flat = curves.flatten(1).expand(len(t), -1)
    return torch.lerp(flat.gather(1, index), flat.gather(1, index + 1), place - low)
