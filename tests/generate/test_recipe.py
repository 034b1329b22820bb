"""Recipes: presets, documents, and clear errors for invalid ones."""

from __future__ import annotations

import json

import pytest

from facekit.errors import FileError, InputError
from facekit.generate.recipe import LABELS, PRESETS, Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    recipe = Recipe.preset(name)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Recipe.load(name) == recipe


def test_a_document_changes_what_it_names(tmp_path):
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    path = tmp_path / "mine.yaml"
    path.write_text("preset: wild\nsize: 128\nlabels: [rgb, depth]\npose: {yaw: 30}\naugment:\n  jpeg: [30, 40]\n")
    recipe = Recipe.load(path)
    wild = Recipe.preset("wild")
    assert (recipe.size, recipe.labels, recipe.pose.yaw) == (128, ("rgb", "depth"), 30.0)
    assert recipe.augment.jpeg == (30.0, 40.0)
    assert (recipe.pose.roll, recipe.occluders) == (wild.pose.roll, wild.occluders)


@pytest.mark.parametrize(
    "data, told",
    [
        ({"sise": 64}, "did you mean size"),
        ({"pose": {"jaw": 3}}, "pose.jaw"),
        ({"size": 5}, "32 to 4096"),
        ({"size": 64.5}, "size as int"),
        ({"labels": ["rgb", "hair"]}, "hair"),
        ({"labels": "rgb"}, "a list for labels"),
        ({"expression": {"neutral": 0, "single": 0, "mixed": 0, "blendshapes": 0}}, "not all 0"),
        ({"expression": {"intensity": [1.2, 0.2]}}, "low first"),
        ({"expression": {"intensity": [1.2]}}, "a list"),
        ({"camera": {"fov": [0, 30]}}, "camera.fov"),
        ({"background": {"pictures": 0.5}}, "background.folder"),
        ({"pose": 3}, "names and values"),
        ({"preset": "studio"}, "portrait, wild, video"),
        ({"pose": {"yaw": float("nan")}}, "pose.yaw"),
        ({"detail": 1}, "detail as bool"),
    ],
)
def test_what_does_not_fit_is_told(data, told):
    with pytest.raises(InputError, match=told):
        Recipe.from_dict(data)


def test_files_that_are_no_recipes(tmp_path):
    (tmp_path / "b.json").write_text("[1, 2")
    (tmp_path / "c.json").write_text("[1, 2]")
    with pytest.raises(FileError):
        Recipe.load(tmp_path / "b.json")
    with pytest.raises(InputError):
        Recipe.load(tmp_path / "c.json")
    with pytest.raises(FileError):
        Recipe.load(tmp_path / "none.json")
    with pytest.raises(InputError):
        Recipe.load("studio")


def test_yaml_that_is_none(tmp_path):
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    (tmp_path / "a.yaml").write_text("a: [1\n")
    with pytest.raises(FileError, match="a.yaml"):
        Recipe.load(tmp_path / "a.yaml")


def test_every_label_is_known():
    assert Recipe(labels=LABELS).labels == LABELS
