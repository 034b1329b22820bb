"""Hair from photographs: the closest style in the wardrobe, and its colour.

Each style is put on the fitted head and rendered with the photograph's camera. Chosen is the style whose silhouette
agrees best with the hair-coloured pixels, given how often heads of such measures and such skin wear it, which decides
where silhouettes hardly differ: hair tied behind the head looks like short hair from the front. The hair colour is
sampled at the crown, which all styles cover.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.conventions import CHIN
from facekit.latents import FaceLatents
from facekit.metrics.texture import lab
from facekit.models.hair_choice import CROPPED, RECEDING
from facekit.reconstruct.hair_colour import between, cheek_albedo, fair, natural_colour, unlit
from facekit.reconstruct.silhouettes import FACE, SIDE, Silhouettes, centres
from facekit.reconstruct.tied import KNOT, TAIL, chance_of, tied_style
from facekit.reconstruct.worn import frequencies, of_a_man, tied_back

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Coverage from which on a style counts as opaque.
_COVERED = 0.6
#: Least height of the crown sample above the brows, and radius of the cheek samples, both as fractions of the
#: brow-to-chin distance.
_CROWN, _CHEEK = 0.22, 0.10
#: Colour difference from skin (CIE76), as a fraction of the skin's L*, below which a crown is bald, and its bounds:
#: light skin varies more; least number of pixels for a decision.
_BARE, _BARE_RANGE, _FEWEST = 0.25, (7.0, 17.0), 40
#: Quantile of a crown's L* that is in the gaps between hairs, and L* of cheeks from which on these are darker.
_GAPS, _PALE = 0.1, 50.0
#: Bounds of the standard deviations of colours in L*, a*, b*.
_TIGHT, _LOOSE = (5.0, 2.5, 2.5), (22.0, 8.0, 10.0)
#: Number of clusters of background colours, and iterations of k-means.
_CLUSTERS, _ROUNDS = 4, 8
#: Colour difference from the background from which on a crown is hair, and the least share of it that must be.
_BEHIND, _MOSTLY = 14.0, 0.3
#: Share of a crown, its darkest part, that mirrors hardly a lamp, and of the sides under cropped hair.
_DARKEST, _HALF_DARK = 0.2, 0.6
#: Colour difference from the cheeks from which on a crown is hair, as a fraction of that of its darkest part.
_SKIN = 0.4
#: Styles that hang beside the neck; the least fraction of hair there for one of them, and for one that agrees well.
_LONG, _HANGING, _AGREED, _WELL = ("long01", "mid01", "side01", "wavy01"), 0.65, 0.5, 0.78
#: Styles that end at the chin, so that hair beside the neck says nothing of them.
_CHIN_LONG = ("bob03",)
#: Distance in pixels from all styles beyond which there is no hair above the eyes; height below the chin from which,
#: and half width in which, the chest is free of hair, both as fractions of the brow-to-chin distance.
_APART, _CHEST = 6, (0.5, 0.3)
#: Agreement that a style of e times the frequency makes up for, and the frequency that is added to each.
_PRIOR, _ODD = 0.05, 0.12
#: Weight of the agreement on forehead and temples in choosing a short style, since a fringe is a small part of hair and
#: seen first; the style with one, which hair that agrees less is tied back from.
_FRINGE, _FRINGED = 0.3, "short02"
#: Styles tied behind and on top of the head, of which :mod:`facekit.reconstruct.tied` decides: silhouettes do not tell
#: a knot from full hair.
_TIED = (TAIL, KNOT)
#: Short styles, as which tied hair may appear.
_SHORT = ("short01", "short02", "short03", "short04")
#: Styles that reach beyond cropped hair, and the most that its coverage and the head's may be there; the score of
#: cropped hair if nothing is there, and the share of hair there that gives none.
_FULLER, _FREE, _EMPTY, _FILLED = ("short01", "short02", "short04"), 0.15, 0.1, 0.55
#: Heights above the brows between which the sides of a head tell cropped hair from none, as fractions of the
#: brow-to-chin distance, and how much darker than the cheeks both are under it, L*.
_SIDES, _STUBBLE = (0.05, 0.35), 10.0
#: Share that the bound of a bald crown's colour difference loses for feminine heads.
_SELDOM_BALD = 0.55


@dataclass(frozen=True)
class FoundHair:
    """Hair found in a photograph.

    Parameters
    ----------
    style:
        Name of a style in the wardrobe; "bald" for a bare crown.
    colour:
        (3,) float32 sRGB.
    agreement:
        Fraction of agreeing pixels around the head, by style.
    """

    style: str
    colour: torch.Tensor
    agreement: dict[str, float]


@torch.no_grad()
def find_hair(
    pipe: FacePipeline, latents: FaceLatents, silhouettes: Silhouettes | None, man: float = 0.5
) -> FoundHair | None:
    """Find the hair of a person in one photograph; return None if the crown is outside of it.

    Parameters
    ----------
    pipe:
        The pipeline with this person.
    latents:
        Latents of the face in the picture.
    silhouettes:
        Those of the styles in the picture, from :meth:`facekit.reconstruct.silhouettes.Silhouettes.of`.
    man:
        Probability in [0, 1] that such a head is called a man's, for how often styles are worn:
        :meth:`facekit.reconstruct.model.PhotoModel.masculine`.
    """
    if silhouettes is None:
        return None
    crop, seen, marks = silhouettes.crop, silhouettes.seen, silhouettes.marks
    head, colours = silhouettes.head, lab(crop[None])[0]
    # Cropped hair has nearly the head's own silhouette, and is compared with the best of the others.
    cover = {style: hair for style, hair in silhouettes.cover.items() if style != CROPPED}
    cropped = silhouettes.cover[CROPPED]
    everyone, anyone = torch.stack(list(cover.values())).aminmax(dim=0)
    brows = float(marks[17:27, 1].mean())
    above = torch.arange(SIDE)[:, None] < brows - _CROWN * (float(marks[CHIN, 1]) - brows)
    crown, cheeks = (everyone > _COVERED) & above & seen, _cheeks(marks, head) & seen
    if int(crown.sum()) < _FEWEST or not bool(cheeks.any()):
        return None
    behind = _groups(colours[:, _backdrop(anyone, head, marks) & seen])
    # Above hair that lies flat a crown shows the background.
    crown = _unlike(crown, colours, [group.median(dim=1).values for group in behind], _BEHIND)
    tone, hair, sides = colours[:, cheeks].median(dim=1).values, colours[:, crown], _sides(cropped, marks) & seen
    low, high = _BARE_RANGE
    bound = min(max(_BARE * float(tone[0]), low), high) * (1 - _SELDOM_BALD * (1 - man))
    # Hair has dark gaps. What is lighter than light cheeks even there is a lamp's reflection on a bald head.
    mirror = float(hair[0].quantile(_GAPS)) > max(float(tone[0]), _PALE)
    bare = mirror or float((hair.median(dim=1).values - tone).norm()) < bound
    if bare:
        # A crown may be bare, or glossy, above hair at the sides.
        if not _darker(colours, sides, marks, float(tone[0])):
            return FoundHair("bald", linear_to_srgb(_middle(crop, crown)), {"bald": 1.0})
        crown, hair = sides, colours[:, sides]
    likely = _likely(colours, hair, tone, behind)
    # Pixels that all styles cover, or none, carry no information; nor do those outside of the picture.
    told = ((anyone > 0.3) & (everyone < 0.7) & seen).float()
    agreement, front = (
        {
            style: float(((1 - (c - likely).abs()) * where).sum() / where.sum().clamp_min(1.0))
            for style, c in silhouettes.cover.items()
        }
        for where in (told, told * ((head > FACE) & (centres()[0] < brows)))
    )
    beside = _beside(cover, likely, seen, float(marks[27, 0])) or [0.0]
    hangs = sum(beside) / len(beside) > (_AGREED if max(agreement[style] for style in _LONG) > _WELL else _HANGING)
    fitting = [style for style in cover if style in _CHIN_LONG or (style in _LONG) == hangs]
    man = of_a_man(colours, marks, head, tone, man)
    worn = frequencies(silhouettes.cover, man, float(tone[0]))
    score = {style: agreement[style] + _PRIOR * math.log(worn[style] + _ODD) for style in agreement}
    best = max(fitting, key=score.__getitem__)
    if best in (*_TIED, *_SHORT):
        short, tied = (max(alike, key=lambda style: score[style] + _FRINGE * front[style]) for alike in (_SHORT, _TIED))
        best = tied if front[tied] > front[_FRINGED] and tied_back(worn, _TIED, _SHORT) else short
    filled = _filled(silhouettes, likely, brows)
    if bare:
        best = RECEDING
    elif not hangs and best not in _TIED and score[CROPPED] + _EMPTY * (1 - filled / _FILLED) > score[best]:
        best = CROPPED
    if best in _TIED:
        best = tied_style(cover, likely, seen, marks, max(beside), worn, chance_of(latents.identity))
    # Below a high hairline, or in a parting, a crown shows skin.
    matt = crown & (colours[0] <= hair[0].quantile(_DARKEST))
    apart = _SKIN * float((colours[:, matt].median(dim=1).values - tone).norm())
    own = _unlike(crown, colours, [tone], apart)
    skin, whole, least, cheek = cheek_albedo(pipe, latents), *(_middle(crop, where) for where in (own, matt, cheeks))
    colour = unlit(whole, least, cheek, skin)
    if best in (CROPPED, RECEDING) and bool(sides.any()):
        # On light skin the sides tell it: from above, lamps glint on scalp and hair alike.
        dark = sides & (colours[0] <= colours[0, sides].quantile(_HALF_DARK))
        colour = torch.lerp(colour, between(_middle(crop, dark), cheek, skin), fair(skin))
    colour = natural_colour(colour.clamp(0.004, 0.7))
    return FoundHair(best, linear_to_srgb(colour), agreement)


def _filled(silhouettes: Silhouettes, likely: torch.Tensor, brows: float) -> float:
    """Return the share of hair above the brows where short hair stands that is not cropped; 1 if that is not seen."""
    cover, seen = silhouettes.cover, silhouettes.seen & (centres()[0] < brows)
    fuller = torch.stack([cover[style] for style in _FULLER]).amax(dim=0) > _COVERED
    beyond = fuller & (torch.maximum(cover[CROPPED], silhouettes.head) < _FREE) & seen
    return float(likely[beyond].mean()) if int(beyond.sum()) >= _FEWEST else 1.0


def _sides(cropped: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Return the mask (S, S) bool of the hair above both temples that a head with cropped hair has."""
    brows = marks[17:27, 1].mean()
    y, (low, high) = centres()[0], (brows - share * (marks[CHIN, 1] - brows) for share in _SIDES)
    return (cropped > 0.5) & (y < low) & (y > high)


