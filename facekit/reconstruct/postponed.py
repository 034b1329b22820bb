"""Postpone imports: packages that another one imports, but that are not used here, are loaded when they are."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class Postponed(ModuleType):
    """Stand-in for a module; loads it when any of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def postponed(*packages: str) -> Iterator[None]:
    """Import packages late inside a ``with`` block, those that are not loaded yet; afterwards imports are as before.

    Parameters
    ----------
    packages:
        Dotted names. Of ``"matplotlib.pyplot"`` the parent is postponed, too.
    """
    standing: dict[str, Postponed] = {}
    for package in packages:
        parts = package.split(".")
        names = [".".join(parts[: k + 1]) for k in range(len(parts))]
        if names[0] in sys.modules and names[0] not in standing:
            continue
        standing.update({name: Postponed(name) for name in names if name not in standing})
        for parent, child, name in zip(names, names[1:], parts[1:], strict=False):
            setattr(standing[parent], name, standing[child])
    sys.modules.update(standing)
    try:
        yield
    finally:
        for name, module in standing.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
