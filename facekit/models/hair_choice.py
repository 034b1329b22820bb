"""Default choice of hair style, beard and lashes for an identity code."""

from __future__ import annotations

import torch

from facekit.models.composers.micro import stubble_strength
from facekit.models.facial_hair import SHAVEN
from facekit.traits import age_share

#: Weights of styles at the masculine and at the feminine end; tight curls are weighted by skin tone below. The other
#: styles, bob02 and short03, hide an eye and are used only on request.
_STYLES: dict[str, tuple[float, float]] = {
    "short01": (3.0, 0.05),
    "short02": (2.6, 0.7),
    "short04": (1.2, 0.03),
    "cropped01": (1.2, 0.02),
    "ponytail01": (0.25, 0.8),
    "bun01": (0.0, 1.0),
    "side01": (0.0, 2.0),
    "bob03": (0.0, 1.8),
    "long01": (0.25, 1.8),
    "mid01": (0.0, 1.7),
    "wavy01": (0.0, 2.0),
}
#: Factors on women's weights at the greatest age, and one over them at the least: long hair gets rarer. What gets rarer
#: stands beside what gets more frequent, so that most people keep their style when their age is edited.
_AGED = {"short02": 2.0, "ponytail01": 0.7, "bun01": 1.4, "side01": 0.7, "bob03": 1.4, "long01": 0.55, "wavy01": 0.8}
#: Styles with nearly the head's own silhouette: the second has a thin crown.
CROPPED, RECEDING = "cropped01", "receding01"
_CURLS, _FULL = "afro01", "short01"
#: Weight of tight curls for the darkest skin, and the part of it that masculine heads wear cropped.
_TIGHT, _CUT = 5.0, 1.8
#: Weight of receding hair for the oldest men, age from which on it has one, and the share of its own that full hair may
#: lose to it.
_RECEDED, _FROM, _LOST = 2.6, 0.25, 0.8
#: Weights of beards for people with strong beard growth, and the least stubble strength that counts as such.
_BEARDS, _GROWS = {"full": 3.6, "moustache": 0.9, "goatee": 1.5, SHAVEN: 4.0}, 0.75
# Traits that serve as random numbers for the choice of styles, and of beards; see _chance.
_IDLE, _CALM = ("ears", "nose_redness", "hue"), ("cheeks", "under_eye", "lip_depth")
#: Strength of baldness in old men, which sets its weight among the styles; names of sparse and of full lashes.
_OLD_AND_BALD, _LASHES = 0.4, ("lashes01", "lashes02")


def choose_hair(traits: dict[str, torch.Tensor], styles: tuple[str, ...]) -> list[str]:
    """Choose a hair style per person; the same code has the same style on every machine.

    Parameters
    ----------
    traits:
        Traits (B,) by name, from :meth:`facekit.models.composers.micro.MicroLayer.projections`.
    styles:
        Names of the available styles.
    """
    man, dark = (torch.special.ndtr(traits[name]).tolist() for name in ("masculinity", "melanin"))
    age = age_share(traits["age"]).tolist()
    chance, painted = _chance(traits), (traits["hair_strength"] > 0).tolist()
    # Where hair receded, that of a painted scalp would show: half of the people have one.
    return [
        _among(style_weights(man[k], age[k], dark[k], styles, 0.0 if painted[k] else 2.0), chance[k])
        for k in range(len(chance))
    ]


def style_weights(
    man: float, age: float, dark: float, styles: tuple[str, ...], receded: float = 1.0
) -> dict[str, float]:
    """Return how often styles are worn, by name, up to a common factor.

    Parameters
    ----------
    man, age, dark:
        Masculinity, age and melanin as quantiles in [0, 1].
    styles:
        Names of the available styles.
    receded:
        Factor on the weight of receding hair.
    """
    weights = {"bald": _OLD_AND_BALD * max(0.0, 2 * age - 1) * max(0.0, 2 * man - 1) * 6, RECEDING: 0.0}
    # People between the ends get a blend of both weights, with a steep transition.
    share = min(max((man - 0.3) / 0.3, 0.0), 1.0)
    for name, (his, hers) in _STYLES.items():
        weights[name] = share * his + (1 - share) * hers * _AGED.get(name, 1.0) ** (2 * age - 1)
    if RECEDING in styles:
        weights[RECEDING] = share * receded * _RECEDED * max(0.0, age - _FROM) / (1 - _FROM)
        weights[_FULL] -= min(weights[RECEDING], _LOST * weights[_FULL])
    tight = min(max((dark - 0.6) / 0.25, 0.0), 1.0)
    weights[_CURLS] = (_TIGHT - _CUT * share) * tight
    weights[CROPPED] += _CUT * share * tight
    return {name: weight for name, weight in weights.items() if name in styles}


def choose_beards(traits: dict[str, torch.Tensor]) -> list[str]:
    """Choose a beard per person, B names: over half of the men with strong stubble have one."""
    grows = ((stubble_strength(traits) > _GROWS) & (traits["masculinity"] > 0)).tolist()
    chances = _chance(traits, _CALM)
    return [_among(_BEARDS, chance) if has else SHAVEN for has, chance in zip(grows, chances, strict=True)]


def _among(weights: dict[str, float], chance: float) -> str:
    """Return the name at quantile ``chance``, in [0, 1], of the discrete distribution with these weights."""
    likely = {name: weight for name, weight in weights.items() if weight > 0}
    left = chance * sum(likely.values())
    for name, weight in likely.items():
        left -= weight
        if left <= 0:
            return name
    return next(reversed(likely))


def _chance(traits: dict[str, torch.Tensor], idle: tuple[str, ...] = _IDLE) -> list[float]:
    """Return one uniformly distributed number in [0, 1] per person.

    It is derived from traits unrelated to hair, so that a person keeps it when their age is edited, for example.
    """
    return torch.special.ndtr(sum((traits[name] for name in idle), torch.zeros(())) * len(idle) ** -0.5).tolist()


def choose_lashes(traits: dict[str, torch.Tensor], lashes: tuple[str, ...]) -> list[str]:
    """Choose lashes per person, B names: full ones for a high "lashes" trait or a low "masculinity" trait."""
    fuller = (traits["lashes"] - 0.8 * traits["masculinity"] > 0.4).tolist()
    return [_LASHES[int(full)] if _LASHES[int(full)] in lashes else lashes[0] for full in fuller]
