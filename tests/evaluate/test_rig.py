"""Figures of a rig: what is counted, and against what."""

from __future__ import annotations

import pytest
import torch

from facekit import FaceLatents
from facekit.evaluate.rig import FLIPS, RigTally, rows
from facekit.metrics.contact import Contact, winding


@pytest.fixture(scope="module")
def measure(default_pipeline) -> Contact:
    return Contact(default_pipeline.template)


@pytest.fixture(scope="module")
def rest(default_pipeline) -> torch.Tensor:
    return default_pipeline.decode_shape(FaceLatents.sample(9).at_rest())


def test_a_face_at_rest_has_nothing(measure, rest):
    tally = RigTally(measure)
    tally.add(rest, rest.expand(3, -1, -1))
    found = tally.figures()
    assert (found.count, found.flips, found.most_flips, found.lids_mm, found.lips_mm) == (3, 0.0, 0, 0.0, 0.0)
    assert found.smooth == found.clear == 1.0


def test_folds_and_depths_are_found(measure, rest, default_pipeline):
    template = default_pipeline.template
    folded, sunk = rest.clone(), rest.clone()
    # A vertex that is drawn through its neighbours turns the triangles around it over.
    tip = int(template.landmarks[30])
    around = template.faces[(template.faces == tip).any(dim=1)]
    folded[0, tip] += 3 * (rest[0, around[0]].mean(dim=0) - rest[0, tip])
    skin, _ = measure.eyes[0]
    sunk[0, skin, 2] -= 1.6
    tally = RigTally(measure)
    tally.add(rest, folded)
    assert 1 <= tally.figures().most_flips <= FLIPS and tally.figures().lids_mm == 0
    tally.add(rest, sunk)
    found = tally.figures()
    assert found.lids_mm > 1 and found.clear == 0.5 and found.smooth == 1.0


def test_the_table_has_a_row_for_each(measure, rest):
    tally = RigTally(measure)
    tally.add(rest, rest)
    text = rows([("some", tally.figures()), ("more", tally.figures())])
    assert text.splitlines()[2] == "| some | 0.0 | 0 | 100.0% | 0.00 | 0.00 | 100.0% |"
    assert len(text.splitlines()) == 4


def test_what_lies_in_flesh_is_told_from_what_lies_behind_it(measure, rest):
    """The head has holes at neck and eyes, which take an eighth."""
    template = measure.template
    chin, nose = rest[0, template.landmarks[[8, 30]]]
    inward = torch.tensor([0.0, 0.0, 4.0])
    found = winding(torch.stack((chin - inward, nose - inward, chin + inward, nose + inward)), rest[0, measure.flesh])
    assert found[:2].min() > 0.8 and found[2:].abs().max() < 0.2
