"""Traits: interpretable directions of the embedded default's identity code, to read and to set.

Each of twenty orthonormal directions is one trait of skin, brows, hair or eyes. Age and masculinity affect the head's
shape, too: the shape networks' input was rotated so that these directions match those along which heads of the training
model differ by sex and age (:mod:`facekit.train.shape.traits`). Other models' codes have other meanings.
"""

from __future__ import annotations

import functools

import torch

from facekit.checks import finite
from facekit.conventions import IDENTITY_DIM
from facekit.errors import InputError

TRAITS: tuple[str, ...] = (
    "melanin", "haemoglobin", "age", "masculinity", "freckles", "brow_thickness", "brow_height",
    "hair_colour", "hair_red", "lip_colour", "lip_depth", "under_eye", "cheeks", "stubble",
    "hair_strength", "nose_redness", "lashes", "ears", "mottling", "hue",
)  # fmt: skip
"""Names of the directions, in their order."""

AGES = (18.0, 80.0)
"""Years of the youngest and the oldest; people are spread evenly between."""

# Age by the look of the networks' faces: years at 0, and years per standard deviation of their trait.
_MIDDLE, _PER = 34.0, 16.0
# Masculinity z becomes these times z, and tanh of a multiple of z: see dimorphic.
_WITHIN, _BETWEEN, _STEEP = 0.6, 1.05, 1.6
# Limits of quantiles, those of one in a thousand people: the networks were not trained beyond.
_RAREST = 0.001


@functools.cache
def trait_axes() -> torch.Tensor:
    """Return the directions (20, 20) float32, orthonormal rows in the order of :data:`TRAITS`."""
    import numpy as np

    q, r = np.linalg.qr(np.random.default_rng(2).standard_normal((IDENTITY_DIM, IDENTITY_DIM)))
    return torch.from_numpy((q * np.sign(np.diag(r))).T.astype(np.float32))


def read_traits(identity: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the traits of codes (B, 20) by name: quantiles (B,) in [0, 1]; age in years."""
    shares = dict(zip(TRAITS, torch.special.ndtr(identity @ trait_axes().to(identity).T).unbind(-1), strict=True))
    shares["age"] = AGES[0] + (AGES[1] - AGES[0]) * shares["age"]
    return shares


def set_traits(identity: torch.Tensor, **traits: float) -> torch.Tensor:
    """Return codes (B, 20) with these traits, quantiles in [0, 1] and age in years, and everything else unchanged.

    Raises
    ------
    InputError
        If a name is not in :data:`TRAITS`, or a number is out of range.
    """
    axes = trait_axes().to(identity)
    for name, value in traits.items():
        if name not in TRAITS:
            raise InputError(f"a trait out of {', '.join(TRAITS)}", repr(name), "choose one of them")
        low, high = AGES if name == "age" else (0.0, 1.0)
        value = finite(value, name)
        if not low <= value <= high:
            unit = " years" if name == "age" else ""
            raise InputError(f"{name} between {low:g} and {high:g}{unit}", f"{value:g}", "choose a number in between")
        share = min(max((value - low) / (high - low), _RAREST), 1 - _RAREST)
        axis = axes[TRAITS.index(name)]
        wanted = torch.special.ndtri(torch.tensor(share, dtype=torch.float64)).to(identity)
        identity = identity + (wanted - identity @ axis)[:, None] * axis
    return identity


def dimorphic(identity: torch.Tensor) -> torch.Tensor:
    """Return codes (B, 20) with masculinity in two groups, as the networks of the embedded default take them.

    People are spread evenly over the trait, but few faces lie between the sexes: a quantile of 0.35 becomes a woman's
    and 0.65 a man's; 0.5 stays androgynous, and the order of people stays. Differentiable.
    """
    axis = trait_axes().to(identity)[TRAITS.index("masculinity")]
    amount = identity @ axis
    return identity + ((_WITHIN - 1) * amount + _BETWEEN * torch.tanh(_STEEP * amount))[:, None] * axis


def grown(identity: torch.Tensor) -> torch.Tensor:
    """Return codes (B, 20) with the age that the networks of the embedded default should be asked for.

    People's ages are spread evenly from 18 to 80, but the model that the networks were trained on has mostly young
    faces: its mean looks 34, and 60 years are rare. Differentiable; :func:`age_share` goes back.
    """
    axis = trait_axes().to(identity)[TRAITS.index("age")]
    amount = identity @ axis
    years = AGES[0] + (AGES[1] - AGES[0]) * torch.special.ndtr(amount)
    return identity + ((years - _MIDDLE) / _PER - amount)[:, None] * axis


def age_share(trait: torch.Tensor) -> torch.Tensor:
    """Return how old people are from the trait "age" of the networks' codes: 0 at the least of :data:`AGES`, 1 at the
    most.
    """
    return ((_MIDDLE + _PER * trait - AGES[0]) / (AGES[1] - AGES[0])).clamp(0, 1)


def to_networks(identity: torch.Tensor) -> torch.Tensor:
    """Return codes (B, 20) as the networks of the embedded default take them: :func:`dimorphic` and :func:`grown`."""
    return grown(dimorphic(identity))
