"""Hue of necks."""

from __future__ import annotations

import pytest
import torch

from facekit.color import luminance, srgb_to_linear
from facekit.conventions import CHIN


@pytest.fixture(scope="module")
def painted(default_pipeline):
    """A flat atlas (3, H, W), with necks painted, and the cover (H, W)."""
    tone = default_pipeline.composer.neck
    atlas = torch.tensor([0.75, 0.55, 0.45])[None, :, None, None].repeat(1, 1, *tone.cover.shape[1:])
    atlas[(..., *tone.box)] = tone.painted(atlas[(..., *tone.box)])
    return atlas[0], tone.cover[0]


def test_necks_are_less_red_than_faces_and_as_light(painted):
    atlas, cover = painted
    face, neck = (srgb_to_linear(atlas[:, mask].mean(1)) for mask in (cover == 0, cover > 0.99))
    hue = (neck / face).log()
    assert -0.13 < hue[0] - hue[1] < -0.08
    assert 0.0 < hue[2] - hue[1] < 0.08
    first, second = luminance(torch.stack((face, neck))[..., None, None]).flatten()
    assert second / first == pytest.approx(1.0, abs=0.02)


def test_the_neck_begins_below_jaw_and_nape(default_pipeline, painted):
    _, cover = painted
    template = default_pipeline.template
    place = template.uvs * torch.tensor(cover.shape[::-1])
    rows, columns = (cover.shape[0] - place[:, 1]).long(), place[:, 0].long()
    share = torch.zeros(len(template.verts))
    share[template.faces.flatten()] = cover[rows.clamp(0, 1023), columns.clamp(0, 1023)][template.faces_uvs.flatten()]
    marks = template.landmarks
    assert share[marks[17:]].max() == 0, "brows, eyes, nose and mouth"
    assert share[marks[:17]].max() < 0.15, "jaw"
    x, y, z = (template.verts - template.verts[marks[CHIN]]).unbind(1)
    assert share[(x.abs() < 20) & (y < -35) & (z > -90)].min() > 0.95, "throat"
    assert share[y > 80].max() == 0, "ears and scalp"
    assert share[y < -60].min() > 0.95, "nape and shoulders"
