"""Pictures: colours, edges, gradients, batches, backgrounds."""

import dataclasses

import pytest
import torch

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.render import PRESETS, Camera, rasterize, render
from facekit.render.lights import Light, Lights
from facekit.render.materials import sheen
from facekit.render.rasterize import pixel_points
from facekit.render.shading import mirrored, tone
from tests.render.scenes import ball, board

FACING = {"target": (0.0, 0.0, 0.0), "distance": 260.0}


def checker(cells: int = 64, size: int = 256) -> torch.Tensor:
    index = torch.arange(size) * cells // size
    return ((index[:, None] + index[None]) % 2).float().expand(1, 3, -1, -1).contiguous()


def smooth(size: int = 64, batch: int = 1) -> torch.Tensor:
    ramp = torch.linspace(0.2, 0.8, size)
    picture = torch.stack((ramp[None].expand(size, -1), ramp[:, None].expand(-1, size), 0.5 * torch.ones(size, size)))
    return picture[None].repeat(batch, 1, 1, 1)


def test_flat_shows_the_albedo_as_it_is():
    texture = smooth()
    camera = Camera.front(distance=100.0, target=(0.0, 0.0, 0.0), fov=53.13)
    picture = render(board(texture=texture), camera, 64, lights="flat")
    assert float((picture.rgb - texture).abs()[..., 2:-2, 2:-2].max()) < 1e-3


def test_srgb_round_trip_and_faithful_tone():
    values = torch.linspace(0, 1, 1001)
    assert torch.allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-5)
    linear = torch.linspace(0, 4, 1001)
    curved = tone(linear)
    assert torch.allclose(curved[linear < 0.6], linear[linear < 0.6], atol=1e-6)
    assert bool((curved.diff() > 0).all()) and float(curved.max()) <= 1.0


def test_far_away_a_checkerboard_is_even_grey_and_near_it_is_not():
    mesh = board(texture=checker())
    far = render(mesh, Camera.front(target=(0.0, 0.0, 0.0), distance=8000.0), 256, lights="flat")
    inside = far.rgb[0, 0][(far.alpha == 1)[0, 0]]
    assert inside.numel() > 20 and float(inside.std()) < 0.01 and abs(float(inside.mean()) - 0.5) < 0.01
    near = render(mesh, Camera.front(target=(0.0, 0.0, 0.0), distance=200.0), 128, lights="flat")
    assert float(near.rgb.std()) > 0.3


def test_edges_are_smooth_and_coverage_adds_up():
    mesh, camera = ball(), Camera.front(**FACING, fov=50.0)
    fine = (rasterize(mesh.verts, mesh.faces, camera, 768)[0] >= 0).float().mean()
    for quality, levels in (("standard", 4), ("high", 9)):
        picture = render(mesh, camera, 96, quality=quality, background="transparent")
        partial = picture.alpha[(picture.alpha > 0) & (picture.alpha < 1)]
        assert partial.unique().numel() >= levels - 1 and partial.numel() > 100
        assert abs(float(picture.alpha.mean() - fine)) < 2e-3


def test_occlusion_darkens_and_the_mouth_does_not_glow():
    mesh = ball(texture=smooth())
    camera = Camera.front(**FACING, fov=50.0)
    count = mesh.verts.shape[1]
    pictures = []
    for amount in (1.0, 0.6, 0.15):
        dim = dataclasses.replace(mesh, ao=torch.full((count,), amount))
        pictures.append(render(dim, camera, 48, background=(0.0, 0.0, 0.0)).rgb.mean())
    assert pictures[0] > 1.1 * pictures[1] > 1.5 * pictures[2]
    for name in ("mouth", "eyes", "teeth"):
        dark = dataclasses.replace(
            mesh, ao=torch.zeros(count), parts=torch.full((count,), PARTS.index(name), dtype=torch.uint8)
        )
        assert float(render(dark, camera, 48, background=(0.0, 0.0, 0.0)).rgb.max()) < 0.05


def test_eyes_have_a_sharp_highlight_that_skin_lacks():
    mesh, camera = ball(texture=0.1 * torch.ones(1, 3, 8, 8), rings=40), Camera.front(**FACING, fov=50.0)
    eyes = torch.full((mesh.verts.shape[1],), PARTS.index("eyes"), dtype=torch.uint8)
    wet = render(dataclasses.replace(mesh, parts=eyes), camera, 96).rgb
    assert float(wet.max()) > float(render(mesh, camera, 96, background=(0.0, 0.0, 0.0)).rgb.max()) + 0.15


