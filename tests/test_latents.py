"""FaceLatents: sampled values are frozen, and bad input is refused with a clear error."""

from __future__ import annotations

import json
import warnings

import pytest
import torch

from facekit import FaceLatents
from facekit.codes import expression_code
from facekit.conventions import BLENDSHAPES, EXPRESSIONS, MORPH_TARGETS
from facekit.errors import FileError, InputError

FIELDS = {"identity": 20, "expression": 20, "shape_noise": 5, "texture_noise": 128, "style": 20, "blendshapes": 52}

# The first five numbers and the sum of each field of seed 7. They never change: a seed stays the same person.
FROZEN = {
    "identity": ([-0.088649, 0.384739, -1.220071, 1.03821, -0.278224], -1.99539),
    "shape_noise": ([0.093402, 0.54434, 0.362442, -0.420811, 0.769351], 1.34872),
    "texture_noise": ([-0.878833, -0.38274, 0.623848, 0.995361, -1.495432], -7.85505),
    "style": ([-0.088649, 0.384739, -1.220071, 1.03821, -0.278224], -1.99539),
    "expression": ([1.0, 0.0, 0.0, 0.0, 0.0], 1.0),
    "blendshapes": ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0),
}


def equal(a: FaceLatents, b: FaceLatents) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


# -- sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FIELDS)
def test_seed_seven_is_frozen(field):
    start, total = FROZEN[field]
    value = getattr(FaceLatents.sample(7), field)
    assert value.shape == (1, FIELDS[field])
    assert value.dtype == torch.float32
    torch.testing.assert_close(value[0, :5], torch.tensor(start), atol=1e-5, rtol=0)
    assert float(value.sum()) == pytest.approx(total, abs=1e-4)


def test_a_face_does_not_depend_on_how_many_are_drawn():
    many = FaceLatents.sample(7, count=5)
    assert equal(many[:2], FaceLatents.sample(7, count=2))
    assert equal(many[3], FaceLatents.sample(10))


def test_sampling_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    FaceLatents.sample(7)
    assert torch.equal(torch.rand(1), expected)


def test_fields_are_drawn_apart():
    a = FaceLatents.sample(7)
    assert not torch.equal(a.identity[:, :5], a.shape_noise)
    assert not torch.equal(a.identity, a.texture_noise[:, :20])


def test_codes_are_standard_normal():
    identity = FaceLatents.sample(0, count=400).identity
    assert abs(float(identity.mean())) < 0.05
    assert float(identity.std()) == pytest.approx(1.0, abs=0.03)


def test_truncation_scales_people_and_not_expressions():
    full, half = FaceLatents.sample(7), FaceLatents.sample(7, expression="smile", intensity=0.8, truncation=0.5)
    for name in ("identity", "shape_noise", "texture_noise", "style"):
        torch.testing.assert_close(getattr(half, name), getattr(full, name) * 0.5)
    assert float(half.expression.sum()) == pytest.approx(0.8)
    assert not FaceLatents.sample(7, truncation=0.0).identity.any()


# -- expressions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expression_code_is_one_hot_times_intensity(name):
    code = expression_code(name, 0.7)
    assert code.nonzero().tolist() == [[EXPRESSIONS.index(name)]]
    assert float(code.sum()) == pytest.approx(0.7)


def test_blend_is_a_weighted_code():
    latents = FaceLatents.sample(7, count=2)
    blend = latents.blend({"smile": 0.7, "brow_raiser": 0.5})
    expected = 0.7 * expression_code("smile") + 0.5 * expression_code("brow_raiser")
    torch.testing.assert_close(blend.expression, expected.expand(2, -1))
    halved = latents.with_expression({"smile": 1.4, "brow_raiser": 1.0}, 0.5)
    torch.testing.assert_close(halved.expression, blend.expression)


def test_with_expression_keeps_the_person():
    latents = FaceLatents.sample(7)
    posed = latents.with_expression("anger", 1.2)
    assert all(torch.equal(getattr(posed, n), getattr(latents, n)) for n in FIELDS if n != "expression")
    assert equal(latents, FaceLatents.sample(7)), "the original is left as it was"


