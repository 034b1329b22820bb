"""Rendering of hair: correct blending order, an unchanged picture without hair, and correct depth and id buffers."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import facekit
from facekit.errors import InputError
from facekit.hair import HAIR_PARTS, HIDDEN, Hair, HairCards, tinted
from facekit.mesh import FaceMesh
from facekit.render import Camera, Lights, passes
from facekit.render.peeling import in_order
from facekit.render.shading import shade
from facekit.render.strands import Seen, Strands


def sheet(z: float, half: float = 40.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    verts = torch.tensor([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return verts, torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])


def cards(levels: list[tuple[float, float]], head: int, part: str = "hair") -> Hair:
    """Sheets at depths (z, half width) with a coverage of one half."""
    verts, faces, uvs = zip(*(sheet(z, half) for z, half in levels), strict=True)
    index = torch.cat([f + 4 * k for k, f in enumerate(faces)])
    points = torch.cat(verts)
    made = HairCards(
        "test+test", points, index, torch.cat(uvs), index, torch.full((2, 16, 16), 0.5),
        torch.tensor([0.0, 1.0, 0.0]).expand(len(points), 3), torch.ones(len(points)),
        torch.full((len(points),), HAIR_PARTS.index(part), dtype=torch.uint8), 1.0, torch.zeros(head),
        torch.zeros(head), torch.ones(head),
    )  # fmt: skip
    return Hair(made, points, torch.tensor([0.2, 0.1, 0.05]))


@pytest.fixture(scope="module")
def plane() -> FaceMesh:
    verts, faces, uvs = sheet(0.0, 60.0)
    return FaceMesh(verts[None], faces, uvs, faces, texture=torch.full((1, 3, 8, 8), 0.8))


CAMERA = Camera(torch.tensor([[0.0, 0.0, 500.0]]), torch.zeros(1, 3), 22.0)


def drawn(mesh, hair, **options):
    return facekit.render(mesh, CAMERA, 64, "flat", hair=hair, background=(1.0, 1.0, 1.0), **options)


def test_coverage_adds_up_in_layers(plane):
    bare = drawn(plane, None)
    for count in (1, 2, 3):
        levels = [(10.0 * k, 40.0) for k in range(1, count + 1)]
        shown = drawn(plane, cards(levels, 4))
        assert abs(float(shown.hair[0, 0, 32, 32]) - (1 - 0.5**count)) < 1e-3
        # Whatever order the triangles come in.
        turned = drawn(plane, cards(levels[::-1], 4))
        assert (shown.rgb - turned.rgb).abs().max() < 1e-5
    assert bare.hair is None and (bare.rgb[..., 32, 32] - 0.8).abs().max() < 1e-5


def test_strands_seen_edge_on_are_blurred_across_and_not_along():
    hair = cards([(0.0, 40.0)], 4)  # strands run upward, along v
    levels = {}
    for side, axis in (("across", 0), ("along", 1)):
        for angle in (0.0, 80.0):
            away = torch.zeros(3)
            away[axis], away[2] = math.sin(math.radians(angle)), math.cos(math.radians(angle))
            up = (0.0, 1.0, 0.0) if axis == 0 else (0.0, 0.0, -1.0)
            camera = Camera(500 * away[None], torch.zeros(1, 3), 22.0, up=up)
            seen = Seen.of(hair, camera, (64, 64), 1.0)
            levels[side, angle] = Strands.of(seen, Lights.preset("studio")).level
    flat = levels["across", 0.0]
    assert ((levels["across", 80.0] - flat) > 2.2).all()
    assert ((levels["along", 80.0] - flat).abs() < 0.4).all()


def test_hair_that_lies_on_the_head_fades_at_its_outline_and_first_from_behind(plane):
    on, free = cards([(0.0, 40.0)], 4), cards([(0.0, 70.0)], 4)
    assert (on.cards.fuzz > 0).all() and not free.cards.fuzz.any(), "what reaches below the chin hangs free"
    assert not cards([(0.0, 40.0)], 4, "beard").cards.fuzz.any()
    tied = cards([(0.0, 40.0), (-120.0, 70.0)], 4).cards.fuzz
    assert (tied[:4] > on.cards.fuzz).all() and not tied[4:].any(), "a tail behind the head is no sheet beside the face"

    def covered(hair, angle):
        turn = math.radians(angle)
        camera = Camera(500 * torch.tensor([[math.sin(turn), 0.0, math.cos(turn)]]), torch.zeros(1, 3), 22.0)
        out = facekit.render(dataclasses.replace(plane, verts=plane.verts - 500.0), camera, 64, "flat", hair=hair)
        return float(out.hair[0, 0, 32, 32])

    for angle in (0.0, 60.0, 180.0):
        assert covered(on, angle) == pytest.approx(covered(free, angle), abs=1e-3)
    assert covered(free, 80.0) == pytest.approx(covered(free, 100.0), abs=0.01)
    assert covered(on, 100.0) < 0.6 * covered(on, 80.0) < 0.4 * covered(free, 80.0)


def test_values_are_interpolated_in_perspective():
    hair = cards([(0.0, 40.0)], 4)
    slanted = Camera(torch.tensor([[30.0, -70.0, 25.0]]), torch.zeros(1, 3), 60.0, up=(0.0, 0.0, 1.0))
    seen = Seen.of(hair, slanted, (64, 64), 1.0)
    strands = Strands.of(seen, Lights.preset("studio"))
    for share in torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.2, 0.8], [0.3, 0.3, 0.4]]):
        point = seen.points[:, hair.cards.faces.t()].mul(share[:, None]).sum(1)  # of each face
        uv = hair.cards.uvs.t()[:, hair.cards.faces_uvs.t()].mul(share[:, None]).sum(1)
        x, y, z = strands.facets[:27].view(3, 9, -1)
        found = (x * point[0] + y * point[1] - z * point[2])[7:]
        assert (found - hair.cards.mip.places(uv, strands.level)).abs().max() < 1e-4


def test_light_hair_is_lit_inside_too(plane):
    dark = cards([(20.0, 40.0)], 4)
    dark = dataclasses.replace(dark, cards=dataclasses.replace(dark.cards, openness=torch.full((4,), 0.3)))
    light = dataclasses.replace(dark, colour=torch.tensor([0.8, 0.8, 0.8]))
    assert (dark.openness < 0.4).all() and (light.openness > 0.55).all()
    assert (cards([(20.0, 40.0)], 4).openness == 1).all()


def test_painted_hair_is_hardly_in_shade():
    made = cards([(20.0, 40.0)], 4).cards
    made = dataclasses.replace(made, shade=torch.full((4,), 0.35), cap=torch.tensor([0.0, 0.5, 1.0, 1.0]))
    assert made.light[0] == made.shade[0] and (made.light.diff() >= 0).all()
    assert 0.75 < float(made.light[3]) < 1


def test_what_the_head_hides_is_hidden(plane):
    behind = drawn(plane, cards([(-30.0, 40.0)], 4))
    assert (behind.rgb - drawn(plane, None).rgb).abs().max() < 1e-4
    around = drawn(plane, cards([(-30.0, 100.0)], 4))  # past the head it shows
    assert float(around.alpha[0, 0, 32, 6]) > 0.4 > float(behind.alpha[0, 0, 32, 6])


def test_buffers_tell_of_hair_where_it_hides(plane):
    thin, thick = drawn(plane, cards([(20.0, 40.0)], 4)), drawn(plane, cards([(20.0, 40.0), (21.0, 40.0)], 4))
    assert int(thin.face_ids[0, 32, 32]) >= 0 and abs(float(thin.depth[0, 0, 32, 32]) - 500) < 1e-2
    assert int(thick.face_ids[0, 32, 32]) == HIDDEN and abs(float(thick.depth[0, 0, 32, 32]) - 480) < 1.1


def test_what_opaque_hair_hides_is_not_shaded(plane, monkeypatch):
    counts = []
    monkeypatch.setattr(passes, "shade", lambda found, *rest: counts.append(len(found.span)) or shade(found, *rest))
    for quality in ("standard", "high"):
        counts.clear()
        opaque = cards([(20.0, 40.0)], 4)
        dense = dataclasses.replace(opaque.cards, strands=torch.stack((torch.full((16, 16), 0.5), torch.ones(16, 16))))
        bare, half = drawn(plane, None, quality=quality), drawn(plane, opaque, quality=quality)
        shown = drawn(plane, dataclasses.replace(opaque, cards=dense), quality=quality)
        first, second, third = counts
        assert first == second and third < 0.7 * first
        # What is beside the hair is as before, and the buffers tell of the hair.
        beside = shown.hair == 0
        assert torch.equal(shown.depth[beside], bare.depth[beside])
        assert torch.equal(shown.rgb[beside.expand(-1, 3, -1, -1)], bare.rgb[beside.expand(-1, 3, -1, -1)])
        assert int(shown.face_ids[0, 32, 32]) == HIDDEN and abs(float(shown.depth[0, 0, 32, 32]) - 480) < 1e-2
        assert float(half.hair[0, 0, 32, 32]) < float(shown.hair[0, 0, 32, 32]) == 1.0


def test_a_beard_says_so_and_brows_hide_nothing(plane):
    levels = [(10.0, 40.0), (20.0, 40.0)]
    beard, brows = (drawn(plane, cards(levels, 4, part)) for part in ("beard", "brows"))
    assert int(beard.face_ids[0, 32, 32]) == HIDDEN - 1 and float(beard.depth[0, 0, 32, 32]) < 491
    assert int(brows.face_ids[0, 32, 32]) >= 0 and abs(float(brows.depth[0, 0, 32, 32]) - 500) < 1e-2
    assert float((beard.hair - brows.hair).abs().max()) < 1e-6


def test_outlines_are_smooth_where_borders_are_opaque(plane):
    # Tufts, whose borders are transparent, have one sample a pixel.
    for part, smooth in (("hair", True), ("beard", False), ("lashes", False)):
        cover = drawn(plane, cards([(10.3, 40.2)], 4, part)).hair
        partial = (cover > 0.01) & (cover < 0.49)
        assert cover.max() > 0.49 and bool(partial.any()) is smooth


def test_fragments_come_in_order():
    place, depth = torch.tensor([3, 1, 3, 1, 2, 3]), torch.tensor([9.0, 5.0, 7.0, 9.0, 9.0, 8.0])
    places, order = in_order(place, depth, 4)
    assert places.tolist() == [1, 1, 2, 3, 3, 3]  # the farthest of one place stays before the next place's
    assert depth[order].tolist() == [5.0, 9.0, 9.0, 7.0, 8.0, 9.0]
    assert torch.equal(place[order], places)


def test_gradients_pass_through(plane):
    texture = plane.texture.clone().requires_grad_()
    shown = drawn(dataclasses.replace(plane, texture=texture), cards([(10.0, 40.0)], 4))
    shown.rgb.sum().backward()
    assert texture.grad is not None and texture.grad.abs().sum() > 0


def test_high_quality_agrees(plane):
    hair = cards([(10.0, 40.0), (25.0, 20.0)], 4)
    fine = drawn(plane, hair, quality="high")
    assert (fine.rgb - drawn(plane, hair).rgb).abs().mean() < 0.01


def test_threads_change_nothing(default_pipeline):
    # With two, the head's tables are made beside the hair.
    face, threads = default_pipeline(seed=7, hair="short02+full"), torch.get_num_threads()
    pictures = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            pictures.append(face.render(Camera.front(), 64).rgb)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert (pictures[0] - pictures[1]).abs().max() < 1e-6


def test_lists_that_are_written_over_are_ones_own(default_pipeline):
    # What is kept with the cards is the same after a picture as before.
    face = default_pipeline(seed=7, hair="short02+full")
    first = face.render(Camera.front(), 64, lights="flat").rgb
    face.render(Camera.three_quarter(), 64)
    assert torch.equal(face.render(Camera.front(), 64, lights="flat").rgb, first)


def test_a_number_that_fits_nobody_is_refused(plane):
    with pytest.raises(InputError, match="hair for 1"):
        drawn(plane, [None, None])


def test_faces_without_are_drawn_as_before(default_pipeline):
    face = default_pipeline(seed=7)
    camera = Camera.front()
    bare = face.without_hair().render(camera, 96)
    assert torch.equal(bare.rgb, facekit.render(face.mesh, camera, 96).rgb)
    worn = face.render(camera, 96)
    assert (worn.rgb - bare.rgb).abs().mean() > 0.01
    # Still from picture to picture: nothing in it is drawn by lot.
    assert torch.equal(worn.rgb, face.render(camera, 96).rgb)


def test_a_batch_of_people_is_each_alone(default_pipeline):
    pair = default_pipeline(latents=facekit.FaceLatents.sample(2, count=2))
    shown = pair.render(Camera.front(), 64)
    assert len(shown) == 2 and shown.hair.shape == (2, 1, 64, 64)
    assert (shown.rgb[1] - pair[1].render(Camera.front(), 64).rgb[0]).abs().max() < 1e-6


def test_strands_of_hair_without_pigment_differ_less():
    grey = torch.tensor([0.2, 0.5, 0.8])
    spans = []
    for colour in ([0.03, 0.02, 0.02], [0.6, 0.45, 0.3], [0.5, 0.49, 0.47], [0.76, 0.74, 0.71]):
        own = torch.tensor(colour)[:, None]
        shown = tinted(grey, own)
        assert (shown[:, 1] - own[:, 0]).abs().max() < 1e-6  # the hair's own colour in the middle
        spans.append(float((shown[:, 1] - shown[:, 0]).mean() / own.mean()))
    assert abs(spans[0] - spans[1]) < 1e-5 and spans[1] > spans[2] > spans[3] and spans[3] < 0.6 * spans[1]
