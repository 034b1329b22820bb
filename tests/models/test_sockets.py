"""Sockets of the eyes: their walls lie on eyeballs of any size."""

from __future__ import annotations

import torch

from facekit.latents import FaceLatents


def test_walls_lie_on_eyeballs_that_are_too_small_for_their_lids(default_pipeline, monkeypatch):
    codes = default_pipeline.to_model_codes(FaceLatents.sample(7053).at_rest())
    template, sockets = default_pipeline.template, default_pipeline.sockets
    verts = default_pipeline.decode_shape(codes)
    assert float(sockets(verts).norm(dim=2).max()) < 0.1, "nothing is left to draw"
    monkeypatch.setitem(default_pipeline.__dict__, "sockets", None)
    before = default_pipeline.decode_shape(codes)
    moved = (verts - before).norm(dim=2)[0]
    assert 1.0 < float(moved.max()) < 4.0
    others = torch.ones(len(moved), dtype=torch.bool)
    others[template.openings.sockets.flatten()] = False
    assert not moved[others].any()


def test_walls_under_the_eyeballs_stay(default_pipeline):
    template = default_pipeline.template
    assert float(default_pipeline.sockets(template.verts[None]).norm(dim=2).max()) < 0.7
    small = template.verts[None].clone()
    small[:, template.openings.sockets.flatten(), 2] -= 4
    assert float(default_pipeline.sockets(small).norm(dim=2).max()) < 0.7