def test_a_cornea_mirrors_the_key_light_as_one_of_its_curvature(default_pipeline):
    """The brightest place of a wet ball of radius r that stands for a cornea of r / 1.75, of a lamp at 0.35 of its
    height.
    """
    radius = 50.0
    mesh, camera = ball(radius, texture=torch.zeros(1, 3, 8, 8), rings=80), Camera.front(**FACING, fov=30.0)
    eyes = torch.full((mesh.verts.shape[1],), PARTS.index("eyes"), dtype=torch.uint8)
    lights = dataclasses.replace(PRESETS["studio"], lights=PRESETS["studio"].lights[:1])
    picture = render(dataclasses.replace(mesh, parts=eyes), camera, 256, lights=lights, background=(0.0, 0.0, 0.0))
    light = picture.rgb[0].mean(0)
    normal = picture.normals[0][:, light > 0.95 * light.max()].mean(1)
    tilt = torch.rad2deg(torch.acos(normal[2] / normal.norm()))
    toward = lights.directions(camera.rotation())[0, 0] * torch.tensor([1.0, 0.35, 1.0])
    middle = toward / toward.norm() + torch.tensor([0.0, 0.0, 1.0])
    half = torch.rad2deg(torch.acos(middle[2] / middle.norm()))
    assert 0.48 < float(tilt / half) < 0.68
    assert 0 < float(normal[1] / normal[0].abs()) < 0.5, "under the lid"


def test_high_quality_casts_a_shadow():
    low, high = board(400.0), ball(30.0, rings=10)
    # A ball before a wall, toward the key light.
    verts = torch.cat((low.verts - torch.tensor([0.0, 0.0, 60.0]), high.verts), 1)
    faces = torch.cat((low.faces, high.faces + low.verts.shape[1]))
    uvs, faces_uvs = torch.cat((low.uvs, high.uvs)), torch.cat((low.faces_uvs, high.faces_uvs + len(low.uvs)))
    scene = dataclasses.replace(low, verts=verts, faces=faces, uvs=uvs, faces_uvs=faces_uvs)
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=700.0, fov=20.0)
    plain, shadowed = (render(scene, camera, 96, quality=q).rgb for q in ("standard", "high"))
    change = (shadowed - plain).mean(1)[0]
    assert float(change.min()) < -0.1  # somewhere it is dark
    assert float(change[2:20, 2:20].abs().max()) < 0.02  # but not far from the ball
    low_right = change[56:, 56:].mean()
    assert low_right < change[:40, :40].mean() - 0.005  # the light comes from the upper left


@pytest.mark.parametrize("quality", ["standard", "high"])
def test_batch_equals_single(quality):
    base = ball(texture=smooth())
    verts = torch.cat((base.verts, base.verts * torch.tensor([0.8, 1.0, 1.1])))
    mesh = dataclasses.replace(base, verts=verts, texture=torch.rand(2, 3, 32, 32))
    cameras = Camera.orbit([0.0, 40.0], [0.0, 10.0], **FACING, fov=50.0)
    together = render(mesh, cameras, (40, 56), quality=quality)
    for k in range(2):
        single = render(mesh[k], cameras[k], (40, 56), quality=quality)
        for name in ("rgb", "alpha", "depth", "normals"):
            a, b = getattr(together, name)[k : k + 1], getattr(single, name)
            assert torch.allclose(a, b, atol=2e-4), name
        assert torch.equal(together.face_ids[k : k + 1], single.face_ids)
    assert render(base, cameras, 32).rgb.shape[0] == 2 and render(mesh, cameras[0], 32).rgb.shape[0] == 2
    with pytest.raises(InputError):
        render(mesh, Camera.turntable(3), 32)


