"""Heads that differ as people do, with eyes that are moved and turned, and lips that stay closed."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.spread import Spread


@pytest.fixture(scope="module")
def spread(default_pipeline) -> Spread:
    return default_pipeline.spread


@pytest.fixture(scope="module")
def rest(default_pipeline) -> torch.Tensor:
    """Displacements (16, V, 3) of the shape networks for neutral people."""
    codes = FaceLatents.cat([FaceLatents.sample(seed) for seed in range(900, 916)]).at_rest()
    with torch.no_grad():
        return default_pipeline._displaced(codes)


def test_the_mean_head_stays(spread):
    assert float(spread(spread.centre[None]).abs().max()) < 1e-6


def test_eyeballs_are_moved_and_turned_and_not_bent(spread, rest, default_pipeline):
    template = default_pipeline.template
    more, turns = spread(rest), []
    for side in (-1, 1):
        ball = (template.parts == PARTS.index("eyes")) & (template.verts[:, 0] * side > 0)
        ball &= template.verts[:, 2] > 90  # its front
        moved, still = more[:, ball], template.verts[ball]
        assert float(moved.norm(dim=2).max()) > 0.5
        assert float(moved[..., 2].std(dim=1).max()) < 1e-3  # about the line of sight
        now = still + moved
        size = [torch.cdist(v, v).max(dim=-1).values for v in (now, still.expand_as(now))]
        assert float((size[0] - size[1]).abs().max()) < 0.08
        across = now[:, still[:, 0].argmax()] - now[:, still[:, 0].argmin()]
        before = still[still[:, 0].argmax()] - still[still[:, 0].argmin()]
        turns.append(torch.rad2deg(torch.atan2(across[:, 1], across[:, 0]) - torch.atan2(before[1], before[0])))
    assert 0.3 < float(torch.stack(turns).std()) < 4
    # The outer corners of both eyes rise together.
    assert float(torch.corrcoef(torch.stack(turns))[0, 1]) < -0.5


def test_mouths_get_wider_and_lips_stay_closed(spread, rest, default_pipeline):
    template = default_pipeline.template
    now = [template.verts + v for v in (rest, rest + spread(rest))]
    width = [(v[:, template.landmarks[54]] - v[:, template.landmarks[48]]).norm(dim=1) for v in now]
    assert float(width[1].std()) > 1.15 * float(width[0].std())
    gap = [(v[:, template.landmarks[61:64]] - v[:, template.landmarks[[67, 66, 65]]]).norm(dim=2) for v in now]
    assert float((gap[1] - gap[0]).abs().max()) < 0.15


def test_faces_differ_more_and_skulls_hardly(spread, rest, default_pipeline):
    template = default_pipeline.template

    def deviation(values: torch.Tensor, part: torch.Tensor) -> float:
        return float((values - values.mean(dim=0))[:, part].square().sum(dim=-1).mean().sqrt())

    jaw, back = template.landmarks[4:13], template.parts == PARTS.index("back_of_head")
    wider = rest + spread(rest)
    assert 1.35 < deviation(wider, jaw) / deviation(rest, jaw) < 1.7
    assert 1.0 < deviation(wider, back) / deviation(rest, back) < 1.25


def test_closed_eyes_stay_closed(default_pipeline):
    """Lids of drawn people meet: seen from the front, eyes_closed leaves no eyeball."""
    from facekit.render import Camera

    codes = FaceLatents.cat([FaceLatents.sample(seed, expression="eye_closed") for seed in (903, 907)])
    with torch.no_grad():
        seen = default_pipeline(latents=codes, hair=None).render(
            image_size=256, camera=Camera.front(distance=300, target=(0, 42, 60))
        )
    eyes = default_pipeline.template.parts[default_pipeline.template.faces[:, 0]] == PARTS.index("eyes")
    ids = seen.face_ids
    assert int((eyes[ids.clamp_min(0)] & (ids >= 0)).sum()) < 6
