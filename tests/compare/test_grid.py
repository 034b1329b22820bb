"""Comparisons: every face is generated once, figures measure the varied condition, and all files are written."""

from __future__ import annotations

import copy
import csv
import dataclasses

import pytest
import torch

from facekit import FaceLatents, compare, weights
from facekit.compare import figures
from facekit.errors import InputError
from facekit.models.composers import PublishedComposer
from tests.models.composers.facemask import base_texture, facemask

SIZE = 48


@pytest.fixture(scope="module")
def result(default_pipeline):
    """Two expressions at 0, 0.75, 1.5."""
    rows, columns = compare.expressions("smile", "brow_raiser"), compare.intensities(steps=3)
    return compare.grid(default_pipeline, rows, columns, title="A test", image_size=SIZE, seed=7)


def lines(table, row):
    return {line["column"]: line for line in table.lines if line["row"] == row}


def test_axes():
    assert list(compare.intensities()) == ["0", "0.3", "0.6", "0.9", "1.2", "1.5"]
    assert len(compare.expressions()) == 20
    crossed = compare.cross(compare.identities(7, 12), compare.intensities("anger", 2))
    assert crossed["seed 12, 1.5"] == {"seed": 12, "expression": "anger", "intensity": 1.5}
    assert list(crossed) == ["seed 7, 0", "seed 7, 1.5", "seed 12, 0", "seed 12, 1.5"]
    with pytest.raises(InputError, match="2 or more"):
        compare.intensities(steps=1)


def test_faces_are_the_pipelines_own(default_pipeline, result):
    cell = result.cells[1][2]
    assert (cell.row, cell.column) == ("brow raiser", "1.5")
    same = default_pipeline(seed=7, expression="brow_raiser", intensity=1.5)
    assert torch.allclose(cell.face.verts, same.verts, atol=1e-4)
    assert cell.picture.shape == (3, SIZE, SIZE)
    assert max(cell.face.texture.shape[2:]) <= 512
    assert len(list(result)) == 6


def test_every_face_is_made_once(default_pipeline):
    made = []

    class Counting:
        name, device, template = default_pipeline.name, default_pipeline.device, default_pipeline.template
        decode = default_pipeline.decode

        def __call__(self, latents):
            made.append(len(latents))
            return default_pipeline(latents=latents)

    found = compare.grid(Counting(), compare.identities(7, 8), compare.intensities("smile", 2), image_size=32)
    found.page()
    assert len(found.table.lines) == 6
    assert sum(made) == 4


def test_a_sweeps_figures(result):
    own = lines(result.table, "smile")
    assert own["0"].get("left mean") is None
    assert own["0.75"]["first mean"] == own["0.75"]["left mean"] < own["1.5"]["first mean"]
    assert own["1.5"]["left mean"] < own["1.5"]["first mean"] < own["1.5"]["first max"]
    whole = own["whole row"]
    assert whole["left max"] == max(own[name]["left max"] for name in ("0.75", "1.5"))
    assert 0 <= whole["flicker"] < 0.3, "a sweep is steady"
    assert 0 < whole["identity"] < 0.3, "who it is holds still"
    above = lines(result.table, "brow raiser")
    assert above["0"]["above mean"] == 0, "at intensity 0 all expressions are one face"
    assert above["1.5"]["above mean"] > 1


def test_strangers_are_strangers(default_pipeline):
    found = compare.grid(default_pipeline, {"people": {}}, compare.identities(*range(40, 44)), image_size=32)
    whole = lines(found.table, "people")["whole row"]
    assert 0.5 < whole["identity"] < 2
    assert "flicker" not in whole, "people are no sweep"
    assert whole["skin ΔE"] > 1
    assert figures.strangers(default_pipeline) == pytest.approx(7.3, abs=1)


