"""Styles worn by heads like the one in a photograph, for what silhouettes do not tell.

From the front, hair tied behind the head looks like short hair. How often women and men wear either decides, given by
the head's measures and by the shadow of a shaved beard, which takes red from the jaw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from facekit.conventions import CHIN
from facekit.models.hair_choice import style_weights
from facekit.reconstruct.silhouettes import FACE, centres

#: Quantile of age that frequencies are taken at.
_AGE = 0.4
#: L* of the cheeks in the picture at quantiles 0 and 1 of melanin.
_TONES = (75.0, 30.0)
#: Log odds of a man: weights of those by the head's measures, of the jaw's and the chin's a* and of the upper lip's L*
#: against the cheeks', and a constant; bounds of the differences. A logistic regression over 51 people, every other of
#: the London Set (DeBruine and Jones 2017).
_ODDS, _RANGE = (0.54, -0.38, -0.34, -0.07, -2.05), (-8.0, 6.0)
#: Least number of pixels of a part of the face, and least L* of cheeks on which a shadow shows.
_FEWEST, _DIM = 6, 20.0
#: Factor on the frequency of tied hair, which photographs of faces show more often than streets.
_TIED_BACK = 2.0


def of_a_man(colours: torch.Tensor, marks: torch.Tensor, head: torch.Tensor, tone: torch.Tensor, man: float) -> float:
    """Return the probability in [0, 1] that such a head is called a man's, by its measures and its beard's shadow.

    Parameters
    ----------
    colours:
        (3, S, S) L*a*b* of the square around the head.
    marks, head:
        See :class:`facekit.reconstruct.silhouettes.Silhouettes`.
    tone:
        (3,) L*a*b* of the cheeks.
    man:
        The same by its measures alone.
    """
    weights, seen = torch.tensor(_ODDS), [_logit(man)]
    for part, channel in zip(_parts(marks, head), (1, 1, 0), strict=True):
        there = colours[channel, part]
        if len(there) < _FEWEST or float(tone[0]) < _DIM:
            return man
        seen.append(min(max(float(there.median() - tone[channel]), _RANGE[0]), _RANGE[1]))
    return float(torch.sigmoid((weights * torch.tensor([*seen, 1.0])).sum()))


def _logit(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))


def _parts(marks: torch.Tensor, head: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the masks (S, S) bool of jaw, chin and upper lip, where beards grow."""
    y, x = centres()
    long = float((marks[CHIN] - marks[27]).norm())
    left, right = marks[48, 0], marks[54, 0]
    right_jaw = (x > marks[4, 0] + 0.06 * long) & (x < left - 0.04 * long)
    left_jaw = (x < marks[12, 0] - 0.06 * long) & (x > right + 0.04 * long)
    jaw = (y > marks[48, 1]) & (y < marks[CHIN, 1] - 0.1 * long) & (right_jaw | left_jaw)
    chin = (x > left) & (x < right) & (y > marks[57, 1] + 0.05 * long) & (y < marks[CHIN, 1] - 0.04 * long)
    lip = (x > marks[31, 0]) & (x < marks[35, 0]) & (y > marks[33, 1] + 0.03 * long)
    lip &= y < marks[50:53, 1].min() - 0.01 * long
    return tuple(part & (head > FACE) for part in (jaw, chin, lip))


def frequencies(styles: Iterable[str], man: float, light: float) -> dict[str, float]:
    """Return how often styles are worn, up to a factor, by heads that are a man's with probability ``man`` and whose
    cheeks have the L* ``light``.
    """
    styles, (pale, deep) = tuple(styles), _TONES
    dark = min(max((pale - light) / (pale - deep), 0.0), 1.0)
    his, hers = (style_weights(end, _AGE, dark, styles) for end in (1.0, 0.0))
    return {style: man * his.get(style, 0.0) + (1 - man) * hers.get(style, 0.0) for style in styles}


def tied_back(worn: dict[str, float], tied: Iterable[str], short: Iterable[str]) -> bool:
    """Return whether hair that looks short from the front is tied, by how often styles of both kinds are worn."""
    return _TIED_BACK * sum(worn.get(style, 0.0) for style in tied) > sum(worn.get(style, 0.0) for style in short)
