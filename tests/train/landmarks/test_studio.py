"""The studio's pictures show new people at the positions that the camera gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from facekit.reconstruct.model import PhotoModel
from facekit.train.landmarks.studio import SIZE, Studio
from facekit.train.shape.recipes import RECIPES


@pytest.fixture(scope="module")
def studio(default_pipeline, tmp_path_factory) -> Studio:
    """On a small basis: three modes, and muscles that all lift the skin a little."""
    modes = PhotoModel.of(default_pipeline).modes.deltas[:3].numpy()
    names = sorted({"eyeBlink_L", "eyeBlink_R"} | {name for recipe in RECIPES.values() for name in recipe})
    shapes = np.random.default_rng(0).normal(size=(len(names), 1, 3)).astype(np.float32).repeat(modes.shape[1], 1)
    one: dict[str, Any] = {"row": [1], "col": [2], "data": [0.5]}
    blinks = {f"blink_{side}_{key}": value for side in "LR" for key, value in one.items()}
    path = tmp_path_factory.mktemp("studio") / "shape_basis.npz"
    np.savez(
        path,
        identity_modes=modes,
        expression_shapes=shapes,
        expression_names=np.array(names),
        trait_axes=np.linalg.qr(np.random.default_rng(1).normal(size=(20, 2)))[0].T,
        **blinks,
    )
    return Studio(default_pipeline, path, skins=1)


def test_a_number_is_a_head_and_the_face_is_in_it(studio):
    shots, again = list(studio.heads(5, 1, views=2)), next(iter(studio.heads(5, 1, views=2)))
    assert [shot.pixels.shape for shot in shots] == 2 * [(SIZE, SIZE, 4)] and shots[0].pixels.dtype == np.uint8
    assert np.array_equal(shots[0].pixels, again.pixels) and torch.equal(shots[0].verts, again.verts)
    assert torch.equal(shots[0].verts, shots[1].verts) and shots[0].pose != shots[1].pose, "one face from two sides"
    marks = shots[0].camera.project(shots[0].verts[None], SIZE)[0, studio.pipe.template.landmarks, :2]
    assert float(marks.min()) > 0 and float(marks.max()) < SIZE
    x, y = marks[27:31].mean(dim=0).int().tolist()
    assert int(shots[0].pixels[y, x, 3]) == 255 and int(shots[0].pixels[2, 2, 3]) == 0
    assert bool((shots[0].pixels[..., :3].max(axis=2) <= shots[0].pixels[..., 3]).all()), "multiplied with their cover"


def test_pictures_have_rooms_and_are_of_blendshapes(studio):
    shots = list(studio.pictures(6, 3))
    assert all(shot.blendshapes is not None and shot.pixels.shape == (SIZE, SIZE, 3) for shot in shots)
    assert all(torch.equal(shot.neutral, shots[0].neutral) for shot in shots)
    assert len({round(float(shot.pose.fov), 6) for shot in shots}) == 1, "one lens"
    assert float(shots[0].pixels[:20, :20].astype(float).mean()) > 5, "a background"