def test_backgrounds_and_straight_alpha():
    mesh, camera = ball(texture=smooth()), Camera.front(**FACING, fov=50.0)
    clear = render(mesh, camera, 64, background="transparent")
    for colour in ((1.0, 1.0, 1.0), (0.1, 0.4, 0.2)):
        over = render(mesh, camera, 64, background=colour)
        ground = srgb_to_linear(torch.tensor(colour)).view(1, 3, 1, 1)
        mixed = linear_to_srgb(srgb_to_linear(clear.rgb) * clear.alpha + (1 - clear.alpha) * ground)
        assert torch.allclose(over.rgb, mixed, atol=1e-4)
        assert torch.equal(over.alpha, clear.alpha)
    assert bool((clear.rgb[:, :, 0, 0] == 0).all())
    studio = render(mesh, camera, 64, background="studio").rgb[0, :, 0]
    assert float(studio.std()) < 0.1 and 0.3 < float(studio.mean()) < 0.9
    assert clear.to_pil().mode == "RGBA" and render(mesh, camera, 16).to_pil().mode == "RGB"
    for wrong in ("pink", (2.0, 0.0, 0.0)):
        with pytest.raises(InputError):
            render(mesh, camera, 16, background=wrong)


@pytest.mark.parametrize("quality", ["standard", "high"])
@pytest.mark.parametrize("relief", [False, True])
def test_pictures_without_anything_in_them(quality, relief):
    mesh = board(texture=smooth(), displacement=torch.zeros(1, 1, 8, 8) if relief else None)
    away = Camera.front(target=(0.0, 900.0, 0.0), distance=300.0)
    for faces in (mesh.faces, mesh.faces[:0]):
        empty = dataclasses.replace(mesh, faces=faces, faces_uvs=faces)
        picture = render(empty, away, 24, quality=quality, background=(0.2, 0.4, 0.6))
        assert torch.allclose(picture.rgb, torch.tensor([0.2, 0.4, 0.6])[:, None, None].expand(3, 24, 24))
        assert not bool(picture.alpha.any()) and bool((picture.face_ids == -1).all())


def test_depth_and_normals_of_a_ball():
    picture = render(ball(rings=60), Camera.front(**FACING, fov=50.0), 65)
    assert abs(float(picture.depth[0, 0, 32, 32]) - 170.0) < 0.3
    assert torch.allclose(picture.normals[0, :, 32, 32], torch.tensor([0.0, 0.0, 1.0]), atol=0.02)
    covered = picture.face_ids >= 0
    assert torch.equal(torch.isfinite(picture.depth[:, 0]), covered)
    assert torch.allclose(picture.normals.norm(dim=1), covered.float(), atol=1e-4)
    assert float(picture.normals[0, 0, 32, 45]) > 0.2 and float(picture.normals[0, 1, 20, 32]) > 0.2


@pytest.mark.parametrize("lights", sorted(PRESETS))
@pytest.mark.parametrize("quality", ["standard", "high"])
def test_all_presets_are_finite_and_in_range(lights, quality):
    for mesh in (ball(), ball(texture=torch.rand(1, 3, 8, 8))):
        for azimuth in (0.0, 150.0):
            rgb = render(mesh, Camera.orbit(azimuth, **FACING, fov=50.0), 32, lights=lights, quality=quality).rgb
            assert bool(((rgb >= 0) & (rgb <= 1)).all())


def test_gradients_to_vertices_and_texture_by_finite_differences():
    torch.manual_seed(0)
    mesh = dataclasses.replace(board(200.0), texture=smooth(32))
    camera = Camera.front(target=(0.0, 0.0, 0.0), distance=100.0, fov=40.0)  # the board fills the picture
    weights = torch.randn(1, 3, 24, 24)

    def loss(verts, texture):
        return (render(dataclasses.replace(mesh, verts=verts, texture=texture), camera, 24).rgb * weights).sum()

    verts, texture = mesh.verts.clone().requires_grad_(), mesh.texture.clone().requires_grad_()
    loss(verts, texture).backward()
    assert bool(torch.isfinite(verts.grad).all()) and bool(torch.isfinite(texture.grad).all())
    assert float(verts.grad.abs().max()) > 0 and float(texture.grad.abs().max()) > 0
    for leaf, step in ((verts, 0.5), (texture, 0.02)):
        way = torch.randn_like(leaf)
        ahead, behind = (
            loss(*(t.detach() + sign * step * way if t is leaf else t.detach() for t in (verts, texture)))
            for sign in (1, -1)
        )
        measured, given = (ahead - behind) / (2 * step), (leaf.grad * way).sum()
        assert abs(float(measured - given)) < 0.05 * abs(float(given)) + 2e-2


