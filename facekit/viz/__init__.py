"""Pictures of many faces: contact sheets, animations, charts; and the interactive viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facekit.viz.viewer.widget import Viewer as Viewer

__all__ = ["Viewer"]


def __getattr__(name: str) -> object:
    if name == "Viewer":  # on first use: it needs the notebook extra
        from facekit.viz.viewer.widget import Viewer

        return Viewer
    raise AttributeError(f"module 'facekit.viz' has no attribute {name!r}")
