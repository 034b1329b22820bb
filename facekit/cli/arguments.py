"""Argument checks before anything heavy is imported: invalid values, and options without effect."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from facekit.checks import finite, one_of, whole
from facekit.conventions import EXPRESSIONS
from facekit.errors import InputError
from facekit.weights.manifest import record

#: Numeric options: integer or not, lower and upper bound.
_WHOLE = {"seed": (0, None), "count": (1, None), "steps": (2, None), "frames": (1, None), "size": (16, 8192)}
_FINITE = {
    "truncation": (0.0, 1.0),
    "intensity": (0.0, None),
    "stop": (0.0, None),
    "detail_strength": (0.0, None),
    "fps": (0.0, 50.0),
}


#: Options that define a face, besides its seed.
OF_FACE = (
    "model", "device", "truncation", "age", "masculinity", "expression", "intensity", "detail", "detail_strength",
    "hair",
)  # fmt: skip
#: Prefix of the attributes that record which options were given. One attribute per option: a subparser copies its
#: attributes one by one, and those of the main parser must stay.
_GIVEN = "given "


class _Noted(argparse.Action):
    """Store the value, and record that the option was given."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: Any = None):
        """Implement argparse's action."""
        setattr(namespace, self.dest, values)
        setattr(namespace, _GIVEN + self.dest, True)


class _NotedFlag(_Noted):
    """The same for an option without a value, in place of argparse's ``store_true``."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: bool = False, help: str | None = None):
        super().__init__(option_strings, dest, nargs=0, default=default, help=help)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: Any = None):
        """Implement argparse's action."""
        super().__call__(parser, namespace, True)


def noting(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Make a parser record which options were given, for :func:`refuse_idle`; return it."""
    parser.register("action", None, _Noted)  # for every option without another action
    parser.register("action", "store_true", _NotedFlag)
    return parser


def given(args: argparse.Namespace) -> list[str]:
    """Return the names of the options that were given, with underscores."""
    return [name.removeprefix(_GIVEN) for name in vars(args) if name.startswith(_GIVEN)]


def check_arguments(args: argparse.Namespace) -> None:
    """Check every argument that can be checked without a model.

    Raises
    ------
    InputError
        If an argument is out of range, not a known name, or without effect.
    """
    values = {name: value for name, value in vars(args).items() if value is not None}
    for name, (least, most) in _WHOLE.items():
        if name in values:
            whole(values[name], f"--{name}", least, most, remedy=_remedy(least, most))
    for name, (low, high) in _FINITE.items():
        if name in values:
            _between(values[name], f"--{name.replace('_', '-')}", low, high)
    if "stop" in values and not values["stop"]:
        raise InputError("--stop above 0", "0", "pass for instance --stop 1.5")
    if values.get("model", "default") != "default":
        record(values["model"])
    if "expression" in values:
        from facekit.cli.options import blend_of

        blend = blend_of(values["expression"])
        names = [blend] if isinstance(blend, str) else list(blend)
        for name in names:
            one_of(name, EXPRESSIONS, "an expression")
        if names == ["neutral"]:
            refuse_idle(args, ("intensity",), "with the neutral expression")
    if values.get("detail") == "off":
        refuse_idle(args, ("detail_strength",), "with --detail off")


def refuse_idle(args: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Reject given options that have no effect.

    Raises
    ------
    InputError
        Lists them; ``why`` completes "they do nothing …".
    """
    idle = [f"--{name.replace('_', '-')}" for name in names if name in given(args)]
    if idle:
        raise InputError("options that do something", " ".join(idle), f"leave out what does nothing {why}")


def _between(value: Any, what: str, low: float, high: float | None) -> None:
    number = finite(value, what, _remedy(low, high))
    if number < low or (high is not None and number > high):
        expected = f"{what} of {low:g} or more" if high is None else f"{what} from {low:g} to {high:g}"
        raise InputError(expected, f"{number:g}", _remedy(low, high))


def _remedy(low: float, high: float | None) -> str:
    return f"choose {low:g} or more" if high is None else f"choose one from {low:g} to {high:g}"
