"""The response is measured in the units and rotations that the fit uses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.pipeline import FacePipeline
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.response import seen_from, upright
from facekit.reconstruct.unknowns import rotation_of
from facekit.train.photos import response
from facekit.train.photos.frames import Frames

SIZE = 448


@pytest.fixture(scope="module")
def model() -> PhotoModel:
    return PhotoModel.of(FacePipeline.from_pretrained(device="cpu"))


def frames_of(model: PhotoModel, count: int, noise: float) -> Frames:
    """Frames that a landmarker with the shipped response would make, with independent noise in mm."""
    rng, rows = np.random.default_rng(3), []
    for number in range(count):
        identity = rng.normal(size=80)
        weights = rng.uniform(0, 0.6, 52) * (rng.random(52) < 0.15)
        yaw, pitch, roll = np.deg2rad(rng.uniform((-40, -15, -15), (40, 15, 15)))
        rotation = rotation_of(np.array([0, 0, roll])) @ rotation_of(np.array([pitch, 0, 0]))
        rotation = rotation @ rotation_of(np.array([0, yaw, 0]))
        shift, focal = np.array([*rng.normal(0, 10, 2), -rng.uniform(450, 1300)]), 900.0
        posed = model.points(identity, weights)[0]
        camera = posed @ rotation.T + shift
        scale = focal / -shift[2]
        bias = model.response.bias(*seen_from(rotation, shift), weights, identity) + rng.normal(0, noise, (478, 2))
        seen = focal * camera[:, :2] / -camera[:, 2:] + scale * bias @ upright(rotation)
        rows.append(
            {
                "person": np.array(number // 4),
                "points": seen * (1, -1) + SIZE / 2,
                "scores": weights,
                "matrices": rotation,
                "posed": posed,
                "neutral": model.points.neutral(identity),
                "blendshapes": weights,
                "rotation": rotation,
                "translation": shift,
                "focal": np.array(focal),
            }
        )
    fields = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    fields = {name: v if name == "person" else v.float() for name, v in fields.items()}
    return Frames(size=torch.tensor(SIZE), **fields)


def test_what_frames_were_made_with_is_found_again(model, tmp_path):
    frames = frames_of(model, 900, noise=0.4)
    frames.save(tmp_path / "frames.npz")
    frames = Frames.load(tmp_path / "frames.npz")
    found = response.measured(frames, model.points)
    rng = np.random.default_rng(9)
    missed, wanted = [], []
    for _ in range(20):
        identity, weights = rng.normal(size=80), rng.uniform(0, 0.5, 52) * (rng.random(52) < 0.15)
        yaw, pitch = np.deg2rad(rng.uniform((-35, -12), (35, 12))).tolist()
        distance = rng.uniform(500, 1200)
        true = model.response.bias(yaw, pitch, distance, weights, identity)
        missed.append(found.bias(yaw, pitch, distance, weights, identity) - true)
        wanted.append(true)
    assert np.sqrt(np.mean(np.square(missed))) < 0.35 * np.sqrt(np.mean(np.square(wanted)))
    # Noise of 0.4 mm, and what a regression of so many features on so few frames adds.
    assert 0.35 < np.median(found.sigma) < 0.75
    assert float(found.constant) < 0.35


def test_scores_that_are_the_truth_are_believed(model):
    found = response.measured(frames_of(model, 300, noise=0.4), model.points)
    rise = np.diag(found.scores[1:])
    assert np.median(rise) > 0.5 and found.missed.shape == (52, 52)


def test_frames_are_joined_and_picked(model):
    frames = frames_of(model, 6, noise=0.0)
    both = Frames.cat([frames, frames])
    assert len(both) == 12 and torch.equal(both[torch.tensor([7])].points, frames.points[1:2])
    true = frames.projected(frames.posed)
    assert true.shape == (6, 478, 2) and float((frames.points - true).norm(dim=-1).mean()) > 0.5