def test_beyond_the_trained_range_it_warns():
    with pytest.warns(UserWarning, match="smile at intensity 1.8"):
        expression_code("smile", 1.8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expression_code("smile", 1.5)


# -- blendshapes ------------------------------------------------------------------------------------------------------


def test_blendshapes_are_weights_by_name():
    latents = FaceLatents.sample(7, count=2, expression="smile")
    assert not latents.blendshapes.any()
    posed = latents.with_blendshapes({"jawOpen": 0.4, "eyeBlinkLeft": 1})
    assert posed.blendshapes[1, BLENDSHAPES.index("jawOpen")] == pytest.approx(0.4)
    assert float(posed.blendshapes.sum()) == pytest.approx(2.8)
    assert equal(posed.with_blendshapes({}), latents), "they replace what was there, and leave the expression"
    assert equal(posed.with_blendshapes(latents.blendshapes), latents)
    assert equal(latents.with_blendshapes(posed.blendshapes[0]), posed)
    assert not posed.at_rest().expression.any() and not posed.at_rest().blendshapes.any()


def test_files_of_earlier_versions_load():
    data = FaceLatents.sample(7).with_blendshapes({"jawOpen": 0.5}).to_dict()
    del data["blendshapes"]
    assert equal(FaceLatents.from_dict(data), FaceLatents.sample(7))


def test_blendshapes_are_interpolated_linearly():
    a, b = (FaceLatents.sample(1).with_blendshapes({"jawOpen": weight}) for weight in (0.2, 0.6))
    assert float(a.lerp(b, 0.5).blendshapes.sum()) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"jawopen": 1.0}, "'jawopen'; see facekit.BLENDSHAPES"),
        ({"jawOpen": 1.2}, r"'jawOpen' in \[0, 1\], got 1.2"),
        ({"jawOpen": float("nan")}, "finite"),
        ("jawOpen", "by name"),
        (torch.full((52,), 1.2), r"in \[0, 1\]"),
        (torch.zeros(3, 52), "1 rows like identity, got 3"),
    ],
)
def test_bad_blendshapes_are_told(weights, message):
    with pytest.raises(InputError, match=message):
        FaceLatents.sample(7).with_blendshapes(weights)


def test_a_blend_warns_once_by_its_sum(recwarn):
    expression_code({"smile": 1.0, "brow_raiser": 1.0})
    assert not recwarn.list
    expression_code(dict.fromkeys(MORPH_TARGETS, 1.5))
    expression_code(dict.fromkeys(MORPH_TARGETS, 2.0))
    assert ["add up to 28.5:" in str(recwarn[0].message), "add up to 38:" in str(recwarn[1].message)] == [True, True]
    assert len(recwarn) == 2


# -- walking ----------------------------------------------------------------------------------------------------------


def test_lerp_meets_both_ends():
    a, b = FaceLatents.sample(1, expression="smile"), FaceLatents.sample(2, expression="anger")
    for t, end in ((0.0, a), (1.0, b)):
        walked = a.lerp(b, t)
        for name in FIELDS:
            torch.testing.assert_close(getattr(walked, name), getattr(end, name), atol=1e-6, rtol=1e-6)


def test_lerp_keeps_people_distinct_in_the_middle():
    a, b = FaceLatents.sample(1, expression="smile"), FaceLatents.sample(2, expression="anger")
    middle = a.lerp(b, 0.5)
    expected = (a.identity.norm() + b.identity.norm()) / 2
    assert float(middle.identity.norm()) == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(middle.expression, (a.expression + b.expression) / 2)


# -- batches and files ------------------------------------------------------------------------------------------------


