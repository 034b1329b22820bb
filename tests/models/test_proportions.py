"""Proportions of women and men: what changes, by how much, and that eyes and lips bear it."""

from __future__ import annotations

import pytest
import torch

from facekit.latents import FaceLatents
from facekit.models.proportions import _CHANGES, lengths
from facekit.template import Template
from facekit.traits import TRAITS, to_networks, trait_axes


@pytest.fixture(scope="module")
def template(default_pipeline) -> Template:
    return default_pipeline.template


def sexes(default_pipeline) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Networks' codes (3, 20): the mean woman, androgynous person and man; what they are moved by; and wider lids."""
    axis = trait_axes()[TRAITS.index("masculinity")]
    codes = torch.tensor([-4.0, 0.0, 4.0])[:, None] * axis
    with torch.no_grad():
        return codes, default_pipeline.proportions(codes), default_pipeline.proportions.wider(codes)


def test_lengths_change_as_wanted(default_pipeline, template):
    _, moved, _ = sexes(default_pipeline)
    marks = template.verts[template.landmarks]
    before = lengths(marks.double().numpy())
    woman, both, man = (lengths((marks + some[template.landmarks]).double().numpy()) - before for some in moved)
    for k, (name, (common, more)) in enumerate(_CHANGES.items()):
        # Lips and lids get a share of it alone.
        slack = 0.6 + 0.35 * abs(more)
        assert float(both[k]) == pytest.approx(common, abs=slack), name
        assert float(man[k] - woman[k]) == pytest.approx(more, abs=slack), name


def test_women_open_their_eyes_further_and_the_ears_stay(default_pipeline, template):
    _, moved, wider = sexes(default_pipeline)
    assert bool((wider[0] > 0).all()) and bool((wider[2] < 0).all()) and not wider[1].any()
    torch.testing.assert_close(wider[0], -wider[2], atol=1e-3, rtol=0)
    assert float(moved.norm(dim=2).amax()) < 9, "mm"


def test_noses_of_women_are_not_turned_up(default_pipeline, template):
    """The tip's height over the base, on the mean woman: what the networks make, and what is left of it."""
    code = FaceLatents.sample(0, truncation=0.0, masculinity=0.1)
    own = to_networks(code.identity)
    with torch.no_grad():
        with_them = default_pipeline.decode_shape(default_pipeline.to_model_codes(code))[0, template.landmarks]
        without = with_them - default_pipeline.proportions(own)[0, template.landmarks]
    wings = [float(m[[31, 35], 1].mean() - m[33, 1]) for m in (without, with_them)]
    assert wings[1] > wings[0] + 0.5, "mm: wings of the nose hang lower over nostrils when it is turned up"
