"""Heads with features of their own, with eyes that are moved and turned, and lips that stay closed."""

from __future__ import annotations

import pytest
import torch

from facekit.assembly import load_modes
from facekit.conventions import PARTS
from facekit.latents import FaceLatents
from facekit.models.features import _ROUNDED, Features, at_nose, borne, softened
from facekit.reconstruct.model import PhotoModel
from facekit.render import Camera
from facekit.template import Template


@pytest.fixture(scope="module")
def features(default_pipeline) -> Features:
    return default_pipeline.features


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return FaceLatents.cat([FaceLatents.sample(seed) for seed in range(900, 964)]).shape_noise


@pytest.fixture(scope="module")
def template(default_pipeline) -> Template:
    return default_pipeline.template


@pytest.fixture(scope="module")
def moved(template) -> torch.Tensor:
    """Displacements (80, V, 3) by the head model's modes, as soft tissue bears them."""
    return softened(template, load_modes().deltas)


def test_the_mean_head_stays(features):
    assert float(features(torch.zeros(1, 5)).abs().max()) == 0


def test_the_same_noise_gives_the_same_features_and_a_little_more_nearly_the_same(features, noise):
    with torch.no_grad():
        one, again, near, other = (features(n) for n in (noise[:1], noise[:1], noise[:1] + 0.01, noise[1:2]))
    assert torch.equal(one, again)
    assert float((near - one).norm()) < 0.2 * float((other - one).norm())


def test_features_of_strangers_are_unlike(features, noise):
    with torch.no_grad():
        heads = features(noise)[:, ::50].flatten(1)
    heads = heads - heads.mean(dim=0)
    rows, columns = torch.triu_indices(len(heads), len(heads), 1)
    alike = torch.corrcoef(heads)[rows, columns]
    assert float(alike.abs().mean()) < 0.25 and float(alike.max()) < 0.97


def test_noses_differ_and_skulls_hardly(features, noise, template):
    with torch.no_grad():
        size = features(noise).std(dim=0).norm(dim=1)
    nose, back = size[template.landmarks[27:36]].mean(), size[template.parts == PARTS.index("back_of_head")].mean()
    assert 1.0 < float(nose) < 4.0 and float(back) < 1.5 * float(nose)


def test_noses_are_round(features, noise, template):
    """Edges of the mesh on a nose change less by displacements that are smoothed."""
    nose = at_nose(template)
    ends = template.faces[(nose > 0.99)[template.faces].all(1)][:, :2].unbind(1)

    def sheared(moves: torch.Tensor) -> float:
        along = template.verts[ends[1]] - template.verts[ends[0]]
        return float(((moves[:, ends[1]] - moves[:, ends[0]]).norm(dim=2) / along.norm(dim=1)).quantile(0.95))

    kept, rounded = (borne(template, load_modes().deltas[10:], share * nose) for share in (0.0, _ROUNDED))
    assert sheared(rounded) < 0.75 * sheared(kept)
    with torch.no_grad():
        assert sheared(features(noise[:16])) < 0.45, "0.74 with edges"


def test_heads_are_as_masculine_as_identity_says(default_pipeline, features, noise, template):
    photo = PhotoModel.of(default_pipeline)
    with torch.no_grad():
        own = features(noise)
    said = [photo.masculine(template, template.verts + head) for head in own]
    drawn = torch.randn(64, len(photo.modes), generator=torch.Generator().manual_seed(5))
    others = [photo.masculine(template, photo.neutral(template.verts, weights)) for weights in drawn]
    odds = [torch.logit(torch.tensor(some, dtype=torch.float64)).std() for some in (said, others)]
    assert float(odds[0]) < 0.5 * float(odds[1])


def test_eyeballs_are_moved_and_turned_and_not_bent(moved, template):
    turns = []
    for side in (-1, 1):
        ball = (template.parts == PARTS.index("eyes")) & (template.verts[:, 0] * side > 0)
        ball &= template.verts[:, 2] > 90  # its front
        more, still = moved[:, ball], template.verts[ball]
        assert float(more.norm(dim=2).max()) > 0.5
        assert float(more[..., 2].std(dim=1).max()) < 1e-3  # about the line of sight
        now = still + more
        size = [torch.cdist(v, v).max(dim=-1).values for v in (now, still.expand_as(now))]
        assert float((size[0] - size[1]).abs().max()) < 0.08
        across = now[:, still[:, 0].argmax()] - now[:, still[:, 0].argmin()]
        before = still[still[:, 0].argmax()] - still[still[:, 0].argmin()]
        turns.append(torch.rad2deg(torch.atan2(across[:, 1], across[:, 0]) - torch.atan2(before[1], before[0])))
    assert 0.1 < float(torch.stack(turns).std()) < 4


def test_mouths_get_wider_and_lips_stay_closed(moved, template):
    now = template.verts + moved
    width = (now[:, template.landmarks[54]] - now[:, template.landmarks[48]]).norm(dim=1)
    assert float(width.std()) > 0.3
    inner = [
        v[:, template.landmarks[61:64]] - v[:, template.landmarks[[67, 66, 65]]] for v in (now, template.verts[None])
    ]
    gap = [v.norm(dim=2) for v in inner]
    assert float((gap[0] - gap[1]).abs().max()) < 0.15


def test_closed_eyes_stay_closed(default_pipeline):
    """Lids of drawn people meet: seen from the front, eyes_closed leaves no eyeball."""
    codes = FaceLatents.cat([FaceLatents.sample(seed, expression="eye_closed") for seed in (903, 907)])
    with torch.no_grad():
        seen = default_pipeline(latents=codes, hair=None).render(
            image_size=256, camera=Camera.front(distance=300, target=(0, 42, 60))
        )
    eyes = default_pipeline.template.parts[default_pipeline.template.faces[:, 0]] == PARTS.index("eyes")
    ids = seen.face_ids
    assert int((eyes[ids.clamp_min(0)] & (ids >= 0)).sum()) < 6
