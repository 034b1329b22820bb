"""Metrics of a composed atlas, on pictures with known results."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.geometry.charts import landmark_uvs, to_pixels
from facekit.metrics.composition import (
    FOUND,
    find_landmarks,
    landmark_offset,
    neck_mismatch,
    regions,
    seam_step,
    stain_share,
)
from facekit.metrics.texture import delta_e
from tests.models.composers.facemask import SKIN, face_tile, facemask

ROWS, COLUMNS = (51, 667), (204, 820)


@pytest.fixture(scope="module")
def template():
    return facemask()


@pytest.fixture(scope="module")
def found(template):
    return regions(template, template.parts, PARTS.index("neck"))


@pytest.fixture
def plain():
    return SKIN[None, :, None, None].expand(2, -1, 1024, 1024).clone()


def test_regions_lie_where_the_face_has_them(template, found):
    y, x = found.ring.nonzero().float().mean(0)
    eyes = to_pixels(landmark_uvs(template)[36:48], 1024).mean(0)
    assert (x - eyes[0]).abs() < 3 and (y - eyes[1]).abs() < 6
    assert not (found.ring & ~found.covered).any()
    assert found.neck.nonzero()[:, 0].min() > 1024 * 0.66
    assert found.cheeks.any() and not (found.cheeks & found.ring).any()


def test_an_even_picture_has_nothing_to_mend(plain, found):
    assert (seam_step(plain, ROWS, COLUMNS, found.covered) < 1e-3).all()
    assert (stain_share(plain, found) == 0).all()
    assert (neck_mismatch(plain, found) < 1e-3).all()


def test_a_step_is_measured_in_delta_e(plain, found):
    plain[1, :, slice(*ROWS), slice(*COLUMNS)] *= 0.8
    step = seam_step(plain, ROWS, COLUMNS, found.covered)
    expected = delta_e(SKIN[None, :, None, None], 0.8 * SKIN[None, :, None, None]).item()
    assert step[0] < 1e-3 and step[1].item() == pytest.approx(expected, rel=1e-4)
    assert neck_mismatch(plain, found)[1].item() == pytest.approx(expected, rel=1e-3)


def test_stains_are_counted_where_they_are(plain, found):
    left = found.ring.clone()
    left[:, :512] = False
    plain[1, :, left] *= 0.4
    share = stain_share(plain, found)
    assert share[0] == 0 and share[1].item() == pytest.approx((left.sum() / found.ring.sum()).item())


def test_a_border_off_the_mesh_is_told(plain, found):
    with pytest.raises(InputError, match="border"):
        seam_step(plain, ROWS, COLUMNS, torch.zeros_like(found.covered))


def test_landmarks_are_found_in_the_picture_alone(template):
    points = find_landmarks(face_tile(stain=0.9)[0])
    places = (to_pixels(landmark_uvs(template)[list(FOUND)], 1024) - torch.tensor([204, 51])) * (512 / 616)
    assert (points - places).abs().max() < 14  # the painted stain reaches past the corners
    assert landmark_offset(template, points, ROWS, COLUMNS).abs().max() < 2


def test_a_constant_offset_is_found(template):
    tile = face_tile(stain=0.9)[0]
    straight = landmark_offset(template, find_landmarks(tile), ROWS, COLUMNS)
    moved = landmark_offset(template, find_landmarks(tile.roll((4, -6), (1, 2))), ROWS, COLUMNS)
    torch.testing.assert_close(moved - straight, torch.tensor([-6.0, 4.0]) * 616 / 512, atol=1.2, rtol=0)


def test_other_counts_of_landmarks_are_told(template):
    with pytest.raises(InputError, match="landmarks"):
        landmark_offset(template, torch.zeros(68, 2), ROWS, COLUMNS)
