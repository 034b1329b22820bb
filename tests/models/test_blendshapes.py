"""The 52 blendshapes: moved regions, dependence on the person, correctives of pairs, and their file."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from facekit import BLENDSHAPES, FaceLatents
from facekit.conventions import GAZE_ACROSS, GAZE_UP, PARTS
from facekit.errors import WeightsError
from facekit.files.readers import load_arrays
from facekit.metrics.contact import Contact, flipped_triangles
from facekit.models.blendshape_data import STEP, pack, unpack
from facekit.weights import verified


def index(name: str) -> int:
    return BLENDSHAPES.index(name)


def one(**weights: float) -> torch.Tensor:
    code = torch.zeros(1, len(BLENDSHAPES))
    for name, weight in weights.items():
        code[0, index(name)] = weight
    return code


@pytest.fixture(scope="module")
def shapes(default_pipeline):
    return default_pipeline.blendshapes


@pytest.fixture(scope="module")
def neutral(default_pipeline) -> torch.Tensor:
    return default_pipeline.decode_shape(FaceLatents.sample(3, 2).at_rest())


def test_rest_is_rest(shapes, neutral):
    assert not shapes(torch.zeros(2, 52), neutral).any()


@pytest.mark.parametrize("name", BLENDSHAPES)
def test_each_shape_moves_its_own_part_of_the_face(default_pipeline, name):
    """``…Left`` on the subject's left, at +X; brows above, mouths below."""
    person = FaceLatents.sample(3)
    rest, posed = (
        default_pipeline.decode_shape(codes)
        for codes in (person.at_rest(), person.at_rest().with_blendshapes({name: 1.0}))
    )
    moved = (posed - rest).norm(dim=2)[0]
    if name == "mouthClose":
        assert float(moved.max()) < 0.01, "a closed mouth cannot be closed"
        return
    assert 1.0 < float(moved.max()) < 60
    verts = default_pipeline.template.verts
    centre = (moved[:, None] * verts).sum(dim=0) / moved.sum()
    sided = name.endswith(("Left", "Right")) and name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
    if sided:
        assert float(centre[0]) * (1 if name.endswith("Left") else -1) > 8
    else:
        assert abs(float(centre[0])) < 6
    high = {"eye": 5, "bro": 25}.get(name[:3])
    assert float(centre[1]) > high if high else float(centre[1]) < 15


def test_sideways_means_the_subjects_own_side(default_pipeline):
    person, chin = FaceLatents.sample(3).at_rest(), default_pipeline.template.landmarks[8]
    rest = default_pipeline.decode_shape(person)
    for name, sign in (("jawLeft", 1), ("jawRight", -1), ("mouthLeft", 1), ("mouthRight", -1)):
        lips = default_pipeline.template.landmarks[57]
        place = chin if name.startswith("jaw") else lips
        moved = default_pipeline.decode_shape(person.with_blendshapes({name: 1.0})) - rest
        assert sign * float(moved[0, place, 0]) > 2, name


