"""Conversion between three vocabularies, and its error."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.errors import InputError
from facekit.motion import mapping
from facekit.motion.mapping import (
    action_units,
    blendshapes_to_expressions,
    expressions_to_blendshapes,
    letter,
    table_errors,
    units_to_blendshapes,
    units_to_expressions,
)
from facekit.motion.units import ACTION_UNITS
from tests import ROOT

SMILE = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}


def test_a_smile_in_all_three():
    said = expressions_to_blendshapes({"smile": 1.0})
    assert min(said["mouthSmileLeft"], said["mouthSmileRight"]) > 0.5 and "mouthFrownLeft" not in said
    assert max(blendshapes_to_expressions(said), key=blendshapes_to_expressions(said).get) == "smile"
    units = action_units(SMILE)
    assert units[12] > 4 and {unit for unit, value in units.items() if value > 1} <= {6, 12, 13, 14}
    assert units_to_blendshapes({12: "E"}) == units_to_blendshapes({12: 5}) and set(SMILE) <= set(
        units_to_blendshapes({12: 5})
    )
    half = units_to_blendshapes({12: 2.5})
    assert half["mouthSmileLeft"] == pytest.approx(units_to_blendshapes({12: 5})["mouthSmileLeft"] / 2, abs=1e-3)
    assert max(units_to_expressions({6: "D", 12: "D"}).items(), key=lambda item: item[1])[0] == "smile"


def test_tensors_as_names():
    codes = torch.eye(20)
    rows = expressions_to_blendshapes(codes)
    assert rows.shape == (20, 52) and float(rows.min()) >= 0 and float(rows.max()) <= 1
    assert not rows[0].any(), "neutral says nothing"
    assert blendshapes_to_expressions(rows).shape == (20, 20)
    assert action_units(torch.eye(52)).shape[0] == 52
    leaf = torch.zeros(1, 52, requires_grad=True)
    blendshapes_to_expressions(leaf + 0.1).sum().backward()
    assert leaf.grad.any()


def test_how_far_each_is_off():
    errors = table_errors("expressions", "blendshapes")
    assert list(errors) == list(EXPRESSIONS)
    for name, (error, size) in errors.items():
        assert error <= max(0.45 * size, 0.01), name
    assert table_errors("units", "blendshapes")[12][0] < 0.8  # a smile has something of the cheeks, too
    assert table_errors("blendshapes", "expressions")["mouthSmileLeft"][1] > 2


@pytest.mark.parametrize(("intensity", "expected"), [(0, ""), (0.4, ""), (1, "A"), (2.2, "B"), (4.6, "E"), (5, "E")])
def test_letters(intensity, expected):
    assert letter(intensity) == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expressions_to_blendshapes({"grim": 1.0}), "'grim'"),
        (lambda: units_to_blendshapes({3: 1}), "units out of 1, 2, 4"),
        (lambda: units_to_blendshapes({12: 6}), "AU12 from 0 to 5, got 6"),
        (lambda: units_to_blendshapes({12: "F"}), "A, B, C, D, E, got 'F'"),
        (lambda: action_units(torch.zeros(3, 20)), r"52 blendshapes in the last dimension, got \(3, 20\)"),
        (lambda: mapping.table_errors("expressions", "visemes"), "two vocabularies"),
    ],
)
def test_bad_words_are_told(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_no_word_is_said_by_what_only_moves_the_same_skin():
    """A wide open mouth does not get tongueOut, and a smile no sideways jaw."""
    still = {"tongueOut", "mouthClose", *(name for name in BLENDSHAPES if name.startswith("eyeLook"))}
    lateral = {"jaw_left", "jaw_right", "mouth_left", "mouth_right"}
    for name in EXPRESSIONS:
        said = expressions_to_blendshapes({name: 1.0})
        assert not still & set(said), name
        assert name in lateral or not {"jawLeft", "jawRight", "mouthLeft", "mouthRight"} & set(said), name
    for number in ACTION_UNITS:
        assert not still & set(units_to_blendshapes({number: "E"})), number
        assert number == 30 or not lateral & set(units_to_expressions({number: "E"})), number
    assert not action_units({"mouthLeft": 1.0})


def test_the_documentation_prints_these_tables():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(["--check"]) == 0, "run python docs/make_tables.py"
