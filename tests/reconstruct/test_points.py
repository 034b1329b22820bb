"""The rig at the landmarker's points: equal to the mesh, with correct derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit import weights
from facekit.conventions import BLENDSHAPES
from facekit.files.readers import load_arrays
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS
from tests.reconstruct.conftest import weights_of

POSES = {
    "smile": weights_of(mouthSmileLeft=0.8, mouthSmileRight=0.6, cheekSquintLeft=0.4),
    "closed": weights_of(eyeBlinkLeft=0.9, eyeBlinkRight=0.8, eyeLookDownLeft=0.3, eyeLookDownRight=0.3),
    "glance": weights_of(eyeLookOutLeft=0.6, eyeLookInRight=0.6, eyeLookUpLeft=0.2, eyeLookUpRight=0.2, jawOpen=0.4),
    "closing": weights_of(jawOpen=0.3, mouthClose=0.5),
}


@pytest.mark.parametrize("pose", POSES)
def test_points_lie_where_the_mesh_has_them(default_pipeline, photo_model, pose):
    """Except for contact, which only the mesh has."""
    rng = np.random.default_rng(1)
    identity = rng.normal(size=len(photo_model.modes)) * 0.7
    template, rig = default_pipeline.template, default_pipeline.blendshapes
    neutral = photo_model.neutral(template.verts, torch.from_numpy(identity))[None]
    code = torch.from_numpy(POSES[pose]).float()[None]
    verts = (neutral + rig(code, neutral))[0]
    arrays = load_arrays(weights.verified("default", "landmarks"))
    wanted = (verts[arrays["corners"].long()] * arrays["shares"][..., None]).sum(dim=1)
    places, _, _ = photo_model.points(identity, POSES[pose])
    assert np.abs(places - wanted.double().numpy()).max() < 0.02


@pytest.mark.parametrize("pose", POSES)
def test_derivatives_are_those_of_the_places(photo_model, pose):
    rng = np.random.default_rng(2)
    identity, step = rng.normal(size=len(photo_model.modes)) * 0.5, 1e-5
    held = POSES[pose].copy()
    held[BLENDSHAPES.index("jawOpen")] += 0.01  # off the corner at which mouthClose sets in
    _, by_identity, by_weights = photo_model.points(identity, held)

    def change(a: np.ndarray, w: np.ndarray) -> np.ndarray:
        ahead, behind = photo_model.points(identity + a, held + w)[0], photo_model.points(identity - a, held - w)[0]
        return (ahead - behind) / (2 * step)

    none = np.zeros(52)
    for mode in (0, 3, 40):
        moved = change(step * np.eye(len(identity))[mode], none)
        np.testing.assert_allclose(by_identity[..., mode], moved, atol=1e-5)
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft", "eyeLookOutLeft", "eyeLookDownRight", "mouthClose"):
        k = BLENDSHAPES.index(name)
        moved = change(np.zeros_like(identity), step * np.eye(52)[k])
        np.testing.assert_allclose(by_weights[..., k], moved, atol=5e-3)


def test_irises_turn_with_the_gaze_and_nothing_else(photo_model):
    identity = np.zeros(len(photo_model.modes))
    rest, _, _ = photo_model.points(identity, np.zeros(52))
    turned, _, _ = photo_model.points(identity, weights_of(eyeLookOutLeft=1.0, jawOpen=1.0))
    moved = np.linalg.norm(turned - rest, axis=1)
    assert moved[list(LEFT_IRIS)].min() > 4 and moved[list(RIGHT_IRIS)].max() < 1e-9
