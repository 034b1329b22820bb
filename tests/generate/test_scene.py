"""Scenes: counter-based random numbers within the recipe's bounds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.generate.choices import Clip, Expression, Occluders, People, Pose
from facekit.generate.recipe import PRESETS, Recipe
from facekit.generate.scene import draw_scene


@pytest.mark.parametrize("name", PRESETS)
def test_numbers_are_the_same_again_and_plain(name):
    recipe = Recipe.preset(name)
    for index in (0, 7, 31_415):
        scene = draw_scene(recipe, 5, index)
        assert scene == draw_scene(recipe, 5, index)
        assert json.loads(json.dumps(scene.to_dict()))["person"] == scene.person
        assert set(scene.expression) <= set(EXPRESSIONS)
        assert set(scene.blendshapes) <= set(BLENDSHAPES)
        assert all(0 <= weight <= 1 for weight in scene.blendshapes.values())
    assert draw_scene(recipe, 5, 0) != draw_scene(recipe, 6, 0)


def test_the_first_numbers_are_frozen():
    """The values drawn for a seed are frozen: unfinished data sets must be able to resume."""
    scene = draw_scene(Recipe(), 0, 0)
    assert (scene.person, scene.light["kind"]) == (74607693, "softboxes")
    assert scene.head == (-11.14389, 3.40104, 1.19014)


def test_one_choice_shifts_no_other():
    plain = Recipe()
    busy = dataclasses.replace(plain, occluders=Occluders(1.0, 1.0), pose=Pose(yaw=40.0))
    for index in range(20):
        a, b = draw_scene(plain, 1, index), draw_scene(busy, 1, index)
        for name in ("person", "expression", "blendshapes", "light", "background", "camera", "augment"):
            assert getattr(a, name) == getattr(b, name)
        assert a.glasses is None and b.glasses is not None and b.blob is not None


def test_shares_and_spreads_are_those_of_the_recipe():
    recipe = Recipe(expression=Expression(neutral=0.5, single=0.5, mixed=0.0, blendshapes=0.0, blink=0.0))
    scenes = [draw_scene(recipe, 2, index) for index in range(1500)]
    strong = np.mean([max(s.expression.values()) > 0.16 for s in scenes])
    assert abs(strong - 0.5) < 0.05
    yaw = np.array([s.head[0] - s.view[0] for s in scenes])
    assert abs(yaw.std() - recipe.pose.yaw) < 1.5
    assert np.abs(yaw).max() <= recipe.pose.most[0] + 1e-3
    assert len({s.person for s in scenes}) == len(scenes)


def test_a_number_of_people_come_again():
    recipe = Recipe(people=People(count=5))
    assert len({draw_scene(recipe, 0, index).person for index in range(200)}) == 5


def test_clips_keep_the_person_and_move_smoothly():
    recipe = Recipe(clip=Clip(frames=30, fps=30))
    frames = [draw_scene(recipe, 4, index) for index in range(60)]
    assert len({s.person for s in frames[:30]}) == 1 != frames[30].person
    assert [s.frame for s in frames] == [*range(30)] * 2
    head = np.array([s.head for s in frames[:30]])
    assert 0 < np.abs(np.diff(head, axis=0)).max() < 2.0
    assert all(s.light == frames[0].light and s.camera == frames[0].camera for s in frames[:30])
