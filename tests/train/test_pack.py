"""The training pack: its checks, and its layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from facekit.errors import FacekitError
from facekit.train.pack import EYEBALLS, FACE, PACK_PARTS, HeadLayout, load_head, require


def test_the_real_layout_is_the_default(tmp_path):
    layout = HeadLayout.load(tmp_path)
    assert layout == HeadLayout()
    assert layout.span(FACE) == slice(0, 9409)
    assert layout.span(EYEBALLS) == slice(21451, 24591)
    assert len(layout.part_ends) == len(PACK_PARTS)


def test_a_pack_may_have_its_own(tiny_pack):
    head = load_head(tiny_pack)
    assert head.layout != HeadLayout()
    assert head.layout.part_ends[-1] == len(head.verts)
    assert set(np.unique(head.part_of_quad)) == set(range(len(PACK_PARTS)))
    highest = head.quads.max(1)
    for part in range(len(PACK_PARTS)):
        span = head.layout.span(part)
        own = highest[head.part_of_quad == part]
        assert (own >= span.start).all() and (own < span.stop).all()


def test_lengths_are_millimetres(tiny_pack):
    head = load_head(tiny_pack)
    assert 150 < np.ptp(head.verts[:, 1]) < 350
    assert 10 < np.abs(head.expression_shapes).max() < 20
    assert len(head.expression_names) == len(head.expression_shapes) == 57


def test_helper_shells_are_left_out(tiny_pack, tmp_path):
    (tmp_path / "ict_vertex_indices.json").write_text((tiny_pack / "ict_vertex_indices.json").read_text())
    layout = json.loads((tiny_pack / "layout.json").read_text())
    layout["part_ends"][-1] -= 9  # the last iris becomes a shell
    (tmp_path / "layout.json").write_text(json.dumps(layout))
    (tmp_path / "ict_light.npz").write_bytes((tiny_pack / "ict_light.npz").read_bytes())
    whole, less = load_head(tiny_pack), load_head(tmp_path)
    assert len(less.verts) == len(whole.verts) - 9
    assert len(less.quads) == len(whole.quads) - 4


def test_what_is_missing_is_named(tiny_pack, tmp_path):
    assert require(tiny_pack, "skins_uv") == tiny_pack
    with pytest.raises(FacekitError, match="no hats"):
        require(tiny_pack, "hats")
    for name in ("ict_light.npz", "ict_vertex_indices.json"):
        (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(FacekitError, match="readable"):
        load_head(tmp_path)
