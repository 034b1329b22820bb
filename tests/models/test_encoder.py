"""The action-unit transformer: any number of frames, stills in any order, and invisible frames are ignored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from facekit.conventions import BLENDSHAPES
from facekit.models.config import EncoderConfig
from facekit.models.encoder import POSE, Encoder, Observed
from facekit.reconstruct.encoded import Normaliser, Reader
from facekit.reconstruct.landmarker import FaceLandmarks, Reading
from tests.reconstruct.conftest import photo_model, shot, weights_of  # noqa: F401  # a fixture


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(1)
    model = Encoder(dataclasses.replace(EncoderConfig(), width=32, hidden=32, layers=1))
    for parameter in model.parameters():  # heads begin at zero
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def clip(count: int) -> Observed:
    g = torch.Generator().manual_seed(2)
    sizes = ((478, 2), (52,), (POSE,), (132,), (132,))
    seen = [torch.randn(2, count, *size, generator=g) for size in sizes]
    return Observed(*seen, times=10.0 * torch.arange(count).expand(2, -1), visible=torch.ones(2, count))


@pytest.mark.parametrize("count", [1, 3, 16])
def test_shapes(encoder, count):
    told = encoder(clip(count))
    assert told.shapes.shape == told.shapes_spread.shape == (2, count, 52)
    assert told.identity.shape == told.identity_spread.shape == (2, 80)


def test_the_order_of_frames_is_that_of_their_times(encoder):
    given = clip(4)
    turned = Observed(**{f.name: getattr(given, f.name).flip(1) for f in dataclasses.fields(given)})
    first, second = encoder(given), encoder(turned)
    torch.testing.assert_close(first.identity, second.identity, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(first.shapes, second.shapes.flip(1), atol=1e-4, rtol=1e-4)


def test_what_is_not_seen_does_not_count(encoder):
    given = clip(3)
    given.visible[:, 2] = 0.0
    other = dataclasses.replace(given, offsets=given.offsets.clone(), reading=given.reading.clone())
    other.offsets[:, 2] += 5.0
    other.reading[:, 2] += 5.0
    first, second = encoder(given), encoder(other)
    torch.testing.assert_close(first.identity, second.identity, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first.shapes[:, :2], second.shapes[:, :2], atol=1e-3, rtol=1e-3)


def test_the_mean_head_has_no_offsets_in_any_pose(photo_model):  # noqa: F811
    """Offsets are invariant to shift, scale and rotation in the picture."""
    points = torch.from_numpy(shot(photo_model, np.zeros(80), np.zeros(52)).view.points)[None].float()
    normaliser = Normaliser(photo_model.points)
    offsets, pose = normaliser(points, (800, 1000))
    angle = np.deg2rad(20)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).float()
    moved, again = normaliser((points @ turn.T) * 0.5 + 30, (400, 500))
    torch.testing.assert_close(offsets, moved, atol=2e-3, rtol=0)
    torch.testing.assert_close(pose[:, :2], again[:, :2], atol=1e-3, rtol=0)
    assert float(offsets.square().mean().sqrt()) < 1.2


def test_the_embedded_one_sees_smiles_and_shut_eyes(photo_model):  # noqa: F811
    smile = weights_of(mouthSmileLeft=0.8, mouthSmileRight=0.8)
    shut = weights_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    identity = np.random.default_rng(5).normal(size=80).clip(-2, 2)
    faces = []
    for weights in (np.zeros(52), smile, shut):
        seen = shot(photo_model, identity, weights, noise=0.5)
        scores = dict(zip(BLENDSHAPES, (0.6 * weights).tolist(), strict=True))
        told = Reading(0.6 * identity, np.full(80, 0.6), 0.8 * weights, np.full(52, 0.06))
        faces.append(FaceLandmarks(seen.view.points, scores, np.eye(4), reading=told))
    reader = Reader(photo_model.points)
    told = reader(faces, [(800, 1000)] * 3, [0.0, 10.0, 20.0])
    smiles, lids = (told.shapes[:, BLENDSHAPES.index(name)] for name in ("mouthSmileLeft", "eyeBlinkLeft"))
    assert smiles[1] > 0.3 > smiles[0] + 0.1 and lids[2] > 0.6 > lids[0] + 0.3
    assert np.corrcoef(told.identity, identity)[0, 1] > 0.3 and (told.deviation > 0).all()
    many = reader.stills(faces * 7, [(800, 1000)] * 21)
    assert many.shapes.shape == (21, 52) and np.abs(many.identity - told.identity).mean() < 0.2
    applied = told.applied(faces)[1].reading
    assert applied is not None and np.array_equal(applied.shapes, told.shapes[1])
    with pytest.raises(ValueError, match="refined"):
        reader.stills([FaceLandmarks(faces[0].points, {}, np.eye(4))], [(800, 1000)])
