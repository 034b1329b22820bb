"""Pictures are changed but not their points; the network learns from them, and goes on where it stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import CROP, UNIT, DenseLandmarks
from facekit.reconstruct.encoded import Normaliser
from facekit.train.landmarks.data import Samples, changed
from facekit.train.landmarks.stage import loss, trained, watch
from facekit.train.landmarks.studio import SIZE
from facekit.train.photos import response
from tests.train.photos.test_response import frames_of, model  # noqa: F401  # a fixture

cv2 = pytest.importorskip("cv2")
SMALL = DenseConfig(widths=(8, 8, 8), blocks=(1, 1, 1), hidden=8)


@pytest.fixture(scope="module")
def samples(model, tmp_path_factory) -> Samples:  # noqa: F811
    """Discs, whose points are thought to lie up to 6 mm lower or higher than they do: the picture tells which."""
    path, rng = tmp_path_factory.mktemp("landmarks") / "pictures.npz", np.random.default_rng(0)
    flat = model.points.base[:, :2] * (1, -1)
    true = np.tile(flat * 0.85 + SIZE / 2, (48, 1, 1))
    off = rng.uniform(-6, 6, (48, 1, 1)) * 0.85
    pixels = np.full((48, SIZE, SIZE, 3), 40, np.uint8)
    for picture, places, away in zip(pixels, true, off, strict=True):
        cv2.ellipse(picture, (128, 128), (60, 80), 0, 0, 360, (200, 160, 140), -1)
        places += away * (0, 1)  # the face itself has moved, the guess stays
        picture[:] = np.roll(picture, int(np.round(away[0, 0])), axis=0)
    np.save(path.with_suffix(".npy"), pixels)
    guess = np.tile(flat * 0.85 + SIZE / 2, (48, 1, 1))
    np.savez(path, points=guess.astype(np.float32), true=true.astype(np.float32))
    return Samples([path], Normaliser(model.points), model.mirror)


def test_targets_are_mm_from_the_guess_to_the_truth(samples):
    batch = samples.batch(np.arange(3), None)
    assert batch.crops.shape == (3, 3, CROP, CROP) and batch.target.shape == (3, 478, 2)
    expected = (samples.true[:3] - samples.points[:3]) * (1, -1) / samples.frames[0].scale / UNIT
    np.testing.assert_allclose(batch.target.numpy(), expected, atol=1e-4)


def test_a_seed_is_a_batch_and_jitter_moves_truth_with_the_crop(samples):
    first, second = (samples.batch(np.arange(8), np.random.default_rng(4)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.given, second.given, strict=True))
    plain = samples.batch(np.arange(8), None)
    assert not torch.equal(first.places, plain.places)
    # Whatever was done to the crop, the face is as far from the guess as it was: jitter and zoom apart.
    away = first.target.norm(dim=-1).median(dim=1).values - plain.target.norm(dim=-1).median(dim=1).values
    assert float(away.abs().max()) * UNIT < 1.5


def test_changes_are_of_colours_alone_and_all_of_them_keep_size(samples):
    picture = np.asarray(samples.pixels[0][0])[48:208, 48:208]
    seen = [changed(picture, np.random.default_rng(k)) for k in range(30)]
    assert all(one.shape == picture.shape and one.dtype == np.uint8 for one in seen)
    assert np.mean([np.abs(one.astype(float) - picture).mean() > 1 for one in seen]) > 0.8
    # All together the face's edges, left and right, stand where they stood.
    slope = np.abs(np.diff(np.mean(seen, axis=0)[80].mean(axis=1)))
    true = np.abs(np.diff(picture[80].astype(float).mean(axis=1)))
    for half in (slice(0, 80), slice(80, 160)):
        assert abs(int(slope[half].argmax()) - int(true[half].argmax())) < 3


def test_the_picture_is_learned_and_training_resumes(samples, tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    torch.manual_seed(0)
    first, second = DenseLandmarks(SMALL), DenseLandmarks(SMALL)
    second.load_state_dict(first.state_dict())
    whole = trained(first, samples, tmp_path / "whole", 6)
    trained(second, samples, tmp_path / "parts", 3, total=6)
    resumed = trained(second, samples, tmp_path / "parts", 6)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    before, after, *_ = watch(whole, samples, np.arange(8))
    assert np.isfinite(after) and before == pytest.approx(
        float(np.abs(samples.true - samples.points)[:8, :, 1].mean()) / samples.frames[0].scale, rel=0.02
    )


def test_the_loss_is_least_at_the_truth_and_its_own_spread():
    target = torch.randn(4, 478, 2, generator=torch.Generator().manual_seed(0)) * 0.5
    nothing = torch.zeros_like(target)

    def at(spread: float, moved: torch.Tensor = nothing) -> float:
        log = torch.full((4, 478), float(np.log(spread)))
        return float(loss(moved, log, target) / log.exp().mean())

    assert at(0.5) < min(at(0.3), at(0.8))
    assert at(0.5, target) < at(0.5)


def test_deviations_that_come_with_points_are_measured_as_factors(model):  # noqa: F811
    frames = frames_of(model, 300, noise=0.4)
    told = np.full((300, 478), 0.2)
    found = response.measured(frames, model.points, told)
    assert 1.8 < float(np.median(found.sigma)) < 4.0, "0.4 mm and what the regression adds, over 0.2"
    assert np.allclose(found.growth, 1.0)
