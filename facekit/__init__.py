"""facekit: controllable, detailed, textured 3D faces.

Three lines make a face::

    import facekit
    face = facekit.FacePipeline.from_pretrained()(seed=15, expression="smile", intensity=0.8)
    face.save("smile.glb")

Public names are imported on first use, so that ``import facekit`` is fast.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from facekit.version import __version__

_PUBLIC = {
    "FaceLatents": "facekit.latents",
    "FaceMesh": "facekit.mesh",
    "FaceRig": "facekit.source",
    "FaceOutput": "facekit.face",
    "FacePipeline": "facekit.pipeline",
    "reconstruct": "facekit.reconstruct.api",
    "Reconstruction": "facekit.reconstruct.result",
    "sweep_intensity": "facekit.sweeps",
    "sweep_expressions": "facekit.sweeps",
    "Camera": "facekit.render",
    "render": "facekit.render",
    "save": "facekit.io",
    "load": "facekit.io",
    "Motion": "facekit.motion",
    "EXPRESSIONS": "facekit.conventions",
    "MORPH_TARGETS": "facekit.conventions",
    "BLENDSHAPES": "facekit.conventions",
    "FacekitError": "facekit.errors",
}

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from facekit.conventions import BLENDSHAPES as BLENDSHAPES
    from facekit.conventions import EXPRESSIONS as EXPRESSIONS
    from facekit.conventions import MORPH_TARGETS as MORPH_TARGETS
    from facekit.errors import FacekitError as FacekitError
    from facekit.face import FaceOutput as FaceOutput
    from facekit.face import FaceRig as FaceRig
    from facekit.io import load as load
    from facekit.io import save as save
    from facekit.latents import FaceLatents as FaceLatents
    from facekit.mesh import FaceMesh as FaceMesh
    from facekit.motion import Motion as Motion
    from facekit.pipeline import FacePipeline as FacePipeline
    from facekit.reconstruct.api import reconstruct as reconstruct
    from facekit.reconstruct.result import Reconstruction as Reconstruction
    from facekit.render import Camera as Camera
    from facekit.render import render as render
    from facekit.sweeps import sweep_expressions as sweep_expressions
    from facekit.sweeps import sweep_intensity as sweep_intensity


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    # Submodules as attributes, so that `facekit.weights.models()` works after `import facekit`.
    if importlib.util.find_spec(f"facekit.{name}") is not None:
        return importlib.import_module(f"facekit.{name}")
    raise AttributeError(f"module 'facekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
