"""Codes of expressions and of blendshapes from their names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch

from facekit.checks import finite, one_of
from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES, EXPRESSION_DIM, EXPRESSIONS, MAX_INTENSITY
from facekit.errors import InputError
from facekit.torch_defaults import with_torch_defaults

#: Largest sum of a blend without a warning: two expressions at the largest intensity.
_MOST_IN_ALL = 2 * MAX_INTENSITY


@with_torch_defaults
def expression_code(expression: str | Mapping[str, float], intensity: float = 1.0) -> torch.Tensor:
    """Return the weighted one-hot code of an expression, (20,) float32.

    Parameters
    ----------
    expression:
        One of :data:`facekit.conventions.EXPRESSIONS`, or a blend ``{"smile": 0.6, "brow_raiser": 0.4}`` of weights.
    intensity:
        Factor on the code: 0 is neutral, 1 the posed expression, up to 1.5 extrapolated. Warns once for more than 1.5,
        or a blend with a sum of more than 3.

    Raises
    ------
    InputError
        If a name is unknown, a weight or intensity is negative or not finite, or a blend is empty.
    """
    if not isinstance(expression, (str, Mapping)):
        raise InputError("an expression's name or a blend of weights", repr(expression), 'pass for instance "smile"')
    weights = {expression: 1.0} if isinstance(expression, str) else dict(expression)
    if not weights:
        raise InputError("at least one expression", "an empty blend", 'pass for instance {"smile": 1.0}')
    code = torch.zeros(EXPRESSION_DIM)
    for name, weight in weights.items():
        one_of(name, EXPRESSIONS, "an expression")
        value = finite(weight, f"the weight of {name!r}") * finite(intensity, "the intensity")
        if value < 0:
            raise InputError("an intensity of 0 or more", f"{value:g}", "use 0 for the neutral face")
        code[EXPRESSIONS.index(name)] = value
    _warn_beyond({name: float(code[EXPRESSIONS.index(name)]) for name in weights})
    return code


def blendshape_code(weights: Mapping[str, float]) -> torch.Tensor:
    """Return blendshape weights by name as (52,) float32, zero for missing names.

    Parameters
    ----------
    weights:
        ``{"jawOpen": 0.4, "eyeBlinkLeft": 1.0}``, names from :data:`facekit.conventions.BLENDSHAPES`, in [0, 1].

    Raises
    ------
    InputError
        If a name is unknown, or a weight is not in [0, 1].
    """
    if not isinstance(weights, Mapping):
        raise InputError("weights by name", repr(weights), 'pass for instance {"jawOpen": 0.4}')
    code = torch.zeros(BLENDSHAPE_DIM)
    for name, weight in weights.items():
        if name not in BLENDSHAPES:
            raise InputError("a blendshape of ARKit's 52", repr(name), "see facekit.BLENDSHAPES for their names")
        value = finite(weight, f"the weight of {name!r}")
        if not 0 <= value <= 1:
            raise InputError(f"a weight of {name!r} in [0, 1]", f"{value:g}", "0 is at rest, 1 the whole shape")
        code[BLENDSHAPES.index(name)] = value
    return code


def _warn_beyond(values: Mapping[str, float]) -> None:
    """Warn once of intensities beyond training: a single one, or the sum of a blend."""
    far = [name for name, value in values.items() if value > MAX_INTENSITY + 1e-6]
    total = sum(values.values())
    if len(far) == 1:
        told = f"{far[0]} at intensity {values[far[0]]:g}: beyond {MAX_INTENSITY}"
    elif total > _MOST_IN_ALL + 1e-6:
        told = f"{len(values)} expressions whose intensities add up to {total:g}: beyond {_MOST_IN_ALL:g}"
    else:
        return
    warnings.warn(f"{told} the models extrapolate and faces may break", stacklevel=5)
