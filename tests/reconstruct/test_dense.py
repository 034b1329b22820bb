"""Looking again: crops lie where the head does, and what the network says comes back as pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import CROP, CROP_MM, UNIT, DenseLandmarks
from facekit.reconstruct.dense import Frame, Looker, cropped, mirrored_pose, standardised
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


def test_a_mirrored_head_has_the_mirrored_pose(photo_model):
    normaliser, mirror = Normaliser(photo_model.points), photo_model.mirror
    points = torch.from_numpy(points_of(photo_model, turn=0.2, yaw=0.5)).float()[None]
    flipped = torch.stack((SIZE[1] - points[0, mirror, 0], points[0, mirror, 1]), dim=1)[None]
    (off, pose), (off_flipped, pose_flipped) = normaliser(points, SIZE), normaliser(flipped, SIZE)
    torch.testing.assert_close(mirrored_pose(pose), pose_flipped, atol=0.06, rtol=0)
    away = off[:, mirror] * torch.tensor([-1.0, 1.0]) - off_flipped
    assert float(away.abs().median()) < 0.2


class Upward(torch.nn.Module):
    """Says of every point that it lies half a unit higher, and is known to a unit."""

    def forward(self, crops, places, offsets, pose):
        moved = torch.zeros_like(places)
        moved[..., 1] = 0.5
        return moved, torch.zeros(places.shape[:2])


def test_what_is_said_in_the_crop_is_done_in_the_picture(photo_model):
    points = points_of(photo_model, turn=0.5)
    face = FaceLandmarks(points, {}, np.eye(4))
    looker = Looker(photo_model.points, photo_model.mirror, Upward())  # pyright: ignore[reportArgumentType]
    again = looker(np.zeros((*SIZE, 3), np.uint8), face)
    moved = again.points - points
    np.testing.assert_allclose(
        moved, np.broadcast_to(0.5 * UNIT * 2.0 * np.array([np.sin(0.5), -np.cos(0.5)]), moved.shape), atol=0.02
    )
    assert again.spread is not None
    np.testing.assert_allclose(again.spread, UNIT)


def test_brightness_and_contrast_tell_nothing():
    crops = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(standardised(crops), standardised(0.4 * crops + 0.1))


def test_the_network_reads_points_where_they_are():
    """A point's reading changes with the picture around it, and hardly with another corner of the crop."""
    torch.manual_seed(0)
    network = DenseLandmarks(DenseConfig(widths=(4, 4, 4), blocks=(1, 1, 1), hidden=8))
    with torch.no_grad():
        network.scale.fill_(1.0)
        network.mix[2].get_parameter("weight").zero_()
    places = torch.full((1, 478, 2), -0.6)
    rest = torch.zeros(1, 478, 2), torch.zeros(1, 6)
    crop = torch.zeros(1, 3, CROP, CROP)
    near, far = crop.clone(), crop.clone()
    near[..., 16:36, 16:36] = 1.0
    far[..., 92:112, 92:112] = 1.0
    with torch.no_grad():
        nothing, here, there = (network(one, places, *rest)[0] for one in (crop, near, far))
    assert float((here - nothing).norm()) > 2 * float((there - nothing).norm())