def test_noise_drawn_anew_flickers(default_pipeline):
    """Upstream's second fault: new texture noise at every step."""
    person = FaceLatents.sample(7)
    columns = {}
    for k in range(4):
        drawn = dataclasses.replace(person, texture_noise=FaceLatents.sample(900 + k).texture_noise)
        columns[f"{k}"] = {"latents": drawn, "intensity": 0.2 * k}
    found = compare.grid(default_pipeline, {"restless": {}}, columns, expression="smile", image_size=32)
    whole = found.table.lines[-1]
    assert whole["flicker"] > 0.8
    assert whole["flicker ΔE"] > 0.1


def test_pages(result):
    page = result.page()
    assert page.width > 3 * SIZE
    assert page.height > 2 * SIZE
    for kind, against, columns in (("texture", "above", 3), ("displacement", "first", 2)):
        assert result.differences(kind, against, "dark").width > columns * SIZE
    with pytest.raises(InputError, match="a kind out of"):
        result.differences("colour")
    with pytest.raises(InputError, match="against out of"):
        result.differences("texture", "right")


def test_a_single_face_has_no_neighbours(default_pipeline):
    alone = compare.grid(default_pipeline, {"one": {}}, {"face": {}}, image_size=32)
    with pytest.raises(InputError, match="neighbours with the same topology"):
        alone.differences()


def test_saved_whole(result, tmp_path):
    files = result.save(tmp_path / "comparison")
    names = [path.name for path in files]
    assert names[0] == "faces.png"
    assert {"displacement_left.png", "texture_above.png", "figures.csv"} <= set(names)
    rows = list(csv.DictReader((tmp_path / "comparison" / "figures.csv").open(encoding="utf-8")))
    assert [row["column"] for row in rows] == ["0", "0.75", "1.5", "whole row"] * 2
    assert float(rows[2]["first mean (mm)"]) == result.table.lines[2]["first mean"]
    page = files[-1].read_text(encoding="utf-8")
    assert page.count("<img ") == 5
    assert "http" not in page
    assert "A test" in page
    assert not [path for path in (tmp_path / "comparison").iterdir() if path.name.startswith(".")]


def test_other_topologies_stay_apart(default_pipeline, result):
    row = result.cells[0]
    mesh = dataclasses.replace(row[1].face.mesh, faces=row[1].face.mesh.faces.flip(0))
    other = dataclasses.replace(row[1], face=dataclasses.replace(row[1].face, mesh=mesh))
    mixed = dataclasses.replace(
        result, rows=("a", "b"), columns=("0", "0.5"), cells=((row[0], row[1]), (row[0], other))
    )
    found = figures.measure(mixed)
    assert "left mean" in found.lines[1]
    assert "left mean" not in found.lines[4]
    assert mixed.differences("texture", "left").width > SIZE


def test_bad_settings_are_refused(default_pipeline):
    smile = compare.expressions("smile")
    with pytest.raises(InputError, match="rows as names"):
        compare.grid(default_pipeline, {}, smile)
    with pytest.raises(InputError, match="columns as names"):
        compare.grid(default_pipeline, smile, ["neutral"])
    with pytest.raises(InputError, match="'strength'"):
        compare.grid(default_pipeline, smile, smile, strength=2)
    with pytest.raises(InputError, match="latents of one face"):
        compare.grid(default_pipeline, smile, smile, latents=FaceLatents.sample(1, count=2))


def test_missing_weights_are_told_once(default_pipeline, monkeypatch, capsys):
    from facekit.compare import axes

    axes._tell_missing.cache_clear()
    monkeypatch.setattr(weights, "ready", lambda name: False)
    assert list(compare.models(default_pipeline)) == ["default"]
    assert "facekit weights fetch 3dfacecam" in capsys.readouterr().out
    compare.models(default_pipeline)
    assert capsys.readouterr().out == ""


def test_published_weights_come_in_both_compositions(default_pipeline, monkeypatch):
    published = copy.copy(default_pipeline)
    published.name = "3dfacecam"
    published.composer = PublishedComposer(base_texture(), facemask(60))
    monkeypatch.setattr(weights, "ready", lambda name: True)
    found = compare.models(published)
    assert [settings["pipe"].composer.mode for settings in found.values()] == ["blend", "blend", "upstream"]
    assert published.composer.mode == "blend"