def test_batches():
    batch = FaceLatents.sample(3, count=3)
    assert len(batch) == 3
    assert equal(batch[-1], batch[2])
    assert equal(FaceLatents.cat(list(batch)), batch)
    repeated = batch[:2].repeat(2)
    assert equal(repeated[0], repeated[1])
    assert equal(repeated[3], batch[1])
    assert equal(batch.to("cpu"), batch)
    with pytest.raises(IndexError):
        batch[3]


def test_json_round_trip_is_exact(tmp_path):
    latents = FaceLatents.sample(11, count=3, expression={"smile": 1 / 3, "jaw_left": 0.1})
    path = latents.save(tmp_path / "new" / "codes.json")
    assert equal(FaceLatents.load(path), latents)
    assert equal(FaceLatents.from_dict(json.loads(json.dumps(latents.to_dict()))), latents)
    assert [p.name for p in path.parent.iterdir()] == ["codes.json"], "no temporary file is left"


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": "7"}, "seed"),
        ({"seed": 7, "count": 0}, "count"),
        ({"seed": 7, "count": 2.0}, "count"),
        ({"seed": 7, "truncation": 1.1}, "truncation between 0 and 1"),
        ({"seed": 7, "truncation": float("nan")}, "finite"),
        ({"seed": 7, "expression": "grim"}, "neutral, smile, mouth_stretch.*'grim'"),
        ({"seed": 7, "expression": {}}, "empty blend"),
        ({"seed": 7, "expression": None}, "name or a blend"),
        ({"seed": 7, "expression": {"smile": "much"}}, "as a number"),
        ({"seed": 7, "expression": {"smile": float("inf")}}, "finite"),
        ({"seed": 7, "expression": "smile", "intensity": float("nan")}, "finite"),
        ({"seed": 7, "expression": "smile", "intensity": float("inf")}, "finite"),
        ({"seed": 7, "expression": "smile", "intensity": -0.1}, "0 or more"),
        ({"seed": 7, "expression": "smile", "intensity": None}, "as a number"),
    ],
)
def test_bad_arguments_are_told(arguments, message):
    with pytest.raises(InputError, match=message):
        FaceLatents.sample(**arguments)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("identity", torch.zeros(20), r"shape \(B, 20\), got \(20,\)"),
        ("identity", torch.zeros(1, 19), r"\(1, 19\)"),
        ("texture_noise", torch.zeros(1, 5), r"\(B, 128\)"),
        ("style", torch.zeros(2, 20), "1 rows like identity, got 2"),
        ("expression", torch.zeros(1, 20, dtype=torch.int64), "int64"),
        ("expression", torch.zeros(1, 20, dtype=torch.float64), "float64"),
        ("shape_noise", [[0.0] * 5], "list"),
        ("shape_noise", torch.tensor([[0.0, 0, 0, 0, float("nan")]]), "NaN"),
    ],
)
def test_bad_codes_are_told(field, value, message):
    fields = {name: torch.zeros(1, size) for name, size in FIELDS.items()}
    with pytest.raises(InputError, match=message):
        FaceLatents(**{**fields, field: value})


def test_lerp_refuses_other_sizes_and_nan():
    a = FaceLatents.sample(1)
    with pytest.raises(InputError, match="1 faces, got 2"):
        a.lerp(FaceLatents.sample(1, count=2), 0.5)
    with pytest.raises(InputError, match="finite"):
        a.lerp(a, float("nan"))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, FileError),
        (b"not json", FileError),
        (b"\xff\xfe\x00", FileError),
        (b"[1, 2]", InputError),
        (b'{"identity": [[0]]}', InputError),
        (b'{"identity": [["a"]], "expression": 0, "shape_noise": 0, "texture_noise": 0, "style": 0}', InputError),
        (b'{"identity": {}, "expression": {}, "shape_noise": {}, "texture_noise": {}, "style": {}}', InputError),
        (b'{"identity": [[0],[0,1]], "expression": 0, "shape_noise": 0, "texture_noise": 0, "style": 0}', InputError),
    ],
)
def test_bad_files_are_told(tmp_path, content, error):
    path = tmp_path / "codes.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match="expected .* got .*; "):
        FaceLatents.load(path)
