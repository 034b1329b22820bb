"""Argument checks shared by several parts: integers, finite numbers, names, indices into a batch.

Scalars of numpy and torch are accepted like Python's; bools are not numbers.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable
from typing import Any

from facekit.errors import InputError


def whole(value: Any, what: str, least: int, most: int | None = None, remedy: str | None = None) -> int:
    """Return ``value`` as an int between ``least`` and ``most``.

    Parameters
    ----------
    what:
        Name of the argument for the message: ``"steps"``.
    remedy:
        Remedy for the message; by default to pass ``least``.

    Raises
    ------
    InputError
        If the value is not an integer, or is out of range.
    """
    expected = f"{what} as a whole number " + (f"of {least} or more" if most is None else f"from {least} to {most}")
    remedy = f"pass for instance {what}={max(least, 1)}" if remedy is None else remedy
    try:
        number = operator.index(value)
    except TypeError as error:
        raise InputError(expected, repr(value), remedy) from error
    is_truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")
    if is_truth or number < least or (most is not None and number > most):
        raise InputError(expected, repr(value), remedy)
    return number


def finite(value: Any, what: str, remedy: str = "pass a float between 0 and 1.5") -> float:
    """Return ``value`` as a finite float.

    Raises
    ------
    InputError
        If the value is not a number, NaN or infinite.
    """
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError("text and truth values are no numbers")
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:  # torch: a tensor of several numbers
        raise InputError(f"{what} as a number", repr(value), remedy) from error
    if not math.isfinite(number):
        raise InputError(f"{what} as a finite number", repr(value), remedy)
    return number


def one_of(value: Any, known: Iterable[str], what: str) -> str:
    """Return ``value`` if it is one of the known names.

    Parameters
    ----------
    what:
        Name with article for the message: ``"an expression"``.

    Raises
    ------
    InputError
        If the name is unknown; the message suggests a similar one.
    """
    names = list(known)
    if value in names:
        return value
    remedy = did_you_mean(str(value).lower(), names, "choose a listed name")
    raise InputError(f"{what} out of {', '.join(names)}", repr(value), remedy)


def did_you_mean(value: str, names: Iterable[str], otherwise: str) -> str:
    """Return a remedy that suggests the most similar name, or ``otherwise`` if none is similar."""
    near = difflib.get_close_matches(value, list(names), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def as_slice(index: Any, length: int, what: str) -> slice:
    """Return the slice that selects item ``index`` of a batch and keeps the batch dimension; slices are returned
    unchanged.

    Raises
    ------
    IndexError
        If the index is out of range, which also ends iteration.
    """
    if isinstance(index, slice):
        return index
    number = operator.index(index)
    if not -length <= number < length:
        raise IndexError(f"{what} {number} of a batch of {length}")
    return slice(number, number + 1 or None)
