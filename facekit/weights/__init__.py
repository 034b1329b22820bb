"""Model files: the manifest, the cache, and checks for completeness.

:mod:`facekit.convert` downloads them; :mod:`facekit.files.readers` reads them. Nothing here needs torch.
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
