"""Augmentation changes pictures but not their landmarks; the network learns, and interrupted training resumes."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
import torch

from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import CROP, CROP_MM, UNIT
from facekit.train.landmarks import stage
from facekit.train.landmarks.augment import changed, compressed
from facekit.train.landmarks.data import Samples
from facekit.train.landmarks.stage import loss, new_network, trained, watch
from facekit.train.landmarks.studio import SIZE
from facekit.train.photos import response
from tests.train.photos.test_response import frames_of, model  # noqa: F401  # a fixture

cv2 = pytest.importorskip("cv2")
SMALL = DenseConfig(
    widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), squeezed=4, hidden=8, seen=4, local=2, gathered=8, modes=80
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shard(model, tmp_path_factory):  # noqa: F811
    """Cut-out discs that lie some mm aside, and their points with them."""
    path, rng = tmp_path_factory.mktemp("landmarks") / "pictures.npz", np.random.default_rng(0)
    away = rng.uniform(-8, 8, (16, 1, 2))
    true = model.points.base[:, :2] * (1, -1) * 0.9 + SIZE / 2 + away
    pixels = np.zeros((16, SIZE, SIZE, 4), np.uint8)
    for picture, (shift,) in zip(pixels, away, strict=True):
        middle = tuple(int(v) for v in SIZE / 2 + shift)
        cv2.ellipse(picture, middle, (64, 86), 0, 0, 360, (200, 160, 140, 255), -1)
    np.save(path.with_suffix(".npy"), pixels)
    modes = model.points.modes.shape[-1]
    shapes = np.full((16, 52), np.nan)
    shapes[::2] = 0.25
    arrays = {"true": true, "identity": rng.normal(size=(16, modes)), "shapes": shapes}
    np.savez(path, **{name: array.astype(np.float32) for name, array in arrays.items()})
    return path


@pytest.fixture(scope="module")
def samples(model, shard) -> Samples:  # noqa: F811
    found = Samples(model, 16, CPU, rooms=3)
    found.add(shard)
    return found


def test_targets_are_where_the_points_are_in_the_crop(samples):
    batch = samples.batch(torch.arange(3), None)
    assert batch.crops.shape == (3, 3, CROP, CROP) and len(samples) == 16
    scale = samples.frames[:3, 2]
    apart = (samples.true[:3, 1:] - samples.true[:3, :-1]) / scale[:, None, None] / UNIT
    torch.testing.assert_close(batch.points[:, 1:] - batch.points[:, :-1], apart, atol=1e-3, rtol=0)


def test_a_seed_is_a_batch_and_points_move_with_the_disc(samples):
    first, second = (samples.batch(torch.arange(12), torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.crops, second.crops) and torch.equal(first.points, second.points)
    assert bool((first.shapes.isnan().all(1) == samples.shapes[:12].isnan().all(1)).all())
    # However it was turned, moved, mirrored and coloured, the disc lies around its points.
    index = torch.arange(12)
    plain = samples.batch(index, None)
    assert float((first.points - plain.points).abs().mean()) * UNIT > 2
    middle = first.points.mean(dim=1) * (UNIT * CROP / CROP_MM) + CROP / 2
    assert float((middle - CROP / 2).abs().max()) < CROP / 4


def test_a_mirrored_sample_is_the_mirrored_person(model, samples):  # noqa: F811
    weights = torch.randn(model.points.modes.shape[-1], generator=torch.Generator().manual_seed(2)) * 0.5
    modes = torch.from_numpy(model.points.modes).float()
    places = torch.from_numpy(model.points.base).float() + modes @ weights
    there = torch.from_numpy(model.points.base).float() + modes @ (samples.mirrored_identity @ weights)
    expected = places[samples.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert float((there - expected).norm(dim=1).median()) < 0.3 * float((places - expected).norm(dim=1).median() + 1)


def test_changes_are_of_colours_alone():
    disc = torch.zeros(24, 4, 96, 96)
    y, x = torch.meshgrid(torch.arange(96.0) - 48, torch.arange(96.0) - 48, indexing="ij")
    disc[:, :, (x**2 + y**2) < 900] = torch.tensor([0.8, 0.6, 0.5, 1.0])[:, None]
    behind = torch.full((24, 3, 96, 96), 0.2)
    seen = changed(disc, behind, torch.Generator().manual_seed(1))
    assert seen.shape == (24, 3, 96, 96) and float(seen.min()) >= 0 and float(seen.max()) <= 1
    plain = disc[:, :3] + behind * (1 - disc[:, 3:])
    assert float(((seen - plain).abs().mean(dim=(1, 2, 3)) > 0.01).float().mean()) > 0.8
    # All together the disc's edges stand where they stood.
    slope = seen.mean(dim=(0, 1))[48].diff().abs()
    for half, edge in ((slice(0, 47), 18), (slice(47, 95), 30)):
        assert abs(int(slope[half].argmax()) - edge) <= 2


def test_compression_is_coarser_where_it_is_told_so_and_keeps_flat_pictures():
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    little, much = (compressed(picture, torch.full((2, 1, 1, 1), q)) for q in (0.02, 2.0))
    assert float((little - picture).abs().mean()) < 0.3 * float((much - picture).abs().mean())
    flat = torch.full((1, 3, 16, 16), 0.5)
    torch.testing.assert_close(compressed(flat, torch.ones(1, 1, 1, 1)), flat, atol=0.02, rtol=0)


def test_it_begins_with_the_mean_head_and_training_resumes(model, samples, shard, tmp_path, monkeypatch):  # noqa: F811
    few = {"WATCHED": 1, "_ENOUGH": 1, "PART": 1, "SHOTS": 2, "VIEWS": 2, "_BATCH": 4, "_SMALLER": 1}
    for name, value in few.items():
        monkeypatch.setattr(stage, name, value)
    there: Future = Future()
    there.set_result(shard)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    torch.manual_seed(0)
    first, second = (new_network(model, CPU, SMALL) for _ in range(2))
    second.load_state_dict(first.state_dict())
    error, *_ = watch(first.eval(), samples, torch.arange(8))
    assert error < 8, "mm: the mean head's points, less what the disc lies aside"

    def fresh() -> Samples:
        return Samples(model, 32, CPU, rooms=3)

    whole = trained(first, fresh(), [there, there], tmp_path / "whole", 4)
    trained(second, fresh(), [there, there], tmp_path / "parts", 2, total=4)
    resumed = trained(second, fresh(), [there, there], tmp_path / "parts", 4)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    rows = (tmp_path / "whole" / "dense_log.csv").read_text().splitlines()
    assert rows[0].startswith("0,") and len(rows[0].split(",")) == 8


def test_the_loss_is_least_at_the_truth_and_its_own_spread(samples):
    batch = samples.batch(torch.arange(8), None)

    def at(spread: float, off: float = 0.5) -> float:
        log, one = float(np.log(spread)), torch.ones
        told = stage.DenseOutput(
            batch.points,
            batch.points + off,
            torch.full((8, 478), log),
            batch.identity + off,
            torch.full(batch.identity.shape, log),
            batch.shapes.nan_to_num() + off / 5,
            one(8, 52) * log,
        )
        return float(loss(told, batch)) / spread

    assert at(0.5) < min(at(0.35), at(0.7))
    assert at(0.5, 0.0) < at(0.5)


def test_deviations_that_come_with_points_are_measured_as_factors(model):  # noqa: F811
    frames = frames_of(model, 300, noise=0.4)
    told = np.full((300, 478), 0.2)
    found = response.measured(frames, model.points, told)
    assert 1.8 < float(np.median(found.sigma)) < 4.0, "0.4 mm and what the regression adds, over 0.2"
    assert np.allclose(found.growth, 1.0)
