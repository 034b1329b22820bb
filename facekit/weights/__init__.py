"""Weights: the manifest, the cache, and whether the files of a model are here and whole.

Who brings them in is :mod:`facekit.convert`; who reads them is :mod:`facekit.files.readers`. Nothing here needs torch.
"""

from __future__ import annotations

from facekit.weights.cache import cache_folder
from facekit.weights.manifest import (
    Mirror,
    ModelRecord,
    Source,
    ToolRecord,
    WeightFile,
    known,
    models,
    record,
    tool,
    tools,
)
from facekit.weights.store import assets_folder, files, path, ready, verified, verify

__all__ = [
    "Mirror",
    "ModelRecord",
    "Source",
    "ToolRecord",
    "WeightFile",
    "assets_folder",
    "cache_folder",
    "files",
    "known",
    "models",
    "path",
    "ready",
    "record",
    "tool",
    "tools",
    "verified",
    "verify",
]
