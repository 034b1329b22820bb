"""Displacement of the embedded default's faces, and of other topologies."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.assembly import load_detail
from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.geometry.correspond import interpolate_nearest, similarity, warp
from facekit.geometry.uv import bake, rasterize_uv
from facekit.latents import FaceLatents

WRINKLED = ("brow_raiser", "brow_lower", "smile", "grin", "anger", "chin_raiser")


@pytest.fixture(scope="module")
def swept(default_pipeline):
    """Dynamic displacement (6, 1, H, W) at intensities 0 to 1.5 of six expressions, one person."""
    person = FaceLatents.sample(5)
    steps = torch.linspace(0, 1.5, 6).tolist()
    return {
        name: default_pipeline(
            latents=FaceLatents.cat([person.with_expression(name, v) for v in steps]), detail="dynamic"
        ).displacement
        for name in WRINKLED
    }


@pytest.mark.parametrize("name", WRINKLED)
def test_wrinkles_deepen_with_intensity(swept, name):
    depth = swept[name].square().mean(dim=(1, 2, 3)).sqrt()
    # The fold of a wide smile or grin opens again while the mesh folds on, by a fifth on this person.
    wide = name in ("smile", "grin")
    assert bool((depth.diff() > -(0.2 if wide else 0.01) * depth.max()).all()), depth
    assert bool((depth[: 3 if wide else 4].diff() > 0).all()), depth
    assert float(depth[0]) < 1e-6, "no furrow of an expression at rest, mm"
    assert 0.15 < float(-swept[name][-1].min()) < 3.0, "furrows have a skin's depth, mm"


def test_forehead_folds_with_the_brows_and_not_with_the_smile(swept, default_pipeline):
    size = swept["smile"].shape[-1]
    forehead, mouth = (slice(int(0.05 * size), int(0.14 * size)), slice(int(0.3 * size), int(0.45 * size)))
    centre = slice(int(0.25 * size), int(0.5 * size))
    energy = {
        n: (m[-1, 0, forehead, centre].square().mean(), m[-1, 0, mouth].square().mean()) for n, m in swept.items()
    }
    assert energy["brow_raiser"][0] > 50 * energy["smile"][0]
    assert energy["smile"][1] > 50 * energy["brow_raiser"][1]


def test_the_parts_add_up(default_pipeline):
    person = FaceLatents.sample(11).with_expression("smile")
    whole, static, dynamic, none = (
        default_pipeline(latents=person, detail=mode) for mode in (True, "static", "dynamic", False)
    )
    torch.testing.assert_close(whole.displacement, static.displacement + dynamic.displacement, atol=1e-6, rtol=0)
    assert none.displacement is None
    assert none.detail is None
    assert torch.equal(whole.verts, none.verts)
    assert torch.equal(whole.texture, none.texture)
    half = default_pipeline(latents=person, detail_strength=0.5)
    torch.testing.assert_close(half.displacement, whole.displacement / 2)
    rest = default_pipeline(latents=person.with_expression("neutral", 0.0))
    assert torch.equal(rest.displacement, static.displacement), "at rest there is only what is static"


def test_the_parts_are_those_of_the_formula(default_pipeline):
    face = default_pipeline(seed=3, expression="anger")
    layer, detail, size = default_pipeline.detail_layer, face.detail, face.displacement.shape[-1]
    t = default_pipeline.template
    ids, weights = rasterize_uv(t.uvs, t.faces_uvs, size // 2)
    w_c, w_s = (bake(w[..., None], t.faces, ids, weights) for w in (detail.compress, detail.stretch))
    dynamic = w_c * detail.compressed + w_s * detail.stretched
    wanted = detail.static + torch.nn.functional.interpolate(dynamic, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(face.displacement, wanted, atol=2e-3, rtol=0)
    torch.testing.assert_close(detail.compress, layer.model.weights(detail.tension / layer.reference)[0])


def test_stretching_lowers_the_static_relief(default_pipeline):
    """Static detail is flatter where the cheeks of an inflated face are stretched."""
    person = FaceLatents.sample(5)
    face = default_pipeline(latents=person.with_expression("cheek_blowing", 1.5))
    d = face.detail
    size = d.stretched.shape[-1]
    small = torch.nn.functional.interpolate(d.static, size=(size, size), mode="area")
    t = default_pipeline.template
    ids, weights = rasterize_uv(t.uvs, t.faces_uvs, size)
    stretch = bake(d.stretch[..., None], t.faces, ids, weights)
    place = stretch > 0.5
    assert int(place.sum()) > 200
    after = small + stretch * d.stretched
    assert float(after[place].square().mean()) < 0.7 * float(small[place].square().mean())


def test_nothing_on_eyes_teeth_and_off_the_skin(default_pipeline):
    face = default_pipeline(seed=5, expression="grin", intensity=1.5)
    t, size = default_pipeline.template, face.displacement.shape[-1]
    ids, _ = rasterize_uv(t.uvs, t.faces_uvs, size)
    for name in ("eyes", "teeth", "mouth"):
        place = (ids >= 0) & (t.parts.long()[t.faces[ids.clamp_min(0)]] == PARTS.index(name)).all(dim=-1)
        assert int(place.sum()) > 100
        assert float(face.displacement[0, 0][place].abs().max()) < 0.02, name
    near = torch.nn.functional.max_pool2d((ids >= 0).float()[None], 7, 1, 3)[0] > 0
    assert float(face.displacement[0, 0][~near].abs().max()) == 0


def test_charts_end_without_a_step(default_pipeline):
    """Displacement is nearly zero at chart borders: both sides of every seam meet within half a hair's width."""
    face = default_pipeline(seed=5, expression="smile", intensity=1.5)
    t = default_pipeline.template
    uvs = t.uvs[t.faces_uvs].reshape(-1, 2)
    grid = torch.stack((2 * uvs[:, 0] - 1, 1 - 2 * uvs[:, 1]), -1)[None, None]
    at = torch.nn.functional.grid_sample(face.displacement, grid, align_corners=False)[0, 0, 0]
    vertex = t.faces.reshape(-1)
    high, low = (
        torch.full((len(t.verts),), s * 9.0).scatter_reduce(0, vertex, at, r) for s, r in ((-1, "amax"), (1, "amin"))
    )
    assert float((high - low).max()) < 0.055