def test_a_light_in_the_world_stays_while_the_camera_moves():
    mesh = ball()
    fixed = dataclasses.replace(PRESETS["studio"], frame="world")
    front, back = (render(mesh, Camera.orbit(a, **FACING, fov=50.0), 32, lights=fixed).rgb for a in (0.0, 180.0))
    moved = render(mesh, Camera.orbit(180.0, **FACING, fov=50.0), 32).rgb
    assert float((front - back).abs().mean()) > 0.01
    assert float((front - moved).abs().mean()) < 0.01


def test_pictures_are_saved(tmp_path):
    from PIL import Image

    picture = render(ball(), Camera.front(**FACING, fov=50.0), (24, 32), background="transparent")
    assert Image.open(picture.save(tmp_path / "a.png")).mode == "RGBA"
    assert Image.open(picture.save(tmp_path / "a.jpg")).size == (32, 24)
    with pytest.raises(InputError):
        render(ball(), Camera.turntable(2), 16).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="suffix"):
        picture.save(tmp_path / "a.xyz")


def test_brows_and_the_crown_shine_less(default_pipeline):
    mesh = default_pipeline.template.mesh(default_pipeline.template.verts[None])
    share, marks = sheen(mesh), mesh.landmarks
    assert float(share.min()) > 0.2 and float(share.max()) == 1.0
    assert bool((share[marks[[27, 30, 33]]] == 1).all())  # nose
    assert float(share[marks[17:27]].max()) < 0.5
    assert float(share[mesh.verts[0, :, 1].argmax()]) < 0.6
    assert float(share[marks[[48, 54]]].max()) < 0.5 < float(share[marks[[51, 57]]].min())  # corners of the mouth, lips
    assert bool((sheen(dataclasses.replace(mesh, landmarks=None)) == 1).all())


def test_the_sides_of_the_nose_shine_less(default_pipeline):
    mesh = default_pipeline.template.mesh(default_pipeline.template.verts[None])
    share, verts = sheen(mesh), mesh.verts[0]
    marks = verts[mesh.landmarks]
    flanks = 0.5 * (marks[[39, 42]] + marks[[31, 35]])
    cheeks = 0.5 * (marks[[36, 45]] + marks[[48, 54]])
    near = [share[torch.cdist(places, verts).argmin(1)] for places in (flanks, cheeks)]
    assert float(near[0].max()) < 0.5 and float(near[1].min()) > 0.9


def test_a_lamp_from_behind_lights_the_rim_of_a_head_and_not_what_stands_out_in_front(default_pipeline):
    mesh = default_pipeline(seed=3, hair=None).mesh
    behind = Lights((Light(0.0, 0.0, 0.0), Light(150.0, 15.0, 1.0)), background=(0.0, 0.0, 0.0))
    rgb = render(mesh, Camera.front(), 128, behind).rgb[0].mean(0)
    places = pixel_points(mesh.verts, Camera.front(), 128, 128)[0][mesh.landmarks]
    x, y = (places[:, :2] / places[:, 2:]).long().unbind(1)
    lit = rgb[y, x]
    assert float(lit[27:36].max()) < 0.02, "nose"
    assert float(rgb[20:100, 64:].max()) > 0.3, "the lit side's outline"


def test_outlines_mirror_the_sky_unless_the_head_is_behind_them():
    """At grazing angles skin mirrors the sky, but not where cheeks or the neck are; dull skin mirrors little."""
    away = torch.tensor([[0.995], [0.0], [0.1]])
    normal, view = torch.nn.functional.normalize(away, dim=0), torch.tensor([[0.0], [0.0], [1.0]])
    facing, rough = (normal * view).sum(0), torch.tensor([0.5])

    def share(outward: list[float], reflectance: float = 0.025) -> float:
        outside = torch.tensor(outward)[:, None]
        return float(mirrored(rough, torch.tensor([reflectance]), normal, view, facing, outside))

    assert share([1.0, 0.0, 0.0]) > 3 * share([0.0, 0.0, 1.0])
    assert share([0.0, 0.0, 1.0]) == pytest.approx(0.025, abs=1e-3), "a nose before a cheek"
    assert share([1.0, 0.0, 0.0], 0.005) < 0.5 * share([1.0, 0.0, 0.0])
