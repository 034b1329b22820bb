"""PhotoModel: what the fit knows of heads and of the landmarker, for one model's topology."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from facekit import weights
from facekit.errors import InputError
from facekit.files.readers import load_arrays
from facekit.pipeline import FacePipeline
from facekit.reconstruct.modes import IdentityModes, unpack
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response

#: The model that has identity modes of its own.
HOME = "default"


@dataclass(frozen=True)
class PhotoModel:
    """Heads, points and the landmarker's response.

    Parameters
    ----------
    modes:
        How heads differ.
    points:
        The rig at the landmarker's points.
    response:
        How the landmarker sees them.
    mirror:
        (478,) int64, each point's counterpart on the other side.
    """

    modes: IdentityModes
    points: FacePoints
    response: Response
    mirror: np.ndarray

    @classmethod
    def of(cls, pipe: FacePipeline) -> PhotoModel:
        """Load what belongs to a pipeline's topology.

        Raises
        ------
        InputError
            For a topology without identity modes.
        """
        modes = _modes()
        if len(pipe.template.verts) != modes.deltas.shape[1]:
            raise InputError(
                f"a model of {modes.deltas.shape[1]} vertices", f"{pipe.name!r}", 'reconstruct with model="default"'
            )
        arrays = load_arrays(weights.verified(HOME, "landmarks"))
        rig, template = pipe.blendshapes, pipe.template
        if template.verts.is_cuda:  # points are found on the CPU
            pipe = FacePipeline.from_pretrained(pipe.name, "cpu")
            rig, template = pipe.blendshapes, pipe.template
        points = FacePoints.of(template, modes, rig, arrays["corners"].long(), arrays["shares"].float())
        return cls(modes, points, Response.unpack(arrays), arrays["mirror"].long().numpy())

    def neutral(self, template: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """Vertices (V, 3) mm of the head at rest with identity weights (M,)."""
        return template + self.modes.displacements(identity[None].float().cpu())[0].to(template)


@functools.lru_cache(maxsize=1)
def _modes() -> IdentityModes:
    return unpack(load_arrays(weights.verified(HOME, "modes")))
