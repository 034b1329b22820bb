"""From photographs to faces: ``facekit.reconstruct("me.jpg")``, which this package is when it is called.

* :mod:`~facekit.reconstruct.observe`, ``find``, ``landmarker``: photographs, the faces in them, their points;
* :mod:`~facekit.reconstruct.modes`, ``points``, ``response``, ``model``: what is known of heads and of the landmarker;
* :mod:`~facekit.reconstruct.fit`: whom the photographs show, what the face does, where the camera stood;
* :mod:`~facekit.reconstruct.texture`: skin;
* :mod:`~facekit.reconstruct.api`, ``result``, ``quality``, ``overlay``: the call and what comes out.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["Reconstruction", "reconstruct"]


def __getattr__(name: str) -> Any:
    if name == "Reconstruction":
        from facekit.reconstruct.result import Reconstruction

        return Reconstruction
    if name == "reconstruct":
        from facekit.reconstruct.api import reconstruct

        return reconstruct
    raise AttributeError(f"module 'facekit.reconstruct' has no attribute {name!r}")


class _Callable(ModuleType):
    """The package itself: a module of this name hides the function of the same name, unless it can be called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from facekit.reconstruct.api import reconstruct

        return reconstruct(*args, **options)


sys.modules[__name__].__class__ = _Callable
