"""People wear one style in different ways: fuller, higher, shorter; beards are long or short, dense or sparse."""

from __future__ import annotations

import pytest
import torch

from facekit.latents import FaceLatents
from facekit.models.grooming import WAYS, Grooming, ways


@pytest.fixture(scope="module")
def people(default_pipeline) -> Grooming:
    codes = FaceLatents.cat([FaceLatents.sample(seed) for seed in range(600, 664)])
    return default_pipeline.grooming(default_pipeline.to_model_codes(codes))


def test_every_person_has_their_own_within_limits(people):
    assert people.cut.shape == (64, WAYS)
    fuller, higher, shorter = people.cut[:, :3].unbind(1)
    assert -0.21 < float(fuller.min()) < -0.15 and 0.3 < float(fuller.max()) < 0.55
    assert float(higher.min()) >= -0.12 and float(higher.max()) < 0.35
    assert float(shorter.min()) >= -0.06 and 0.1 < float(shorter.max()) <= 0.3
    assert 0.45 < float(people.length.min()) < 0.7 and 1.4 < float(people.length.max()) < 2
    assert float(people.density.min()) >= 0.55 and float(people.density.max()) <= 1
    assert len(people[3:5].cut) == 2 and torch.equal(people[3:5].brows.grown, people.brows.grown[3:5])


def test_fuller_hair_is_further_from_the_head_and_shorter_hair_ends_higher():
    hair = torch.tensor([[0.0, 120.0, -20.0], [80.0, -90.0, -20.0], [0.0, 60.0, 100.0]])
    foot = torch.tensor([[0.0, 100.0, -20.0], [50.0, -90.0, -20.0], [0.0, 60.0, 90.0]])
    fuller, higher, shorter = ways(hair, foot)[:3]
    torch.testing.assert_close(fuller[:2], hair[:2] - foot[:2])
    assert 0 < float(fuller[2, 2]) < 5, "a fringe keeps its place"
    assert higher[0].any() and not higher[1].any()
    torch.testing.assert_close(shorter, torch.tensor([[0.0, 0, 0], [0, 60.0, 0], [0, 0, 0]]))


def test_hair_that_lies_keeps_its_form_and_what_hangs_sways():
    """Waves are those of two locks as far from the head, above the ears and below them."""
    side = torch.linspace(-60, 60, 200)
    locks = [torch.stack((side, torch.full_like(side, height), torch.zeros_like(side)), 1) for height in (90.0, -60.0)]
    lying, hanging = (ways(lock, lock - torch.tensor([0.0, 0.0, 12.0]))[3:].norm(dim=2).mean() for lock in locks)
    assert 0 < float(lying) < 0.5 * float(hanging)


def test_two_people_of_one_style_have_different_hair_that_stays_out_of_the_skin(default_pipeline):
    faces = [default_pipeline(seed=seed, hair="short02+full", detail=False) for seed in (600, 604)]
    first, second = (face.hair[0] for face in faces)
    hair = first.cards.part == 0
    template = default_pipeline.template
    ties = default_pipeline.wardrobe._carried["short02"].ties
    own = [h.verts[hair] - ties(f.mesh.verts - template.verts)[0] for h, f in zip((first, second), faces, strict=True)]
    assert float((own[0] - own[1]).norm(dim=1).mean()) > 1, "mm"
    again = default_pipeline(seed=600, hair="short02+full", expression="smile", detail=False).hair[0]
    still = ties(default_pipeline(seed=600, expression="smile", detail=False).mesh.verts - template.verts)[0]
    assert float((again.verts[hair] - still - own[0]).norm(dim=1).mean()) < 0.3, "expressions leave it alone"


def test_beards_differ_in_length_and_density(default_pipeline, people):
    facial, verts = default_pipeline.wardrobe.facial, default_pipeline.template.verts[None]

    def tufts(length: float, density: float) -> torch.Tensor:
        cards = facial.grow_beard("full", verts, torch.tensor([length]), torch.tensor([density]))[0]
        root, tip = cards.view(-1, 3, 2, 3).mean(2)[:, [0, 2]].unbind(1)
        return (tip - root).norm(dim=1)

    plain, long, sparse = tufts(1.0, 1.0), tufts(2.0, 1.0), tufts(1.0, 0.6)
    factors = long / plain
    assert 1.25 < float(factors.min()) < 1.35 and 1.95 < float(factors.max()) < 2.05, "over the mouth it is cut"
    assert 0.35 < float((sparse < 1e-3).float().mean()) < 0.45
    torch.testing.assert_close(facial.grow_beard("full", verts)[0].view(-1, 3, 2, 3)[:, 2], facial.grow_beard(
        "full", verts, torch.ones(1), torch.ones(1))[0].view(-1, 3, 2, 3)[:, 2])  # fmt: skip


def test_a_photographed_person_wears_styles_as_they_were_drawn(people):
    plain = Grooming.plain(people.brows)
    assert not plain.cut.any() and bool((plain.length == 1).all()) and bool((plain.density == 1).all())
