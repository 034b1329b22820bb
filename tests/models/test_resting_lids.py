"""Lids at rest: as open as people's, pupils clear of them, corners and eyeballs in their places; shut ones stay."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.resting_lids import RestingLids
from facekit.person import Person


@pytest.fixture(scope="module")
def lids(default_pipeline) -> RestingLids:
    return default_pipeline.resting_lids


@pytest.fixture(scope="module")
def people() -> FaceLatents:
    """Among them 109 and 170, whose lids the networks lower onto the pupils, and 124, whose eyes they open most."""
    return FaceLatents.cat([FaceLatents.sample(seed) for seed in (109, 170, 124, *range(800, 813))])


@pytest.fixture(scope="module")
def plain(default_pipeline, people) -> torch.Tensor:
    """The networks' neutral heads."""
    codes = default_pipeline.to_model_codes(people).at_rest()
    return default_pipeline.template.verts + default_pipeline._displaced(codes)


def test_eyes_are_as_open_as_in_photographs(default_pipeline, lids, people):
    verts = default_pipeline.decode_shape(default_pipeline.to_model_codes(people).at_rest())
    marks = verts[:, default_pipeline.template.landmarks]
    high = torch.stack([lids.heights(verts, side) for side in (0, 1)], dim=1)
    opening = (high.sum(dim=2) / (marks[:, [36, 42]] - marks[:, [39, 45]]).norm(dim=2)).mean(dim=1)
    assert 0.26 < float(opening.median()) < 0.31 and 0.20 < float(opening.min()) < float(opening.max()) < 0.38
    assert float(opening.std()) > 0.01, "people differ"
    assert float(high[..., 0].min()) > 1.5, "mm: upper lids end at the edge of pupils"
    assert 3.6 < float(high[..., 1].min()) < float(high[..., 1].max()) < 6.8, "lower lids end near the iris"


def test_lids_alone_move(default_pipeline, lids, plain):
    template = default_pipeline.template
    moved = (lids(plain, plain) - plain).norm(dim=2)
    assert 0.5 < float(moved.max()) < 3.5
    assert float(moved[:, template.landmarks[[36, 39, 42, 45]]].max()) < 0.1, "corners stay"
    skin = torch.isin(template.parts, template.parts.new_tensor([PARTS.index(n) for n in ("skin", "lids", "mouth")]))
    away = torch.cdist(template.verts, template.verts[template.parts == PARTS.index("lids")]).amin(dim=1)
    assert not moved[:, ~skin].any() and not moved[:, away > 9].any()


def test_closed_eyes_are_left_alone_and_half_closed_ones_have_room(default_pipeline, lids, plain):
    blink = {f"eyeBlink{side}": 1.0 for side in ("Left", "Right")}
    codes = FaceLatents.sample(0).with_blendshapes(blink).blendshapes
    delta = default_pipeline.blendshapes(codes.expand(len(plain), -1), plain)
    shut, half = plain + delta, plain + 0.5 * delta
    torch.testing.assert_close(lids(plain, shut), shut, atol=0.03, rtol=0)
    for side in (0, 1):
        assert bool((lids.heights(lids(plain, half), side)[:, 0] > lids.heights(half, side)[:, 0]).all())


def test_lids_stay_on_the_eyes(default_pipeline, lids, plain):
    """What lay on an eyeball before is as far from it afterwards."""
    moved = lids(plain, plain)
    for side, eye in enumerate(lids.eyes):
        rim = torch.cat([getattr(lids, f"rim_{side}_{k}") for k in (0, 1)])
        gaps = []
        for verts in (plain, moved):
            ray = verts[:, rim] - eye.centre(verts)
            distance = ray.norm(dim=2)
            cosine = (ray @ eye.axis(verts)[..., None])[..., 0] / distance
            gaps.append(distance / eye.scale(verts) - eye.radius(cosine))
        assert float((gaps[1] - gaps[0]).abs().max()) < 0.05, "mm"


def test_a_person_from_photographs_keeps_the_eyes(default_pipeline, plain):
    pipe = default_pipeline.with_person(Person(plain[0], FaceLatents.sample(109)))
    assert torch.equal(pipe.decode_neutral(pipe.to_model_codes(FaceLatents.sample(1)))[0], plain[0])


def test_expressions_that_widen_the_eyes_do_so_as_the_networks(default_pipeline, lids):
    people = FaceLatents.cat([FaceLatents.sample(seed, expression="mouth_stretch") for seed in range(109, 117)])
    codes, template = default_pipeline.to_model_codes(people), default_pipeline.template.verts
    with torch.no_grad():
        neutral, posed = (template + default_pipeline._displaced(c) for c in (codes.at_rest(), codes))
        moved = lids(neutral, posed), lids(neutral, neutral)
    for side in (0, 1):
        wide, plain = (lids.heights(verts, side).sum(dim=1) for verts in (moved[0], posed))
        rest = lids.heights(moved[1], side).sum(dim=1)
        assert float((plain - wide).max()) < 0.5 and float((wide - rest).min()) > 1.0, "mm"
