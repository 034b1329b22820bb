"""Pictures of many faces: contact sheets, animations, progress bars; and the viewer, a face that one can move."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facekit.viz.viewer.widget import Viewer as Viewer

__all__ = ["Viewer"]


def __getattr__(name: str) -> object:
    if name == "Viewer":  # when it is first asked for: it needs the notebook extra
        from facekit.viz.viewer.widget import Viewer

        return Viewer
    raise AttributeError(f"module 'facekit.viz' has no attribute {name!r}")
