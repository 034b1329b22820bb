"""Callable packages: importing a package hides the function of the same name."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def make_callable(package: str, function: str) -> None:
    """Make calls of the package call its ``function``: ``facekit.render(face)`` works whatever was imported before.

    Parameters
    ----------
    package:
        The package's ``__name__``; call this from its ``__init__``.
    """

    def call(self: ModuleType, *args: Any, **options: Any) -> Any:
        return getattr(self, function)(*args, **options)

    sys.modules[package].__class__ = type("CallablePackage", (ModuleType,), {"__call__": call})
