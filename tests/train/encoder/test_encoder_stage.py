"""Simulated clips match renders, and interrupted training on them resumes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.models.config import EncoderConfig
from facekit.models.encoder import Encoder
from facekit.motion.mapping import WORDS, tables
from facekit.train.encoder.data import Renders, Simulator
from facekit.train.encoder.losses import Losses
from facekit.train.encoder.stage import Material, missed, trained
from tests.train.photos.test_response import frames_of, model  # noqa: F401  # a fixture

SMALL = dataclasses.replace(EncoderConfig(), width=16, hidden=16, layers=1, temporal=1, queries=4)


@pytest.fixture(scope="module")
def material(model) -> Material:  # noqa: F811
    frames = frames_of(model, 80, noise=0.4)
    simulator = Simulator(model.points, model.response, tables()["expressions", "blendshapes"].weights, frames)
    recipes = tables()["units", "blendshapes"].weights[[WORDS["units"].index(unit) for unit in SMALL.units]]
    losses = Losses(model.points, recipes, tables()["blendshapes", "units"].weights, SMALL.units)
    return Material(simulator, Renders(frames, model.points, simulator.normaliser), losses)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_seed_is_a_clip(material):
    first, second = (material.simulator.clips(3, 4, seeded()) for _ in range(2))
    assert torch.equal(first.offsets, second.offsets) and torch.equal(first.scores, second.scores)
    assert first.offsets.shape == (3, 4, 478, 2) and first.shapes.shape == (3, 4, 52)
    assert not torch.equal(first.offsets, material.simulator.clips(3, 4, seeded(4)).offsets)


def test_simulated_landmarks_lie_where_rendered_ones_do(material):
    """Both are made with the same response: offsets have the same magnitude, rotations the same sign and spread."""
    simulated = material.simulator.clips(400, 1, seeded())
    ratio = simulated.offsets.square().mean().sqrt() / material.renders.offsets.square().mean().sqrt()
    assert 0.7 < float(ratio) < 1.5
    assert abs(float(simulated.pose[..., 0].mean())) < 0.1 and 0.3 < float(simulated.pose[..., 0].std()) < 0.6


def test_motions_are_smooth_and_stills_are_not(material):
    clips = material.simulator.clips(60, 8, seeded())
    away = clips.pose.diff(dim=1).square().mean(dim=(1, 2)).sqrt()
    assert float(away[clips.moving].max()) < float(away[~clips.moving].min())
    assert bool((clips.shapes >= 0).all() and (clips.shapes <= 1).all())


def test_the_linear_path_beats_nothing_and_training_resumes(material, tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = trained(SMALL, material, tmp_path / "whole", 4, linear=2400)
    trained(SMALL, material, tmp_path / "parts", 2, total=4, linear=2400)
    resumed = trained(SMALL, material, tmp_path / "parts", 4, linear=2400)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    clips = material.simulator.clips(200, 1, seeded(9))
    with torch.no_grad():
        told = whole(*clips.given)
    assert float((told.shapes - clips.shapes).square().mean()) < 0.8 * float(clips.shapes.var(dim=0).mean())
    assert float((told.identity - clips.identity).square().mean()) < 0.95
    covariance = missed(whole, material)
    assert covariance.shape == (52, 52) and float(torch.linalg.eigvalsh(covariance).min()) > 0


def test_every_loss_falls_to_the_truth(material):
    clips = material.simulator.clips(4, 3, seeded())
    with torch.no_grad():
        told = Encoder(SMALL)(*clips.given)
    true = dataclasses.replace(told, shapes=clips.shapes, identity=clips.identity)
    off, right = material.losses(told, clips), material.losses(true, clips)
    for name in ("expression", "person", "shapes", "units"):
        assert float(right[name]) == 0 < float(off[name])
    assert float(right["sure"]) < float(off["sure"])
