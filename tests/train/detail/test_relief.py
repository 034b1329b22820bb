"""The relief stage on two people: ``facekit evaluate detail`` can read its output."""

from __future__ import annotations

import shutil

import pytest

from facekit.data import reliefs
from facekit.evaluate.detail import detail
from facekit.train.context import Context
from facekit.train.detail import relief
from facekit.train.detail.stage import packed_files
from facekit.weights import verified


@pytest.mark.slow
def test_a_set_is_made_and_measured(default_pipeline, tiny_pack, tiny_layers, tmp_path, monkeypatch):
    monkeypatch.setattr(relief, "EXPRESSIONS", ("neutral", "brow_raiser"))
    context = Context(tiny_pack, tmp_path, tmp_path / "out", tmp_path / "manifest.json", 0.001)
    vars(context)["skin_layers"] = tiny_layers  # they take seconds to draw
    scalar = packed_files(tmp_path)["scalar"]
    shutil.copyfile(verified("default", "detail"), scalar)  # its training is the detail stage's, and tested there
    relief.run(context)
    sets = {one.faces.name: one for one in reliefs.load(tmp_path / "relief")}
    assert set(sets) == {"codes", "modes"} and set(reliefs.controls(tmp_path / "relief")) == {"scalar"}
    made = sets["codes"]
    assert len(made) == relief.LEAST and made.maps.shape[:2] == (2, 2)
    deepest = made.maps.float().amin(dim=(2, 3))
    assert bool((deepest[:, 1] < deepest[:, 0] - 0.1).all()), "raised brows furrow the forehead"
    results = detail(default_pipeline, tmp_path / "relief").run(methods=["no detail", "default, across furrows"])
    error = {
        (row.split, row.method): row.mean
        for row in results.select(metric="distance_by_expression_um", region="brow_raiser")
    }
    for split in sets:
        assert error[split, "default, across furrows"] < error[split, "no detail"]
