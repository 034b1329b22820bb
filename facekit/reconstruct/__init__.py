"""From photographs and films to faces: ``facekit.reconstruct("me.jpg")``, which this package is when it is called.

* :mod:`~facekit.reconstruct.observe`, ``find``, ``landmarker``: photographs, the faces in them, their points;
* :mod:`~facekit.reconstruct.dense`: points, identity and blendshapes, read by a network of our own;
* :mod:`~facekit.reconstruct.modes`, ``points``, ``response``, ``model``: what is known of heads and of the landmarker;
* :mod:`~facekit.reconstruct.fit`: whom the photographs show, what the face does, where the camera stood;
* :mod:`~facekit.reconstruct.texture`: skin;
* :mod:`~facekit.reconstruct.clip`, ``encoded``: films, and what the encoder reads in their frames;
* :mod:`~facekit.reconstruct.api`, ``result``, ``quality``, ``overlay``: the call and what comes out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facekit.calling import make_callable

__all__ = ["TEXTURES", "Reconstruction", "reconstruct"]

#: Where skin comes from: the photographs completed by the texture network, without it, or the network alone.
TEXTURES = ("blend", "photo", "gan")
#: Suffixes of films; a file with another one is taken for a photograph.
SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts", ".m2ts",
    ".ogv", ".mjpeg",
)  # fmt: skip


def is_film(source: Any) -> bool:
    """Whether something that :func:`facekit.reconstruct` is given is the path of a film."""
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
