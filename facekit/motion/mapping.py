"""Conversion between facial vocabularies: 20 expressions, ARKit's 52 blendshapes, FACS action units.

The tables are least-squares fits on the mean head of the embedded default (``facekit/train/rig/tables.py``) and ship
with it; docs/rig-and-motion.md prints them. For their errors see :func:`table_errors`.

>>> expressions_to_blendshapes({"smile": 0.8})  # doctest: +SKIP
{'mouthSmileLeft': 0.64, ...}
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import cast

import torch

from facekit import weights
from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.errors import InputError
from facekit.files.readers import load_arrays
from facekit.models.blendshape_data import Table, unpack_tables
from facekit.motion.units import ACTION_UNITS, INTENSITIES

#: Words of each vocabulary, in the tables' order.
WORDS: dict[str, tuple[str | int, ...]] = {
    "expressions": EXPRESSIONS,
    "blendshapes": BLENDSHAPES,
    "units": tuple(ACTION_UNITS),
}
#: Smaller weights are left out of results by name.
_LEAST = 5e-3


@functools.lru_cache(maxsize=1)
def tables() -> Mapping[tuple[str, str], Table]:
    """Return the tables between all vocabularies: weights (n, m) float32 and errors (n, 2) mm."""
    return unpack_tables(load_arrays(weights.verified("default", "blendshapes")))


def table_errors(source: str, target: str) -> dict[str | int, tuple[float, float]]:
    """Return the error and the size of each word of ``source`` when expressed in ``target``, in mm.

    Both are root mean squares over the vertices of skin, lips and lids that the word moves by more than a tenth of a
    mm.
    """
    errors = _table(source, target).errors.tolist()
    return {word: (error, size) for word, (error, size) in zip(WORDS[source], errors, strict=True)}


def expressions_to_blendshapes(expression: Mapping[str, float] | torch.Tensor) -> dict[str, float] | torch.Tensor:
    """Convert expressions to blendshapes: by name, or codes (..., 20) to weights (..., 52); at most 1 each."""
    return cast("dict[str, float] | torch.Tensor", _said(expression, "expressions", "blendshapes", 1.0))


def blendshapes_to_expressions(blendshapes: Mapping[str, float] | torch.Tensor) -> dict[str, float] | torch.Tensor:
    """Convert blendshapes to expressions: by name, or weights (..., 52) to codes (..., 20).

    Expressions cannot represent gaze, single sides or the tongue; these are lost.
    """
    return cast("dict[str, float] | torch.Tensor", _said(blendshapes, "blendshapes", "expressions", 1.5))


def action_units(blendshapes: Mapping[str, float] | torch.Tensor) -> dict[int, float] | torch.Tensor:
    """Convert blendshapes to action units, by FACS number, intensities 0 to 5; or weights (..., 52) to (..., units).

    Both sides are combined: an action unit on one side only has half the intensity.
    """
    said = _said(blendshapes, "blendshapes", "units", 1.0)
    if isinstance(said, torch.Tensor):
        return said * len(INTENSITIES)
    return {int(number): round(weight * len(INTENSITIES), 4) for number, weight in said.items()}


def units_to_blendshapes(units: Mapping[int, float | str]) -> dict[str, float]:
    """Convert action units to blendshapes, at most 1 each: ``{12: 4, 6: "C"}`` is a strong smile with raised cheeks.

    Parameters
    ----------
    units:
        FACS numbers to intensities, 0 to 5 or the letters A (trace) to E (maximum).
    """
    return _said(_intensities(units), "units", "blendshapes", 1.0)  # type: ignore[return-value]


def units_to_expressions(units: Mapping[int, float | str]) -> dict[str, float]:
    """Convert action units to expressions; see :func:`units_to_blendshapes`."""
    return _said(_intensities(units), "units", "expressions", 1.5)  # type: ignore[return-value]


def letter(intensity: float) -> str:
    """Return the letter of an intensity, 0 to 5: "" for none, A to E."""
    return "" if intensity < 0.5 else INTENSITIES[min(len(INTENSITIES), round(intensity)) - 1]


def _intensities(units: Mapping[int, float | str]) -> dict[str | int, float]:
    """Return intensities as fractions of the largest one."""
    shares: dict[str | int, float] = {}
    for number, intensity in units.items():
        if isinstance(intensity, str):
            if intensity not in INTENSITIES:
                raise InputError(f"an intensity out of {', '.join(INTENSITIES)}", repr(intensity), "or write 0 to 5")
            intensity = INTENSITIES.index(intensity) + 1
        if not 0 <= intensity <= len(INTENSITIES):
            raise InputError(f"an intensity of AU{number} from 0 to 5", f"{intensity:g}", "5 is E, the maximum")
        shares[number] = intensity / len(INTENSITIES)
    return shares


def _said(words: Mapping | torch.Tensor, source: str, target: str, largest: float):
    """Convert from ``source`` to ``target``: by name for names, else as a tensor."""
    table = _table(source, target).weights
    if isinstance(words, torch.Tensor):
        if words.shape[-1:] != (len(table),):
            raise InputError(f"{len(table)} {source} in the last dimension", f"{tuple(words.shape)}", "see WORDS")
        return (words @ table.to(words)).clamp(0, largest)
    known = WORDS[source]
    unknown = [word for word in words if word not in known]
    if unknown:
        listed = ", ".join(str(word) for word in known)
        raise InputError(f"{source} out of {listed}", ", ".join(map(repr, unknown)), "choose from these")
    code = torch.tensor([float(words.get(word, 0.0)) for word in known])
    said = (code @ table).clamp(0, largest).tolist()
    return {word: round(weight, 4) for word, weight in zip(WORDS[target], said, strict=True) if weight > _LEAST}


def _table(source: str, target: str) -> Table:
    if (source, target) not in tables():
        raise InputError(f"two vocabularies out of {', '.join(WORDS)}", f"{source!r}, {target!r}", "choose two of them")
    return tables()[source, target]