def _darker(colours: torch.Tensor, sides: torch.Tensor, marks: torch.Tensor, light: float) -> bool:
    """Return whether both sides of a head, where they are seen, are darker than its cheeks, whose L* is ``light``."""
    left = centres()[1] < float(marks[27, 0])
    told = [light - float(colours[0, half].median()) for half in (sides & left, sides & ~left) if int(half.sum()) >= 10]
    return bool(told) and min(told) > _STUBBLE


def _middle(crop: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the median (3,), linear RGB, of an sRGB picture (3, S, S) in a mask (S, S) bool."""
    return srgb_to_linear(crop[:, where]).median(dim=1).values


def _cheeks(marks: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """Return the mask (S, S) bool of both cheeks."""
    y, x = centres()
    reach = _CHEEK * float((marks[CHIN] - marks[27]).norm())
    found = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for eye, nose in ((36, 31), (45, 35)):
        spot = torch.stack((0.5 * (marks[eye, 0] + marks[nose, 0]), marks[nose, 1]))
        found |= torch.hypot(x - spot[0], y - spot[1]) < reach
    return found & (head > FACE)


def _backdrop(anyone: torch.Tensor, head: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Return the mask (S, S) bool of what is certainly no hair: the background above the eyes, and the chest's middle.

    Beside the face wide hair reaches beyond every style, and would be taken for background.
    """
    y, x = centres()
    some = ((anyone > 0.02) | (head > 0.02)).float()[None]
    away = F.max_pool2d(some, 2 * _APART + 1, stride=1, padding=_APART)[0] == 0
    height = marks[CHIN, 1] - marks[17:27, 1].mean()
    chest = (y > marks[CHIN, 1] + _CHEST[0] * height) & ((x - marks[27, 0]).abs() < _CHEST[1] * height)
    return (away & (y < marks[27, 1])) | chest


def _unlike(crown: torch.Tensor, colours: torch.Tensor, others: list[torch.Tensor], apart: float) -> torch.Tensor:
    """Return the pixels of a crown (S, S) bool whose colour differs by more than ``apart`` from all ``others``, (3,)
    each; all of it if too few do: hair may look like them.
    """
    if not others:
        return crown
    away = (colours - torch.stack(others)[..., None, None]).norm(dim=1).amin(0)
    own = crown & (away > apart)
    return own if int(own.sum()) > max(_MOSTLY * int(crown.sum()), _FEWEST) else crown


def _beside(cover: dict[str, torch.Tensor], likely: torch.Tensor, seen: torch.Tensor, middle: float) -> list[float]:
    """Return the fraction of hair beside the neck, where no short style reaches, on each side that is seen."""
    short = [c for style, c in cover.items() if style not in (*_LONG, *_CHIN_LONG, "ponytail01")]
    short = torch.stack(short).amax(dim=0)
    spots = (cover["mid01"] > 0.5) & (short < 0.1) & seen
    left = centres()[1] < middle
    sides = [likely[spots & side] for side in (left, ~left)]
    return [float(side.mean()) for side in sides if len(side) >= _FEWEST // 4]


def _likely(colours: torch.Tensor, hair: torch.Tensor, tone: torch.Tensor, behind: list[torch.Tensor]) -> torch.Tensor:
    """Return the probability (S, S) that pixels in L*a*b* (3, S, S) are hair rather than skin or background."""

    def far(samples: torch.Tensor) -> torch.Tensor:
        middle = samples.median(dim=1).values
        spread = 1.5 * (samples - middle[:, None]).abs().median(dim=1).values
        spread = torch.maximum(torch.minimum(spread, spread.new_tensor(_LOOSE)), spread.new_tensor(_TIGHT))
        return ((colours - middle[:, None, None]) / spread[:, None, None]).square().sum(0) + 2 * spread.log().sum()

    own = far(hair)
    others = [far(tone[:, None] + tone.new_tensor([[-14.0, -4.0, 0.0, 4.0, 14.0]]))]
    others += [far(group) for group in behind]
    return torch.sigmoid(0.5 * (torch.stack(others).amin(0) - own)).clamp(0, 1)


def _groups(samples: torch.Tensor) -> list[torch.Tensor]:
    """Cluster background colours (3, n) by k-means, from the darkest to the brightest."""
    if samples.shape[1] < _FEWEST:
        return []
    order = samples[0].argsort()
    centres = samples[:, order[torch.linspace(0, len(order) - 1, _CLUSTERS + 2).long()[1:-1]]]
    for _ in range(_ROUNDS):
        nearest = (samples[:, :, None] - centres[:, None]).square().sum(0).argmin(1)
        groups = [samples[:, nearest == k] for k in range(_CLUSTERS)]
        centres = torch.stack([g.mean(1) if g.shape[1] else c for g, c in zip(groups, centres.T, strict=True)], 1)
    return [group for group in groups if group.shape[1] >= _FEWEST // 4]
