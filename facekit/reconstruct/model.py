"""PhotoModel: head model, landmark rig and error model for one topology."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit import weights
from facekit.assembly import load_modes
from facekit.errors import InputError
from facekit.files.readers import load_arrays
from facekit.metrics.anthropometry import masculine_excess
from facekit.models.blendshapes import Blendshapes
from facekit.models.modes import IdentityModes
from facekit.pipeline import FacePipeline
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response
from facekit.reconstruct.unknowns import Fitted
from facekit.template import Template

#: Model that photographs are reconstructed with.
HOME = "default"
#: Excess of masculine measures where men and women are equally likely, and its logistic's width; see below.
_EQUAL, _WIDTH = -5.4, 1.17
#: Weights of the head's log odds and of the skin's trait in their sum. All four are a logistic regression over
#: reconstructions of 51 people, every other of the London Set (DeBruine and Jones 2017).
_HEAD, _SKIN = 1.08, 6.7


@dataclass(frozen=True)
class PhotoModel:
    """Head model, landmark rig and the landmarker's error model.

    Parameters
    ----------
    modes:
        Linear identity model.
    points:
        The rig evaluated at the landmarks.
    response:
        The landmarker's error model.
    mirror:
        (478,) int64: index of each landmark's mirror image.
    """

    modes: IdentityModes
    points: FacePoints
    response: Response
    mirror: np.ndarray

    @classmethod
    def of(cls, pipe: FacePipeline) -> PhotoModel:
        """Load the model for a pipeline's topology.

        Raises
        ------
        InputError
            If the topology has no identity modes.
        """
        modes = load_modes()
        if len(pipe.template.verts) != modes.deltas.shape[1]:
            raise InputError(
                f"a model of {modes.deltas.shape[1]} vertices", f"{pipe.name!r}", 'reconstruct with model="default"'
            )
        if pipe.template.verts.is_cuda:  # the landmark search runs on the CPU
            pipe = FacePipeline.from_pretrained(pipe.name, "cpu")
        return cls(modes, *_rigged(pipe.template, pipe.blendshapes))

    def neutral(self, template: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """Return vertices (V, 3) in mm of the neutral head with identity weights (M,)."""
        return template + self.modes.displacements(identity[None].float().cpu())[0].to(template)

    def head(self, template: Template, fitted: Fitted) -> torch.Tensor:
        """Return vertices (V, 3) in mm of a fit's neutral head."""
        neutral = self.neutral(template.verts, torch.from_numpy(fitted.identity))
        return neutral if fitted.offsets is None else neutral + fitted.offsets.on_mesh(template, self.points)

    def landmarks(self, fitted: Fitted, k: int) -> np.ndarray:
        """Return the landmarks (478, 2) on a fit's head in picture k, in pixels from the principal point, y down."""
        places = self.points.places(fitted.identity, fitted.blendshapes[k])
        if fitted.offsets is not None:
            places = places + fitted.offsets.at_landmarks(self.points)
        camera = places @ fitted.rotation[k].T + fitted.translation[k]
        return fitted.focal[k] * camera[:, :2] / -camera[:, 2:] * (1, -1)

    def masculine(self, template: Template, neutral: torch.Tensor, skin: float | None = None) -> float:
        """Return the probability in [0, 1] that a neutral head (V, 3) mm is called a man's, by its measures
        (:func:`facekit.metrics.anthropometry.masculine_excess`) and its skin's trait "masculinity", in standard
        deviations of drawn people, as the texture network has it: None if unknown.
        """
        marks, mean = (v[template.landmarks].cpu().double().numpy() for v in (neutral, template.verts))
        modes = self.modes.deltas[:, template.landmarks.cpu()].double().numpy()
        odds = (masculine_excess(marks, mean, modes) - _EQUAL) / _WIDTH
        return float(1 / (1 + np.exp(-(odds if skin is None else _HEAD * odds + _SKIN * skin))))


def loaded(model: str | Path | FacePipeline) -> FacePipeline:
    """Return a pipeline, given by itself or by its name.

    The packaged default is kept for later photographs, with what it makes at first use: ties of hair, charts of detail.
    """
    if isinstance(model, FacePipeline):
        return model
    if model == HOME and not torch.is_inference_mode_enabled():
        return _default()
    # What is made in inference mode cannot be used with gradients: later callers may need them.
    return FacePipeline.from_pretrained(model)


@functools.lru_cache(maxsize=1)
def _default() -> FacePipeline:
    return FacePipeline.from_pretrained(HOME)


@functools.lru_cache(maxsize=1)
def _rigged(template: Template, rig: Blendshapes) -> tuple[FacePoints, Response, np.ndarray]:
    """Return points, response and mirror images for the last template and its rig."""
    arrays = _landmark_arrays()
    points = FacePoints.of(template, load_modes(), rig, arrays["corners"].long(), arrays["shares"].float())
    return points, Response.unpack(arrays), mirrored_marks()


def mirrored_marks() -> np.ndarray:
    """Return the index of each landmark's mirror image, (478,) int64."""
    return _landmark_arrays()["mirror"].long().numpy()


@functools.lru_cache(maxsize=1)
def _landmark_arrays() -> dict[str, torch.Tensor]:
    return load_arrays(weights.verified(HOME, "landmarks"))
