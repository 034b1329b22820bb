"""Who wears which hair, as far as nobody asks for another."""

from __future__ import annotations

import torch

from facekit.models.composers.micro import stubble_strength
from facekit.models.facial_hair import SHAVEN

#: Weights of styles at the masculine and at the feminine end; tightly curled hair has its own. The others, bob02 and
#: short03, hide an eye and are there for those who name them.
_STYLES: dict[str, tuple[float, float]] = {
    "short01": (3.0, 0.2),
    "short02": (2.6, 0.7),
    "short04": (2.4, 0.2),
    "ponytail01": (0.25, 3.2),
    "long01": (0.25, 2.6),
}
_CURLS = "afro01"
#: Weights of beards among those whose beard grows strongly enough, and how strong that is.
_BEARDS, _GROWS = {"full": 3.6, "moustache": 0.9, "goatee": 1.5, SHAVEN: 4.0}, 0.75
# What chooses among styles, and among beards; see below.
_IDLE, _CALM = ("ears", "nose_redness", "hue"), ("cheeks", "under_eye", "lip_depth")
#: Share of bald men when they are old; lashes of most, and of the feminine.
_OLD_AND_BALD, _LASHES = 0.4, ("lashes01", "lashes02")


def choose_hair(traits: dict[str, torch.Tensor], styles: tuple[str, ...]) -> list[str]:
    """Styles of people, one name each; the same code has the same style on every machine.

    Parameters
    ----------
    traits:
        The codes' projections (B,), standard normal, see :data:`facekit.traits.TRAITS`.
    styles:
        Names to choose from.
    """
    man, age, dark = (torch.special.ndtr(traits[name]).tolist() for name in ("masculinity", "age", "melanin"))
    found, chance = [], _chance(traits)
    for k in range(len(chance)):
        weights = {"bald": _OLD_AND_BALD * max(0.0, 2 * age[k] - 1) * max(0.0, 2 * man[k] - 1) * 6}
        # What lies between the ends has something of both, but more of the nearer one.
        share = min(max((man[k] - 0.3) / 0.4, 0.0), 1.0)
        for name, (his, hers) in _STYLES.items():
            weights[name] = share * his + (1 - share) * hers
        weights[_CURLS] = 5.0 * min(max((dark[k] - 0.6) / 0.25, 0.0), 1.0)
        weights = {name: weight for name, weight in weights.items() if name in styles}
        found.append(_among(weights, chance[k]))
    return found


def choose_beards(traits: dict[str, torch.Tensor]) -> list[str]:
    """Names of beards, one per person: over half of the men whose skin shows a strong stubble wear one."""
    grows = ((stubble_strength(traits) > _GROWS) & (traits["masculinity"] > 0)).tolist()
    chances = _chance(traits, _CALM)
    return [_among(_BEARDS, chance) if has else SHAVEN for has, chance in zip(grows, chances, strict=True)]


def _among(weights: dict[str, float], chance: float) -> str:
    """The name at this share, in [0, 1], of the weights' sum."""
    likely = {name: weight for name, weight in weights.items() if weight > 0}
    left = chance * sum(likely.values())
    for name, weight in likely.items():
        left -= weight
        if left <= 0:
            return name
    return next(reversed(likely))


def _chance(traits: dict[str, torch.Tensor], idle: tuple[str, ...] = _IDLE) -> list[float]:
    """Numbers in [0, 1], one a person, evenly spread: from traits that have nothing to do with hair, so that a person
    who is made older, for instance, keeps theirs."""
    return torch.special.ndtr(sum((traits[name] for name in idle), torch.zeros(())) * len(idle) ** -0.5).tolist()


def choose_lashes(traits: dict[str, torch.Tensor], lashes: tuple[str, ...]) -> list[str]:
    """Names of lashes: the fuller ones of those that the code's directions "masculinity" and "lashes" say."""
    fuller = (traits["lashes"] - 0.8 * traits["masculinity"] > 0.4).tolist()
    return [_LASHES[int(full)] if _LASHES[int(full)] in lashes else lashes[0] for full in fuller]
