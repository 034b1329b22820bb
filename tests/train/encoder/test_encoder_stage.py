"""Simulated clips match renders, and interrupted training on them resumes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from facekit.models.config import EncoderConfig
from facekit.models.encoder import Encoder
from facekit.motion.mapping import WORDS, tables
from facekit.reconstruct.encoded import Normaliser
from facekit.train.encoder.data import Renders, Simulator
from facekit.train.encoder.errors import Errors
from facekit.train.encoder.frames import ReadFrames
from facekit.train.encoder.losses import Losses
from facekit.train.encoder.stage import Material, calibrate, trained
from facekit.train.photos.response import identity_of
from tests.train.photos.test_response import frames_of, model  # noqa: F401  # a fixture

SMALL = dataclasses.replace(EncoderConfig(), width=16, hidden=16, layers=1, temporal=1, queries=4)
#: The network's gain of identity, its errors of identity (partly a person's own) and of blendshapes, and what it says
#: of them.
GAIN, OWN, NEW, SHAPES = 0.6, 0.3, 0.4, 0.05


@pytest.fixture(scope="module")
def read(model) -> ReadFrames:  # noqa: F811
    frames = frames_of(model, 80, noise=0.4)
    rng, people = np.random.default_rng(8), frames.person.numpy()
    identity = identity_of(frames, model.points)
    own = OWN * rng.normal(size=(people.max() + 1, identity.shape[1]))
    told = GAIN * identity + own[people] + NEW * rng.normal(size=identity.shape)
    shapes = frames.blendshapes.numpy() + SHAPES * rng.normal(size=frames.blendshapes.shape)
    spreads = ((frames.points[..., 0], 0.4), (told, 0.5), (shapes, SHAPES))
    points, unsure, sure = (np.full(like.shape, size) for like, size in spreads)
    columns = (torch.from_numpy(column).float() for column in (points, told, unsure, shapes.clip(0, 1), sure))
    return ReadFrames.of(frames, frames.points, *columns)


@pytest.fixture(scope="module")
def material(model, read) -> Material:  # noqa: F811
    errors = Errors.measured(read, model.points)
    simulator = Simulator(model.points, errors, tables()["expressions", "blendshapes"].weights)
    recipes = tables()["units", "blendshapes"].weights[[WORDS["units"].index(unit) for unit in SMALL.units]]
    losses = Losses(model.points, recipes, tables()["blendshapes", "units"].weights, SMALL.units)
    return Material(simulator, Renders(read, model.points, Normaliser(model.points), model.mirror), losses)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_seed_is_a_clip(material):
    first, second = (material.simulator.clips(3, 4, seeded()) for _ in range(2))
    for name in ("offsets", "scores", "reading", "unsure"):
        assert torch.equal(getattr(first.seen, name), getattr(second.seen, name))
    assert first.seen.offsets.shape == (3, 4, 478, 2) and first.seen.reading.shape == (3, 4, 132)
    assert not torch.equal(first.seen.offsets, material.simulator.clips(3, 4, seeded(4)).seen.offsets)


def test_simulated_readings_err_like_measured_ones(material, model):  # noqa: F811
    """Gain, and the parts of the errors that a person keeps and that are new in every picture."""
    simulated = material.simulator.clips(300, 4, seeded(5))
    still = ~simulated.moving
    told, true = simulated.seen.reading[still][..., :80], simulated.identity[still][:, None]
    gain = float((told * true).mean() / true.square().mean())
    off = told - gain * true
    kept = float((off.mean(dim=1).var() - off.var(dim=1).mean() / 4).sqrt())
    assert abs(gain - GAIN) < 0.08 and 0.6 * OWN < kept < 1.6 * OWN
    assert 0.7 * NEW < float(off.var(dim=1).mean().sqrt()) < 1.5 * NEW
    away = simulated.seen.reading[..., 80:] - simulated.shapes
    assert float(away.square().mean().sqrt()) < 2 * SHAPES
    naive = Simulator(model.points, material.simulator.errors.naive(80), material.simulator.table)
    plain = naive.clips(300, 1, seeded(5))
    assert (
        abs(float((plain.seen.reading[:, 0, :80] * plain.identity).mean() / plain.identity.square().mean()) - 1) < 0.05
    )


def test_mirrored_twice_is_the_same(material, model):  # noqa: F811
    clips = material.renders.clips(material.renders.people[:5], 2, None)
    again = material.renders.mirrored(material.renders.mirrored(clips))
    torch.testing.assert_close(again.seen.offsets, clips.seen.offsets)
    torch.testing.assert_close(again.seen.pose, clips.seen.pose)
    off = (again.identity - clips.identity).double().numpy() @ model.points.modes.reshape(-1, 80).T
    assert np.abs(off).mean() < 0.15  # mm: the modes mirror in part


def test_simulated_landmarks_lie_where_rendered_ones_do(material):
    """Both are made with the same response: offsets have the same magnitude, rotations the same sign and spread."""
    simulated = material.simulator.clips(400, 1, seeded())
    ratio = simulated.seen.offsets.square().mean().sqrt() / material.renders.offsets.square().mean().sqrt()
    assert 0.7 < float(ratio) < 1.5
    assert abs(float(simulated.seen.pose[..., 0].mean())) < 0.1 and 0.3 < float(simulated.seen.pose[..., 0].std()) < 0.6


def test_motions_are_smooth_and_stills_are_not(material):
    clips = material.simulator.clips(60, 8, seeded())
    away = clips.seen.pose.diff(dim=1).square().mean(dim=(1, 2)).sqrt()
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
        told = whole(clips.seen)
    assert float((told.shapes - clips.shapes).square().mean()) < 0.8 * float(clips.shapes.var(dim=0).mean())
    assert float((told.identity - clips.identity).square().mean()) < 0.95
    calibrate(whole, material)
    np.testing.assert_allclose(calibrate(whole, material), 1.0, atol=0.1)  # a second time changes nothing


def test_every_loss_falls_to_the_truth(material):
    clips = material.simulator.clips(4, 3, seeded())
    with torch.no_grad():
        told = Encoder(SMALL)(clips.seen)
    true = dataclasses.replace(told, shapes=clips.shapes, identity=clips.identity)
    off, right = material.losses(told, clips), material.losses(true, clips)
    for name in ("expression", "person", "shapes", "units"):
        assert float(right[name]) == 0 < float(off[name])
    assert float(right["sure"]) < float(off["sure"])
