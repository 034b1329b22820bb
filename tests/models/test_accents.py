"""Accents of expressions: angry eyes are wide, stretched mouths not too wide, and other expressions stay."""

from __future__ import annotations

import torch

from facekit.conventions import EXPRESSIONS
from facekit.latents import FaceLatents


def test_only_accented_expressions_change(default_pipeline):
    codes = torch.eye(len(EXPRESSIONS))
    with torch.no_grad():
        moved = default_pipeline.accents(codes).norm(dim=2).amax(dim=1)
    accented = [EXPRESSIONS.index(name) for name in ("anger", "mouth_stretch")]
    assert float(moved[accented].min()) > 1, "mm"
    assert not moved[[k for k in range(len(EXPRESSIONS)) if k not in accented]].any()
    anger = codes[accented[:1]]
    torch.testing.assert_close(default_pipeline.accents(0.5 * anger), 0.5 * default_pipeline.accents(anger))
    lip = default_pipeline.template.landmarks[51]
    beyond = default_pipeline.accents(1.5 * anger) - 1.5 * default_pipeline.accents(anger)
    assert float(beyond[0, lip, 1]) < -0.5, "mm: the upper lip rises less"


def test_angry_eyes_glare_and_stretched_mouths_are_narrower_than_the_networks(default_pipeline, monkeypatch):
    codes = FaceLatents.sample(804).at_rest()
    anger, stretch = codes.with_expression("anger", 1.0), codes.with_expression("mouth_stretch", 1.0)

    def measured() -> tuple[float, float]:
        marks = [default_pipeline.decode_shape(c)[0, default_pipeline.template.landmarks] for c in (anger, stretch)]
        lids = marks[0][[37, 38, 43, 44]] - marks[0][[41, 40, 47, 46]]
        return float(lids.norm(dim=1).mean()), float((marks[1][48] - marks[1][54]).norm())

    with torch.no_grad():
        opened, width = measured()
        monkeypatch.setitem(default_pipeline.__dict__, "accents", None)
        before = measured()
    assert opened > before[0] + 0.5 and width < before[1] - 1, "mm"
