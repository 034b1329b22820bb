"""Synthetic photographs: reproducible by seed, with ground truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.evaluate.occluders import OCCLUDERS, occlude
from facekit.evaluate.photographs import ITA_CLASSES, ita_class, marked, misfitted, photograph, skin_tone

_HAIRY = ("covered", "bearded")


def test_the_same_seed_gives_the_same_picture(default_pipeline):
    one, again, other = (photograph(default_pipeline, 60_000, shot=k, size=96) for k in (0, 0, 1))
    assert torch.equal(one.picture, again.picture)
    assert not torch.equal(one.picture, other.picture)
    assert torch.equal(one.albedo, other.albedo), "the person stays"
    assert torch.equal(one.neutral, other.neutral)
    assert one.picture.shape == (96, 96, 3)
    assert float(one.covered.max()) == 0


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_things_in_front_cover_what_they_say(default_pipeline, kind):
    """Outside the occluders the picture is unchanged; inside most pixels differ."""
    plain, other = (photograph(default_pipeline, 60_003, size=160, occluder=k) for k in (None, kind))
    changed = (plain.picture - other.picture).abs().mean(-1)
    assert float(other.covered.max()) > 0.9
    assert 0.005 < float((other.covered > 0.5).float().mean()) < 0.7
    # Noise is drawn after it, so that it differs.
    assert float(changed[other.covered == 0].mean()) < 0.02
    assert float(changed[other.covered > 0.9].mean()) > 0.04


def test_hair_covers_what_it_says(default_pipeline):
    """Hair on the scalp covers skin, a beard is told apart, brows and lashes are the skin's."""
    bare, worn = (
        photograph(default_pipeline, 60_004, size=160, yaw=0.0, hair=hair) for hair in ("bald+shaven", "bob02+full")
    )
    assert float(bare.covered.max()) == 0 and float(bare.bearded.max()) == 0
    marks = worn.camera.project(worn.verts[None], 160)[0, default_pipeline.template.landmarks, 1]
    rows = {name: mask.gt(0.5).nonzero()[:, 0].float() for name, mask in vars(worn).items() if name in _HAIRY}
    assert all(len(found) > 100 for found in rows.values())
    assert float(rows["covered"].mean()) < float(marks[30]) < float(rows["bearded"].mean())


def test_occluders_leave_their_argument_alone():
    picture = np.full((64, 64, 3), 0.5, np.float32)
    marks = np.random.default_rng(0).uniform(20, 44, (68, 2))
    marks[36:42], marks[42:48] = (24, 30), (40, 30)
    drawn, cover = occlude(picture, marks, np.array([32.0, 8.0]), "glasses", np.random.default_rng(1))
    assert float(picture.min()) == float(picture.max()) == 0.5
    assert drawn.shape == picture.shape and cover.shape == (64, 64)


def test_marks_are_for_the_face_alone():
    atlas = torch.full((1, 3, 128, 128), 0.6)
    made = marked(atlas, (0.0, 0.25, 0.75, 1.0), np.random.default_rng(0))
    assert torch.equal(made[..., 96:, :], atlas[..., 96:, :])
    assert torch.equal(made[..., :, 96:], atlas[..., :, 96:])
    assert 0.01 < float((made - atlas)[..., :96, :96].abs().mean()) < 0.15
    assert torch.equal(marked(atlas, (0.0, 0.25, 0.75, 1.0), np.random.default_rng(0), 0.0).round(decimals=4), atlas)


def test_misfits_are_smooth_and_as_large_as_asked():
    verts = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 200
    off = misfitted(verts, 2.0, 5) - verts
    assert float(off.square().sum(1).mean().sqrt()) == pytest.approx(2.0, rel=0.4)
    near = torch.cdist(verts[:50], verts).topk(2, largest=False).indices[:, 1]
    assert float((off[:50] - off[near]).norm(dim=1).mean()) < 1.5


@pytest.mark.parametrize(
    ("srgb", "name"),
    [((0.93, 0.80, 0.73), "very light"), ((0.78, 0.60, 0.48), "intermediate"), ((0.25, 0.16, 0.12), "dark")],
)
def test_typology_angles(srgb, name):
    atlas = torch.tensor(srgb)[None, :, None, None].expand(1, 3, 128, 128)
    assert ita_class(float(skin_tone(atlas, (0.0, 0.25, 0.75, 1.0))[0])) == name
    assert [low for _, low in ITA_CLASSES] == sorted((low for _, low in ITA_CLASSES), reverse=True)
