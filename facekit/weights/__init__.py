"""Weights: the manifest, the cache, and files that are verified before they are loaded.

What reads tensors needs torch and is imported when it is first used; listing and fetching do without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from facekit.weights.cache import cache_folder
from facekit.weights.fetching import fetch
from facekit.weights.manifest import Mirror, ModelRecord, Source, WeightFile, models, record
from facekit.weights.store import assets_folder, ensure, files, path, ready, remove, verified, verify

if TYPE_CHECKING:
    from facekit.weights.convert import import_files
    from facekit.weights.loading import load_arrays, load_into, load_picture, load_tensors

_LAZY = {
    "import_files": "facekit.weights.convert",
    "load_arrays": "facekit.weights.loading",
    "load_into": "facekit.weights.loading",
    "load_picture": "facekit.weights.loading",
    "load_tensors": "facekit.weights.loading",
}

__all__ = [
    "Mirror",
    "ModelRecord",
    "Source",
    "WeightFile",
    "assets_folder",
    "cache_folder",
    "ensure",
    "fetch",
    "files",
    "import_files",
    "load_arrays",
    "load_into",
    "load_picture",
    "load_tensors",
    "models",
    "path",
    "ready",
    "record",
    "remove",
    "verified",
    "verify",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'facekit.weights' has no attribute {name!r}")