def test_a_sweep_is_what_its_faces_are_alone(default_pipeline):
    people = [FaceLatents.sample(s).with_expression("smile", 0.9) for s in (1, 2)]
    both = default_pipeline(latents=FaceLatents.cat(people))
    for face, person in zip(both, people, strict=True):
        alone = default_pipeline(latents=person)
        torch.testing.assert_close(face.displacement, alone.displacement, atol=1e-5, rtol=0)
        torch.testing.assert_close(face.detail.compress, alone.detail.compress, atol=1e-4, rtol=0)
        assert face.detail.static.shape[0] == 1


@pytest.mark.parametrize("detail", ["full", 1, None, 0.5])
def test_unknown_modes(default_pipeline, detail):
    with pytest.raises(InputError, match="detail True"):
        default_pipeline(seed=1, detail=detail)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "1"])
def test_bad_strength(default_pipeline, strength):
    with pytest.raises(InputError, match="detail_strength"):
        default_pipeline(seed=1, detail_strength=strength)


# -- other topologies -------------------------------------------------------------------------------------------------


def test_another_topology_takes_the_same_detail(default_pipeline):
    """Only the front of the head, with reordered vertices and rotated: furrows stay in place."""
    t = default_pipeline.template
    kept = (t.verts[t.faces][..., 2] > -40).all(dim=1)
    order = torch.randperm(len(t.verts), generator=torch.Generator().manual_seed(4))
    used = torch.zeros(len(t.verts), dtype=torch.bool).index_fill_(0, t.faces[kept].reshape(-1), True)
    old = order[used[order]]  # the old index of each new vertex
    new = torch.full((len(t.verts),), -1).scatter_(0, old, torch.arange(len(old)))
    turn = torch.matrix_exp(torch.tensor([[0.0, -0.3, 0.2], [0.3, 0.0, -0.1], [-0.2, 0.1, 0.0]]))
    other = dataclasses.replace(
        t,
        verts=1.1 * t.verts[old] @ turn.T + 5.0,
        faces=new[t.faces[kept]],
        faces_uvs=t.faces_uvs[kept],
        parts=t.parts[old],
        ao=t.ao[old],
        landmarks=new[t.landmarks],
    )
    assert bool((other.landmarks >= 0).all())
    layer = load_detail(other, 512)
    own = default_pipeline.detail_layer
    used_uvs = other.faces_uvs.unique()
    sure = (layer.trust[used_uvs] > 0.99) & (own.trust[used_uvs] > 0.99)
    assert int(sure.sum()) > 5000
    offset = (layer.tile_uvs - own.tile_uvs)[used_uvs][sure].norm(dim=1)
    assert float(offset.median()) < 2e-3
    assert float(offset.quantile(0.98)) < 0.01


def test_a_mesh_without_uvs_is_refused(default_pipeline):
    t = default_pipeline.template
    bare = dataclasses.replace(t, uvs=torch.zeros(1, 2), faces_uvs=torch.zeros_like(t.faces))
    with pytest.raises(InputError, match="give the mesh UVs"):
        load_detail(bare, 256)


def test_composition_can_be_switched(default_pipeline):
    person = FaceLatents.sample(5).with_expression("smile")
    rest, posed = (default_pipeline.decode_shape(p) for p in (person.with_expression("neutral", 0.0), person))
    t = default_pipeline.template
    scalar = load_detail(t, 256, composition="scalar")
    tension = scalar.graph.smooth(scalar.graph.tension(rest, posed), 4)
    torch.testing.assert_close(scalar.strain(rest, posed), tension)
    assert not torch.allclose(default_pipeline.detail_layer.strain(rest, posed), tension, atol=0.01)
    with pytest.raises(InputError, match="directional, scalar"):
        load_detail(t, 256, composition="mean")


def test_similarity_and_warp_bring_points_back():
    generator = torch.Generator().manual_seed(2)
    points = 60 * torch.randn(68, 3, generator=generator)
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator).double())
    rotation = q * torch.sign(torch.linalg.det(q))
    target = (1.7 * points.double() @ rotation.T + torch.tensor([3.0, -80, 12]).double()).float()
    scale, turn, shift = similarity(points, target)
    assert float(scale) == pytest.approx(1.7, abs=1e-5)
    torch.testing.assert_close(turn, rotation, atol=1e-5, rtol=0)
    torch.testing.assert_close((scale * points.double() @ turn.T + shift).float(), target, atol=1e-3, rtol=0)
    bent = points + 3 * torch.sin(points / 40)
    torch.testing.assert_close(warp(points, points, bent, stiffness=0.0), bent, atol=1e-3, rtol=0)
    assert float((warp(points, points, bent) - bent).norm(dim=1).mean()) < 1.0


def test_values_are_carried_where_something_is_near():
    known = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * 20
    values = known[:, :2] * 0.5
    found, trust = interpolate_nearest(torch.cat((known[:5] + 0.01, torch.tensor([[100.0, 0, 0]]))), known, values)
    torch.testing.assert_close(found[:5], values[:5], atol=0.05, rtol=0)
    assert trust.tolist() == [1, 1, 1, 1, 1, 0]
