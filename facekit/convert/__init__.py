"""Import of published weights: download, check, convert once, cache; and removal.

Modules that read tensors need torch and are imported on first use; fetching a model that is already here does without.
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
