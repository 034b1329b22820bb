"""Bringing published weights in: download, check, convert once, keep in the cache; and removing them again.

What reads tensors needs torch and is imported when it is first used; fetching a model that is here does without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from facekit.convert.fetch import ensure, fetch, remove

if TYPE_CHECKING:
    from facekit.convert.published import import_files

__all__ = ["ensure", "fetch", "import_files", "remove"]


def __getattr__(name: str) -> object:
    if name == "import_files":
        return importlib.import_module("facekit.convert.published").import_files
    raise AttributeError(f"module 'facekit.convert' has no attribute {name!r}")
