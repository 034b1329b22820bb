"""Hair found in pictures, whose heads and cameras are known."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit.color import luminance
from facekit.conventions import CHIN
from facekit.metrics.texture import lab
from facekit.person import Person
from facekit.reconstruct.api import dressed
from facekit.reconstruct.hair import _COVERED, _CROWN, _cheeks, _groups, _unlike, find_hair
from facekit.reconstruct.hair_colour import between, natural_colour, unlit
from facekit.reconstruct.silhouettes import Silhouettes
from facekit.reconstruct.tied import KNOT, TAIL, chance_of, tied_style
from facekit.reconstruct.worn import frequencies, of_a_man, tied_back
from facekit.render import Camera

CAMERA = Camera.front(distance=900.0, target=(0.0, 0.0, 40.0))


@pytest.fixture(scope="module")
def person_of(default_pipeline):
    def make(seed, hair):
        face = default_pipeline(seed=seed, hair=hair, detail=False)
        person = Person(default_pipeline.decode_shape(face.latents)[0], face.latents, face.texture)
        return face, default_pipeline.with_person(person)

    return make


def silhouettes(picture, pipe, face, camera=CAMERA):
    neutral, posed = pipe.decode_neutral(face.latents), pipe.decode_shape(face.latents)
    return Silhouettes.of(picture, pipe, neutral, posed, camera[0])


@pytest.mark.parametrize(
    ("seed", "style"), [(404, "afro01"), (403, "long01"), (406, "short02"), (405, "bald"), (411, "cropped01")]
)
def test_the_style_that_was_worn_is_found(person_of, seed, style):
    face, pipe = person_of(seed, style)
    picture = face.render(CAMERA, image_size=320).rgb[0]
    found = find_hair(pipe, face.latents, silhouettes(picture, pipe, face))
    assert found is not None and found.style == style
    if style != "bald":
        assert found.agreement[style] > 0.8
        worn = face.hair[0].colour
        assert float((found.colour - worn).abs().max()) < 0.15


def test_how_often_styles_are_worn_decides_where_silhouettes_are_alike(person_of):
    face, pipe = person_of(406, "bun01")
    picture = face.render(CAMERA, image_size=320).rgb[0]
    hers, his = (find_hair(pipe, face.latents, silhouettes(picture, pipe, face), man) for man in (0.02, 0.98))
    assert hers.agreement == his.agreement
    assert hers.style in (TAIL, KNOT) and his.style in ("cropped01", "short01", "short02", "short04")


@pytest.mark.parametrize("yaw", [0.0, -40.0])
@pytest.mark.parametrize("style", [TAIL, KNOT])
def test_a_knot_above_the_crown_and_a_tail_are_told_apart(person_of, style, yaw):
    camera, right = Camera.orbit(yaw, distance=900.0), 0
    for seed in (406, 411, 413):
        face, pipe = person_of(seed, style)
        picture = face.render(camera, image_size=320, background=(0.85, 0.86, 0.88)).rgb[0]
        found = find_hair(pipe, face.latents, silhouettes(picture, pipe, face, camera), 0.02)
        right += found is not None and found.style == style
    assert right >= 2, "of three people, whose knots are higher or lower"


def test_where_the_crown_is_unseen_tied_styles_are_drawn_by_their_frequency():
    cover = dict.fromkeys((TAIL, KNOT), torch.zeros(8, 8))
    nothing, seen, marks = torch.zeros(8, 8), torch.ones(8, 8, dtype=torch.bool), torch.full((68, 2), 4.0)
    codes = torch.randn(400, 1, 20, generator=torch.Generator().manual_seed(3))
    # Most knots would be seen: where none is, there are four times fewer than are worn.
    for often, least, most in (({TAIL: 1.0, KNOT: 12.0}, 0.65, 0.85), ({TAIL: 1.0, KNOT: 0.0}, 0.0, 0.0)):
        drawn = [tied_style(cover, nothing, seen, marks, 0.0, often, chance_of(code)) for code in codes]
        assert least <= sum(style == KNOT for style in drawn) / len(drawn) <= most


def test_tied_hair_that_looks_short_is_found_by_how_often_both_are_worn():
    hers, his = (frequencies(("short01", "short02", TAIL, KNOT), man, 70.0) for man in (0.1, 0.9))
    assert tied_back(hers, (TAIL, KNOT), ("short01", "short02"))
    assert not tied_back(his, (TAIL, KNOT), ("short01", "short02"))


def test_the_shadow_of_a_beard_is_a_mans(person_of):
    face, pipe = person_of(406, "bald")
    square = silhouettes(face.render(CAMERA, image_size=320, lights="flat").rgb[0], pipe, face)
    colours = lab(square.crop[None])[0]
    tone = colours[:, _cheeks(square.marks, square.head)].median(dim=1).values
    below = torch.arange(144)[:, None] > square.marks[33, 1]
    shadow = torch.where(below, colours.new_tensor([-3.0, -4.0, 0.0])[:, None, None], colours.new_zeros(1))
    without, bearded, reddened = (
        of_a_man(colours + step, square.marks, square.head, tone, 0.5) for step in (0.0, shadow, -shadow)
    )
    assert bearded > without + 0.2 > reddened + 0.3
    unseen = torch.zeros_like(square.head)
    assert of_a_man(colours, square.marks, unseen, tone, 0.3) == 0.3


def test_a_fringe_decides_between_short_styles(person_of):
    """Photograph 006 of the London Set has high hair above a free forehead."""
    face, pipe = person_of(406, "short02")
    drawn = face.render(CAMERA, image_size=320)
    square = silhouettes(drawn.rgb[0], pipe, face)
    brows = square.marks[17:27, 1].mean()
    skin = square.crop[:, int(square.marks[30, 1]), int(square.marks[27, 0]) + 22]
    line = square.marks[CHIN, 1] - brows
    rows = torch.arange(144)[:, None]
    forehead = (rows < brows) & (rows > brows - 0.3 * line) & (square.head > 0.9)
    free = dataclasses.replace(square, crop=torch.where(forehead, skin[:, None, None], square.crop))
    fringed, bare = (find_hair(pipe, face.latents, one, 0.98) for one in (square, free))
    assert fringed is not None and fringed.style == "short02"
    assert bare is not None and bare.style in ("short01", "short04")


def test_hair_beside_the_neck_is_a_tail(person_of):
    face, pipe = person_of(406, "bun01")
    drawn = face.render(CAMERA, image_size=320, background=(0.85, 0.86, 0.88))
    tail = torch.zeros(320, 320, dtype=torch.bool)
    tail[190:262, 196:232] = True
    colour = drawn.rgb[0][:, drawn.hair[0, 0] > 0.9].median(dim=1).values
    picture = torch.where(tail & (drawn.alpha[0, 0] < 0.5), colour[:, None, None], drawn.rgb[0])
    found = find_hair(pipe, face.latents, silhouettes(picture, pipe, face), 0.02)
    assert found is not None and found.style == "ponytail01"


def test_skin_below_a_high_hairline_does_not_lighten_hair(person_of):
    """Photograph 017 of the London Set has it: black hair came out as light as the forehead made it."""
    face, pipe = person_of(412, "short02")
    square = silhouettes(face.render(CAMERA, image_size=320).rgb[0], pipe, face)
    brows = square.marks[17:27, 1].mean()
    crown = torch.stack(list(square.cover.values())).amin(0) > _COVERED
    crown &= torch.arange(len(crown))[:, None] < brows - _CROWN * (square.marks[CHIN, 1] - brows)
    crown &= crown.sum(1).cumsum(0)[:, None] > 0.55 * crown.sum()
    skin = square.crop[:, int(square.marks[30, 1]), int(square.marks[27, 0]) + 22]
    high = dataclasses.replace(square, crop=torch.where(crown, skin[:, None, None], square.crop))
    before, after = (find_hair(pipe, face.latents, one) for one in (square, high))
    assert before is not None and after is not None and after.style != "bald"
    assert float((after.colour - before.colour).abs().max()) < 0.01


def test_hair_wider_and_lighter_than_any_style_is_no_background(person_of):
    face, pipe = person_of(403, "long01")
    drawn = face.render(CAMERA, image_size=320, background=(0.85, 0.86, 0.88))
    hair, low = drawn.hair[0, 0] > 0.5, torch.arange(320)[:, None] > 150
    wide = torch.nn.functional.max_pool2d(hair[None].float(), 41, 1, 20)[0] > 0
    ends = (hair | (wide & (drawn.alpha[0, 0] < 0.5))) & low
    colour = 1.4 * drawn.rgb[0][:, hair].median(dim=1).values
    picture = torch.where(ends, colour[:, None, None], drawn.rgb[0]).clamp(0, 1)
    found = find_hair(pipe, face.latents, silhouettes(picture, pipe, face))
    assert found is not None and found.style == "long01"


def test_bytes_and_floats_are_one_picture(person_of):
    face, pipe = person_of(401, "afro01")
    pixels = (face.render(CAMERA, image_size=320).rgb[0] * 255).round().byte()
    one, other = (silhouettes(picture, pipe, face) for picture in (pixels, pixels.float() / 255))
    assert torch.equal(one.crop, other.crop) and one.crop.mean() > 0.1


def test_the_square_is_the_pictures_part(person_of):
    face, pipe = person_of(401, "bald")
    far = Camera.front(distance=1800.0, target=(0.0, 0.0, 40.0))
    rows, columns = torch.meshgrid(torch.arange(1500.0), torch.arange(1500.0), indexing="ij")
    found = silhouettes(torch.stack((columns, rows, rows)) / 1500, pipe, face, far)
    at = found.crop[:2] * 1500 + 0.5  # where each of the square's pixels lies in the photograph
    first, last = at[:, 0, 0], at[:, -1, -1]
    assert bool(found.seen.all()) and float(last[0] - first[0]) > 3 * 144  # averaged over three pixels and more
    marks = far.project(pipe.decode_shape(face.latents)[:, pipe.template.landmarks], (1500, 1500))[0, :, :2]
    expected = (marks - first) / (last - first) * 143 + 0.5
    assert float((expected - found.marks).abs().max()) < 0.1


def test_a_crown_outside_of_the_picture_tells_nothing(person_of):
    face, pipe = person_of(401, "afro01")
    low = Camera.front(distance=420.0, target=(0.0, -60.0, 40.0))
    picture = face.render(low, image_size=256).rgb[0]
    assert find_hair(pipe, face.latents, silhouettes(picture, pipe, face, low)) is None


def test_the_person_wears_it_from_then_on(person_of):
    face, pipe = person_of(403, "long01")
    assert pipe(latents=face.latents).hair == ()
    picture = face.render(CAMERA, image_size=256).rgb[0]
    styles = [silhouettes(picture, pipe, face)]
    wearing = dressed(pipe, face.latents, styles, "auto")
    hair = wearing(latents=face.latents.with_expression("smile"), detail=False).hair
    assert hair[0].style.startswith("long01") and torch.equal(hair[0].colour, wearing.person.hair_colour)
    named = dressed(pipe, face.latents, styles, "short01")
    assert named.person.hair == "short01"
    assert wearing(latents=face.latents, hair=None, detail=False).hair == ()


@pytest.mark.parametrize(
    ("name", "measured", "natural"),
    [
        ("blond stays", (0.52, 0.32, 0.13), (0.52, 0.32, 0.13)),
        ("grey stays", (0.4, 0.4, 0.4), (0.4, 0.4, 0.4)),
        ("blue-black is black", (0.02, 0.022, 0.03), (0.022, 0.022, 0.022)),
    ],
)
def test_colours_are_natural(name, measured, natural):
    found = natural_colour(torch.tensor(measured))
    assert found.tolist() == pytest.approx(natural, abs=2e-3), name


def test_no_hair_is_violet_or_green():
    for colour in torch.rand(100, 3, generator=torch.Generator().manual_seed(1)):
        found = natural_colour(colour)
        assert found.tolist() == sorted(found.tolist(), reverse=True)
        assert luminance(found.view(1, 3, 1, 1)).item() == pytest.approx(luminance(colour.view(1, 3, 1, 1)).item())


def test_lamps_mirrored_in_hair_do_not_lighten_it_and_grey_hair_stays_grey():
    skin, light = torch.tensor([0.42, 0.24, 0.16]), torch.tensor([1.1, 1.0, 0.9])
    brown, grey, blond = (torch.tensor(c) for c in ([0.040, 0.020, 0.012], [0.20, 0.18, 0.165], [0.30, 0.18, 0.08]))
    for albedo, lamps in ((brown, 0.0), (brown, 0.03), (grey, 0.02), (blond, 0.02)):
        shown = [(share * albedo + mirrored) * light for share, mirrored in ((1.0, lamps), (0.6, 0.2 * lamps))]
        found = unlit(*shown, skin * light, skin)
        assert 0.6 < float(found.mean() / albedo.mean()) < 1.6, (albedo, lamps, found)


def test_skin_between_short_hairs_does_not_make_black_hair_brown_or_grey():
    skin, black = torch.tensor([0.12, 0.06, 0.035]), torch.tensor([0.018, 0.014, 0.012])
    shown = [(1 - bare) * black + bare * skin + gleam for bare, gleam in ((0.4, 0.02), (0.25, 0.004))]
    found = unlit(*shown, skin, skin)
    assert float(found.mean()) < 0.5 * float(shown[0].mean()) and float(found.mean()) < 0.3 * float(skin.mean())


def test_skin_between_cropped_hairs_does_not_lighten_them():
    skin, hair, light = torch.tensor([0.42, 0.30, 0.24]), torch.tensor([0.10, 0.07, 0.05]), 1.7
    seen = 0.75 * hair + 0.25 * skin
    found = between(0.95**-1 * seen * light, skin * light, skin)
    assert abs(float(found.mean() / hair.mean()) - 1) < 1e-3
    # Of what is darker than the skin that should show, a share is hair's all the same.
    assert torch.allclose(between(skin * 0.2, skin, skin), 0.35 * 0.95 * 0.2 * skin)


def test_above_dark_sides_a_glossy_crown_is_thin_rather_than_bald(person_of):
    face, pipe = person_of(21, "cropped01")
    picture = face.render(CAMERA, image_size=320).rgb[0].clone()
    drawn = silhouettes(picture, pipe, face)
    crop = drawn.crop.clone()
    crop[:, : int(drawn.marks[17:27, 1].mean()) - 18] = crop.new_tensor([0.97, 0.94, 0.92])[:, None, None]
    found = find_hair(pipe, face.latents, dataclasses.replace(drawn, crop=crop), 1.0)
    assert found is not None and found.style == "receding01" and float(found.colour.max()) < 0.7


def test_the_background_above_flat_hair_is_not_its_colour():
    colours = torch.full((3, 64, 64), 40.0)
    colours[:, :20] = torch.tensor([86.0, 0.0, 0.0])[:, None, None]
    crown = torch.zeros(64, 64, dtype=torch.bool)
    crown[10:40, 20:40] = True
    outside = torch.tensor([86.0, 0.0, 0.0])[:, None] + torch.linspace(-1, 1, 200)

    def middles(samples):
        return [group.median(dim=1).values for group in _groups(samples)]

    own = _unlike(crown, colours, middles(outside), 14.0)
    assert bool(own[20:40, 20:40].all()) and not own[:20].any()
    assert torch.equal(_unlike(crown, colours, middles(outside[:, :4]), 14.0), crown), "no background to tell from"
    alike = torch.full((3, 64, 64), 86.0)
    assert torch.equal(_unlike(crown, alike, middles(outside), 14.0), crown), "hair like the background"
