"""Refinement of landmarks: crops follow the head, and the network's output is mapped back to pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import BLENDSHAPES
from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import CROP, CROP_MM, UNIT, DenseLandmarks, DenseOutput
from facekit.reconstruct.dense import Frame, LandmarkRefiner, cropped, standardised, swapped
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import FaceLandmarks

cv2 = pytest.importorskip("cv2")
SIZE = (600, 800)


def points_of(model, *, turn=0.0, yaw=0.0, scale=2.0, middle=(420.0, 280.0)) -> np.ndarray:
    """The mean head's points (478, 2) without perspective, rolled clockwise by ``turn`` radians."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    flat = (model.points.base @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T)[:, :2] * (1, -1) * scale
    cos, sin = np.cos(turn), np.sin(turn)
    return flat @ np.array([[cos, -sin], [sin, cos]]).T + middle


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.5])
def test_a_crop_is_upright_and_of_one_size(photo_model, turn):
    normaliser = Normaliser(photo_model.points)
    points = points_of(photo_model, turn=turn)
    frame = Frame.of(points, normaliser)
    assert frame.scale == pytest.approx(2.0, rel=1e-3)
    matrix = frame.matrix()
    placed = points @ matrix[:, :2].T + matrix[:, 2]
    expected = points_of(photo_model, scale=CROP / CROP_MM, middle=(0.0, 0.0))
    inner = normaliser.inner.numpy()
    expected += CROP / 2 - expected[inner].mean(axis=0)
    np.testing.assert_allclose(placed, expected, atol=0.05)
    assert placed.min() > 2 and placed.max() < CROP - 2, "the face is in the crop"


@pytest.mark.parametrize("scale", [0.4, 2.0, 9.0])
def test_a_spot_lies_where_the_matrix_says(scale):
    picture = np.zeros((*SIZE, 3), np.uint8)
    spot, radius = np.array([330.5, 260.5]), max(2, round(2 * scale))
    cv2.circle(picture, (330, 260), radius, (255, 255, 255), -1)
    frame = Frame(np.array([330.0 - 6 * scale, 260.0 + 9 * scale]), scale, np.array([0.6, -0.8]))
    matrix = frame.matrix()
    crop = cropped(picture, matrix)[..., 0].astype(float)
    y, x = np.mgrid[:CROP, :CROP] + 0.5
    middle = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(middle, matrix[:, :2] @ spot + matrix[:, 2], atol=0.35)


class Still(torch.nn.Module):
    """A network that always predicts the mean head's points, 4 mm below the crop's centre."""

    def __init__(self, base: np.ndarray, modes: int) -> None:
        super().__init__()
        self.base, self.modes = torch.from_numpy(base).float(), modes

    def forward(self, crops):
        count = len(crops)
        points = (self.base + torch.tensor([0.0, 4.0])).expand(count, -1, -1) / UNIT
        shapes = torch.zeros(count, 52)
        shapes[0, BLENDSHAPES.index("eyeBlinkLeft")] = 0.8  # in the crop; nothing in the mirrored one
        identity = torch.ones(count, self.modes)
        return DenseOutput(points, points, torch.zeros(count, 478), identity, 0 * identity, shapes, 0 * shapes)


def test_what_is_said_in_the_crop_is_done_in_the_picture(photo_model):
    base = points_of(photo_model, scale=1.0, middle=(0.0, 0.0))
    inner = Normaliser(photo_model.points).inner.numpy()
    base -= base[inner].mean(axis=0)
    network = Still(base, photo_model.points.modes.shape[-1])
    refiner = LandmarkRefiner(photo_model.points, photo_model.mirror, network)  # pyright: ignore[reportArgumentType]
    points = points_of(photo_model, turn=0.5)
    again = refiner(np.zeros((*SIZE, 3), np.uint8), FaceLandmarks(points, {}, np.eye(4)))
    # Each of both looks goes 4 mm further down the turned head; the landmarker's points have their share.
    expected = 0.4 * 2 * 4.0 * 2.0 * np.array([-np.sin(0.5), np.cos(0.5)])
    moved = (again.points - points)[inner].mean(axis=0)
    np.testing.assert_allclose(moved, expected, atol=0.4)
    assert again.spread is not None and again.reading is not None
    np.testing.assert_allclose(again.spread, UNIT)
    shapes = dict(zip(BLENDSHAPES, again.reading.shapes, strict=True))
    assert shapes["eyeBlinkLeft"] == pytest.approx(0.4) and shapes["eyeBlinkRight"] == 0


def test_sides_are_swapped():
    partner = [BLENDSHAPES[k] for k in swapped()]
    pairs = dict(zip(BLENDSHAPES, partner, strict=True))
    assert pairs["jawLeft"] == "jawRight" and pairs["eyeLookInRight"] == "eyeLookInLeft"
    assert pairs["browInnerUp"] == "browInnerUp"


def test_brightness_and_contrast_tell_nothing():
    crops = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(standardised(crops), standardised(0.4 * crops + 0.1))


def test_the_network_reads_points_where_it_found_them():
    """Its second finding changes with the picture around the points, and hardly with another corner of the crop."""
    torch.manual_seed(0)
    network = DenseLandmarks(
        DenseConfig(widths=(4, 4, 4, 4), blocks=(1, 1, 1, 1), squeezed=1, hidden=2, seen=4, local=2, gathered=2)
    ).eval()
    with torch.no_grad():
        network.scale.fill_(1.0)
        network.second.weight.zero_()
        network.first.bias.fill_(-0.6 * CROP_MM / 2 / UNIT)
        network.first.weight.zero_()
    crop = torch.zeros(1, 3, CROP, CROP)
    near, far = crop.clone(), crop.clone()
    near[..., 24:54, 24:54] = 1.0
    far[..., 138:168, 138:168] = 1.0
    with torch.no_grad():
        nothing, here, there = (network(one).points for one in (crop, near, far))
    assert float((here - nothing).norm()) > 1.4 * float((there - nothing).norm())
