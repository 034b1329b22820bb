"""Reconstruct faces from photographs and videos. The package is callable: ``facekit.reconstruct("me.jpg")``.

* :mod:`~facekit.reconstruct.observe`, ``find``, ``landmarker``: read photographs, detect faces, detect landmarks;
* :mod:`~facekit.reconstruct.dense`: a network that predicts landmarks, identity and blendshapes;
* :mod:`~facekit.reconstruct.points`, ``response``, ``model``: head model at the landmarks, landmark error model;
* :mod:`~facekit.reconstruct.fit`: fit identity, expression, pose and cameras;
* :mod:`~facekit.reconstruct.texture`: skin texture;
* :mod:`~facekit.reconstruct.clip`, ``encoded``: videos, and the encoder that reads their frames;
* :mod:`~facekit.reconstruct.api`, ``result``, ``quality``, ``overlay``: the entry point and its results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facekit.calling import make_callable

__all__ = ["TEXTURES", "Reconstruction", "reconstruct"]

#: Texture modes: "blend" completes the photographs with the texture network, "photo" uses the photographs alone, "gan"
#: the network alone.
TEXTURES = ("blend", "photo", "gan")
#: File suffixes of videos; any other suffix is read as a photograph.
SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts", ".m2ts",
    ".ogv", ".mjpeg",
)  # fmt: skip


def is_film(source: Any) -> bool:
    """Return True if ``source`` is the path of a video."""
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() in SUFFIXES


def __getattr__(name: str) -> Any:
    if name == "Reconstruction":
        from facekit.reconstruct.result import Reconstruction

        return Reconstruction
    if name == "reconstruct":
        from facekit.reconstruct.api import reconstruct

        return reconstruct
    raise AttributeError(f"module 'facekit.reconstruct' has no attribute {name!r}")


make_callable(__name__, "reconstruct")
