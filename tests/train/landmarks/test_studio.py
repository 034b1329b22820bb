"""The studio's pictures show strangers where the camera says they are."""

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


def test_a_number_is_a_picture_and_the_face_is_in_it(studio):
    (shot, looks), (again, _) = (next(iter(studio.pictures(5, 1, 2))) for _ in range(2))
    assert len(looks) == 2 and looks[0].shape == (SIZE, SIZE, 3) and looks[0].dtype == np.uint8
    assert np.array_equal(shot.pixels, again.pixels) and torch.equal(shot.verts, again.verts)
    assert not np.array_equal(looks[0], looks[1]), "another background"
    marks = shot.camera.project(shot.verts[None], SIZE)[0, studio.pipe.template.landmarks, :2]
    assert float(marks.min()) > 0 and float(marks.max()) < SIZE
    # Within the face both pictures are the same but for noise, wherever nothing is in front.
    x, y = marks[27:31].mean(dim=0).int().tolist()
    near = [look[y - 4 : y + 4, x - 4 : x + 4].astype(float).mean(axis=(0, 1)) for look in looks]
    assert float(np.abs(near[0] - near[1]).max()) < 6


def test_frames_are_of_blendshapes(studio):
    shots = [shot for shot, _ in studio.pictures(6, 3, 1, muscles=False)]
    assert all(shot.blendshapes is not None for shot in shots)
    assert all(torch.equal(shot.neutral, shots[0].neutral) for shot in shots)
    assert len({round(float(shot.pose.fov), 6) for shot in shots}) == 1, "one lens"
