"""Tied hair from photographs: a knot on top of the head, or a tail behind it.

What a photograph shows decides: hair that stands above the crown in the middle alone is a knot, hair beside the neck or
where the tail of a turned head is seen is a tail. Where neither is told, styles are drawn by how often they are worn,
and most have a tail.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

#: Styles tied behind and on top of the head, in whose silhouettes the rest is alike.
TAIL, KNOT = "ponytail01", "bun01"
#: Log odds of a knot by how far hair stands above the crown, as a fraction of the style's knot, and where they are 0;
#: the same by the share of the knot that is hair, by the share of a turned head's tail, and by that beside the neck.
#: From renders of both styles and photographs, in which full hair fills the knot's place, too.
_STANDS, _FILLED, _TURNED, _BESIDE = (4.0, 0.9), (8.0, 0.2), (-6.0, 0.4), (-8.0, 0.25)
#: Bound of each of them, log odds from which on the photograph decides, and the least numbers of pixels that tell of a
#: knot and of a tail.
_SURE, _TOLD, _FEWEST = 4.0, 1.0, (20, 100)
#: Least height of a style's knot above its crown, in pixels, that tells anything, and the factor on the frequency of
#: knots where nothing is told: most would be seen.
_HIGH, _UNSEEN = 3.0, 0.25
#: Distances from a knot's middle, in standard deviations of its columns: of its middle, and of the crown's sides.
_MIDDLE, _SIDES = 1.2, (2.6, 3.8)
#: Periods of a person's chance in their codes: many, so that it is uniform.
_PERIODS = 16.0


def tied_style(
    cover: Mapping[str, torch.Tensor],
    likely: torch.Tensor,
    seen: torch.Tensor,
    marks: torch.Tensor,
    beside: float,
    worn: Mapping[str, float],
    chance: float,
) -> str:
    """Return the tied style that a photograph shows.

    Parameters
    ----------
    cover, seen, marks:
        See :class:`facekit.reconstruct.silhouettes.Silhouettes`.
    likely:
        (S, S) in [0, 1]: probability that pixels are hair.
    beside:
        Fraction of hair beside the neck, on the side with more of it.
    worn:
        How often styles are worn.
    chance:
        In [0, 1]: decides where the photograph does not.
    """
    odds = _knot(cover[KNOT], cover[TAIL], likely, seen, float(marks[17:27, 1].mean()))
    odds += min(_odds(_BESIDE, beside), 0.0)
    low = torch.arange(len(seen))[:, None] > marks[27, 1]
    tail = (cover[TAIL] > 0.5) & (cover[KNOT] < 0.1) & seen & low
    if int(tail.sum()) >= _FEWEST[1]:
        odds += _odds(_TURNED, float(likely[tail].mean()))
    often = _UNSEEN * worn[KNOT]
    knot = odds > 0 if abs(odds) > _TOLD else chance * (often + worn[TAIL]) < often
    return KNOT if knot else TAIL


def chance_of(identity: torch.Tensor) -> float:
    """Return a number in [0, 1) for codes (1, 20), which looks random and is the same for the same codes."""
    return float(_PERIODS * identity.double().sum()) % 1.0


def _knot(knot: torch.Tensor, tail: torch.Tensor, likely: torch.Tensor, seen: torch.Tensor, brows: float) -> float:
    """Return the log odds of a knot by the hair above the brows, given both styles' coverage (S, S); 0 if unseen."""
    above = seen & (torch.arange(len(seen))[:, None] < brows)
    place = (knot > 0.5) & (tail < 0.1) & above
    columns = place.sum(0).float()
    if int(columns.sum()) < _FEWEST[0]:
        return 0.0
    x = torch.arange(len(columns)).float()
    middle = (columns * x).sum() / columns.sum()
    wide = ((columns * (x - middle).square()).sum() / columns.sum()).sqrt()
    away = (x - middle).abs() / wide
    inner, outer = away < _MIDDLE, (away > _SIDES[0]) & (away < _SIDES[1])

    def stands(hair: torch.Tensor) -> float:
        # Against the crown's sides, so that neither the fit's height nor full hair counts.
        heights = (hair * above).sum(0)
        return float(heights[inner].mean() - heights[outer].mean())

    seen_by, least, most = (stands(hair) for hair in (likely, tail, knot))
    if most - least < _HIGH:
        return 0.0
    return min(_odds(_STANDS, (seen_by - least) / (most - least)), _odds(_FILLED, float(likely[place].mean())))


def _odds(line: tuple[float, float], value: float) -> float:
    slope, even = line
    return min(max(slope * (value - even), -_SURE), _SURE)
