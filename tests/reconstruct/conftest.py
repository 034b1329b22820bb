"""The embedded model's points and response, and landmarks simulated with them instead of a landmarker."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from facekit.conventions import BLENDSHAPES
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.response import seen_from, upright
from facekit.reconstruct.unknowns import View, rotation_of


@pytest.fixture(scope="session")
def photo_model(default_pipeline) -> PhotoModel:
    return PhotoModel.of(default_pipeline)


@pytest.fixture(scope="session")
def sharp(photo_model) -> PhotoModel:
    """The same with a landmarker of little noise, like that of the points below."""
    response = dataclasses.replace(photo_model.response, sigma=0.2 * photo_model.response.sigma)
    return dataclasses.replace(photo_model, response=response)


@dataclass(frozen=True)
class Shot:
    """A view with its ground truth."""

    view: View
    weights: np.ndarray
    rotation: np.ndarray
    focal: float


def shot(
    model, identity, weights, *, yaw=0.0, focal=1800.0, distance=800.0, noise=0.0, seed=0, size=(800, 1000)
) -> Shot:
    """Simulate the landmarker's points of a face with the response, with noise, in a picture of a given size."""
    rotation = rotation_of(np.array([0.05, yaw, 0.03]))
    shift = np.array([12.0, -9.0, -distance])
    places = model.points(identity, weights)[0] @ rotation.T + shift
    mm = places[:, :2] * (distance / -places[:, 2:])
    seen = mm @ upright(rotation).T + model.response.bias(*seen_from(rotation, shift), weights, identity)
    # Errors as the landmarker makes them, correlated from point to point, but ``noise`` times as large.
    rng, response = np.random.default_rng(seed), model.response
    error = response.factor @ rng.normal(size=response.factor.shape[1]) + np.sqrt(response.own) * rng.normal(size=956)
    seen = seen + noise * error.reshape(478, 2) * response.sigma[:, None]
    principal = np.array([size[1] / 2, size[0] / 2])
    points = (seen @ upright(rotation)) * (focal / distance) * (1, -1) + principal
    start = rotation_of(np.array([0.1, yaw + 0.1, 0.0]))
    # The scores let expect about what is there.
    expected = (weights + np.random.default_rng(seed + 1).normal(0, 0.05, 52)).clip(0, 1)
    view = View(points, start, size, principal, expected, model.response.certainty(1.6), camera=0)
    return Shot(view, weights, rotation, focal)


def weights_of(**named: float) -> np.ndarray:
    """Blendshapes (52,) by name."""
    weights = np.zeros(len(BLENDSHAPES))
    for name, value in named.items():
        weights[BLENDSHAPES.index(name)] = value
    return weights