@pytest.mark.parametrize(
    ("weights", "across", "up"),
    [
        ({"eyeLookOutLeft": 1, "eyeLookInRight": 1}, GAZE_ACROSS, 0),
        ({"eyeLookInLeft": 1, "eyeLookOutRight": 1}, -GAZE_ACROSS, 0),
        ({"eyeLookUpLeft": 1, "eyeLookUpRight": 1}, 0, GAZE_UP),
        ({"eyeLookDownLeft": 0.5, "eyeLookDownRight": 0.5}, 0, -GAZE_UP / 2),
        ({"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6, "eyeLookUpLeft": 0.6, "eyeLookUpRight": 0.6}, 21, 15),
    ],
)
def test_eyes_turn_about_their_centres_by_the_angle(shapes, neutral, weights, across, up):
    posed = neutral + shapes(one(**weights).expand(2, -1), neutral)
    for eye in shapes.eyes:
        centre = eye.centre(neutral)
        torch.testing.assert_close(eye.centre(posed), centre, atol=0.02, rtol=0)
        before, after = ((verts[:, eye.ball] - centre) for verts in (neutral, posed))
        torch.testing.assert_close(after.norm(dim=2), before.norm(dim=2), atol=1e-3, rtol=0)
        # The rotation that takes one to the other, seen on the axis that looks ahead.
        turned = torch.linalg.lstsq(before[0], after[0]).solution.T @ torch.tensor([0.0, 0.0, 1.0])
        assert math.degrees(math.atan2(turned[0], turned[2])) == pytest.approx(across, abs=0.3)
        assert math.degrees(math.asin(float(turned[1]))) == pytest.approx(up, abs=0.3)


def test_everyones_lids_meet(default_pipeline):
    people = FaceLatents.sample(40, 12).at_rest()
    upper, lower = (
        default_pipeline.template.landmarks[[37, 38, 43, 44]],
        default_pipeline.template.landmarks[[41, 40, 47, 46]],
    )
    opened, closed = (
        default_pipeline.decode_shape(codes)
        for codes in (people, people.with_blendshapes({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    )
    gap = [(verts[:, upper, 1] - verts[:, lower, 1]) for verts in (opened, closed)]
    assert float(gap[0].min()) > 3 and float(gap[1].abs().max()) < 1.2


def test_an_open_jaw_with_closed_lips(default_pipeline):
    person, marks = FaceLatents.sample(12).at_rest(), default_pipeline.template.landmarks
    rest = default_pipeline.decode_shape(person)
    for share in (0.5, 1.0):
        posed = default_pipeline.decode_shape(person.with_blendshapes({"jawOpen": share, "mouthClose": share}))
        gap = (posed - rest)[0, marks[62], 1] - (posed - rest)[0, marks[66], 1]
        assert abs(float(gap)) < 1.5, "lips as near as at rest"
        assert float((rest - posed)[0, marks[8], 1]) > 20 * share, "while the chin is down"
    opened, asked = (
        default_pipeline.decode_shape(person.with_blendshapes({"jawOpen": 0.3, **more}))
        for more in ({"mouthClose": 0.3}, {"mouthClose": 1.0})
    )
    assert torch.equal(opened, asked), "closed is closed"


def test_teeth_and_tongue_go_with_the_jaw(default_pipeline, shapes):
    template = default_pipeline.template
    moved = shapes.deltas.view(52, -1, 3)[index("jawOpen")].norm(dim=1)
    teeth = template.parts == PARTS.index("teeth")
    assert float((moved[teeth] > 15).float().mean()) > 0.35 and float((moved[teeth] < 0.1).float().mean()) > 0.35
    tongue = shapes.deltas.view(52, -1, 3)[index("tongueOut"), :, 2]
    tip = template.verts[tongue.argmax(), 2] + tongue.max()
    assert 5 < float(tip - template.verts[template.landmarks[57], 2]) < 25, "out between the lips"


def test_pairs_are_taken_with_their_product(shapes, neutral):
    a, b = shapes.pairs[len(shapes.pairs) // 2].tolist()
    rows = torch.zeros(4, 52)
    rows[1, a], rows[2, b] = 0.6, 0.5
    rows[3] = rows[1] + rows[2]
    at, first, second, both = shapes(rows, neutral[:1].expand(4, -1, -1))
    extra = both - first - second + at
    k = len(shapes.pairs) // 2
    wanted = torch.zeros_like(extra).index_add(0, shapes.corrected, 0.3 * shapes.corrections[k].view(-1, 3))
    torch.testing.assert_close(extra, wanted, atol=1e-4, rtol=0)
    assert float(wanted.abs().max()) > 0.1


def test_expressions_and_blendshapes_add_up(default_pipeline):
    person = FaceLatents.sample(12)
    smile, brows = person.at_rest().with_expression("smile", 0.5), {"browInnerUp": 1.0}
    rest, worn, lifted, both = (
        default_pipeline.decode_shape(codes)
        for codes in (
            person.at_rest(), smile, person.at_rest().with_blendshapes(brows), smile.with_blendshapes(brows),
        )
    )  # fmt: skip
    torch.testing.assert_close(both - worn, lifted - rest, atol=0.35, rtol=0)


def test_every_shape_alone_folds_little_and_pierces_nothing(default_pipeline):
    measure, faces = Contact(default_pipeline.template), default_pipeline.template.faces
    person = FaceLatents.sample(21).at_rest()
    rest = default_pipeline.decode_shape(person)
    codes = person.repeat(52).with_blendshapes(torch.eye(52))
    posed = torch.cat([default_pipeline.decode_shape(some) for some in codes.split(13)])
    assert int(flipped_triangles(faces, rest, posed).sum(dim=1).max()) <= 20
    for depth in (measure.lids, measure.lips):
        assert float((depth(posed) - depth(rest)).max()) <= 0.3


def test_skin_follows_through_the_expressions(default_pipeline):
    person = FaceLatents.sample(12).at_rest()
    smile = person.with_blendshapes({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 1.0})
    said = default_pipeline.blendshapes.expressions(smile.blendshapes)[0]
    assert int(said.argmax()) == 1 and float(said[1]) > 0.5
    tiles = [default_pipeline.decode_texture(codes) for codes in (person, smile)]
    assert float((tiles[1] - tiles[0]).abs().max()) > 0.02


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrays():
    return load_arrays(verified("default", "blendshapes"))


def test_the_file_is_small_and_exact(arrays):
    assert verified("default", "blendshapes").stat().st_size < 2.5e6
    rig = unpack(arrays)
    again = unpack(pack(rig))
    for name in ("deltas", "corrections"):
        assert float((getattr(again, name) - getattr(rig, name)).abs().max()) < 1e-6
    rough = rig.deltas[:3] + 0.3 * torch.randn(3, *rig.deltas.shape[1:], generator=torch.Generator().manual_seed(1))
    whole = dataclasses.replace(rig, deltas=torch.cat((rough, rig.deltas[3:])))
    assert float((unpack(pack(whole)).deltas[:3] - rough).norm(dim=2).max()) <= STEP


@pytest.mark.parametrize(
    "change",
    [
        {"vertices": torch.tensor(7)},
        {"deltas.steps": torch.zeros(3, 5, dtype=torch.int16)},
        {"deltas.moved": torch.zeros(51, 3074, dtype=torch.uint8)},
        {"expressions.blendshapes": torch.zeros(20, 51)},
        {"jaw_of_tongue": None},
    ],
)
def test_a_damaged_file_is_refused(arrays, change):
    damaged = {**arrays, **change}
    with pytest.raises(WeightsError, match="arrays of a rig"):
        unpack({name: value for name, value in damaged.items() if value is not None})
