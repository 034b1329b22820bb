"""Old heads: what moves, what stays, and what stays a person's own."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.geometry.normals import vertex_normals
from facekit.latents import FaceLatents
from facekit.models.ageing import CHANGES, Ageing, aged, tile_places


@pytest.fixture(scope="module")
def ageing(default_pipeline) -> Ageing:
    return default_pipeline.ageing


def of_age(age: float, seed: int = 5) -> torch.Tensor:
    return FaceLatents.sample(seed, age=age).identity


def test_the_young_are_left_alone_and_change_grows_with_the_years(ageing):
    sizes = [float(ageing(of_age(age)).norm(dim=2).mean()) for age in (18, 24, 40, 60, 80)]
    assert sizes[0] < 1e-4 and sizes[1] < 0.01
    assert sizes == sorted(sizes) and sizes[4] > 1.5 * sizes[3] > 2 * sizes[2]


def test_folds_sink_and_bags_stand_out(ageing, default_pipeline):
    template = default_pipeline.template
    out = (ageing(of_age(80))[0] * vertex_normals(template.verts[None], template.faces)[0]).sum(dim=1)
    place = tile_places(template)

    def near(x: float, y: float) -> float:
        return float(out[(place - torch.tensor([x, y])).norm(dim=1).argmin()])

    for mirror in (lambda x: x, lambda x: 1 - x):
        assert near(mirror(0.378), 0.500) < -0.3, "the nasolabial fold"
        assert near(mirror(0.362), 0.316) > 0.4, "bags"
        assert near(mirror(0.402), 0.330) < -0.4, "troughs"


def test_eyes_teeth_and_lids_stay(ageing, default_pipeline):
    moved = ageing(of_age(80))[0].norm(dim=1)
    parts = default_pipeline.template.parts
    for name in ("eyes", "teeth", "lids"):
        assert float(moved[parts == PARTS.index(name)].max()) < 1e-6, name
    assert float(moved[parts == PARTS.index("skin")].max()) > 2.0


def test_people_age_differently_and_keep_their_way(ageing):
    one, other = (ageing(of_age(80, seed)) for seed in (5, 6))
    assert float((one - other).norm(dim=2).max()) > 0.5
    younger = ageing(of_age(60))
    factor = aged(torch.special.ndtri(torch.tensor([(60 - 18) / 62]))) / aged(
        torch.special.ndtri(torch.tensor([0.999]))
    )
    torch.testing.assert_close(younger, one * factor, atol=2e-3, rtol=1e-3)


def test_gradients(ageing):
    identity = of_age(60).requires_grad_()
    ageing(identity).square().sum().backward()
    assert identity.grad is not None and bool(identity.grad.isfinite().all()) and float(identity.grad.abs().max()) > 0


def test_every_line_lies_on_the_tile_s_left_half():
    for changes in CHANGES.values():
        for change in changes:
            assert all(0 < x <= 0.5 and 0 < y < 1 for x, y in change.line)


def test_furrows_of_expressions_stay_in_old_faces(default_pipeline):
    """The same person's furrows at rest: hardly any at 20, deep ones at 75."""
    maps = {}
    for age in (20, 75):
        codes = FaceLatents.sample(5, age=age)
        static = default_pipeline(latents=codes, hair=None).detail.static[0, 0]
        rows, columns = (slice(round(a * 768), round(b * 768)) for a, b in ((0.07, 0.16), (0.33, 0.67)))
        maps[age] = float(torch.nn.functional.avg_pool2d(static[None, rows, columns], 4).std())
    assert maps[75] > 4 * maps[20]


def test_old_skin_has_spots_and_grey_brows(default_pipeline):
    composer = default_pipeline.composer
    identity = FaceLatents.sample(5, age=78).identity
    old, dark = (torch.tensor([v]) for v in (1.0, 0.0))
    spots = composer.complexion._age_spots(torch.randn(1, 128, generator=torch.Generator().manual_seed(1)), old, dark)
    assert 0.005 < float((spots > 0.08).float().mean()) < 0.15
    assert float(composer.complexion._age_spots(torch.zeros(1, 128), old, dark).max()) < 1e-3
    # A dark painted brow on light skin takes some of the hair's grey; the rest are hairs that stay dark.
    micro = composer.micro
    tile = torch.full((1, 3, 512, 512), 0.8)
    rows = slice(round(micro.top * 512 / 768), round((micro.top + micro.brow_zone.shape[0]) * 512 / 768))
    tile[:, :, rows] = torch.tensor([0.25, 0.15, 0.08])[:, None, None]
    at = micro.brow_zone > 0.9
    painted = micro(tile, identity, torch.zeros(1, 128))[0, :, micro.top : micro.top + len(micro.brow_zone)][:, at]
    hair = micro.hair_colour(identity)[0]
    brow = tile[0, :, rows.start, 0]
    share = (painted.mean(dim=1) - brow) / (hair - brow)
    assert 0.1 < float(share.min()) <= float(share.max()) < 0.5
    young = micro(tile, FaceLatents.sample(5, age=25).identity, torch.zeros(1, 128))[0]
    assert float(young[:, micro.top : micro.top + len(micro.brow_zone)][:, at].mean(dim=1)[2]) < 0.15
