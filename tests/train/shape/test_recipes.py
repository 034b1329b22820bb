"""The expression recipes: room to move up to intensity 1.5, and muscles that pull the way their name says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from facekit.conventions import MORPH_TARGETS
from facekit.train.shape.data import soft_cap
from facekit.train.shape.recipes import DEFAULT_CAP, RECIPES, WEIGHT_CAPS
from tests import TRAINING_PACK as PACK

NOSE, CORNERS, UPPER_LIP, BROWS = [33], [48, 54], [51], list(range(17, 27))


def capped(recipe: dict[str, float], intensity: float) -> dict[str, float]:
    caps = torch.tensor([WEIGHT_CAPS.get(name, DEFAULT_CAP) for name in recipe])
    weights = soft_cap(intensity * torch.tensor(list(recipe.values())), caps)
    return dict(zip(recipe, weights.tolist(), strict=True))


@pytest.mark.parametrize("name", MORPH_TARGETS)
def test_beyond_intensity_1_an_expression_still_grows_by_a_tenth(name):
    if name == "eye_closed":
        pytest.skip("closed lids stay where they met")
    main = max(RECIPES[name], key=RECIPES[name].get)
    at_1, at_1_5 = (capped(RECIPES[name], intensity)[main] for intensity in (1.0, 1.5))
    assert at_1_5 > 1.1 * at_1


@pytest.fixture(scope="module")
def landmark_shapes() -> dict[str, np.ndarray]:
    """Blendshapes at the 68 landmarks, (68, 3) mm."""
    if not (PACK / "ict_light.npz").is_file():
        pytest.skip("the training pack is not here")
    landmarks = json.loads((PACK / "ict_vertex_indices.json").read_text())["idx_to_landmark_verts"]
    with np.load(PACK / "ict_light.npz", allow_pickle=False) as data:
        names = (str(name) for name in data["expression_names"])
        return dict(zip(names, 10 * data["expression_shapes"][:, landmarks], strict=True))


def rise(shapes: dict[str, np.ndarray], name: str, landmarks: list[int]) -> list[float]:
    """Mean rise of the landmarks at intensities 0.5, 1 and 1.5, mm."""
    poses = (capped(RECIPES[name], intensity) for intensity in (0.5, 1.0, 1.5))
    return [sum(w * shapes[shape][landmarks, 1].mean() for shape, w in pose.items()) for pose in poses]


def test_sadness_lowers_the_mouth_corners_against_lip_and_nose(landmark_shapes):
    corners = np.array(rise(landmark_shapes, "sadness", CORNERS))
    for other in (UPPER_LIP, NOSE):
        drop = np.array(rise(landmark_shapes, "sadness", other)) - corners
        assert (np.diff(drop, prepend=0) > 1.2).all(), drop


def test_brow_raiser_stays_within_what_foreheads_do(landmark_shapes):
    height = np.array(rise(landmark_shapes, "brow_raiser", BROWS))
    assert (np.diff(height, prepend=0) > 1.5).all() and height[1] > 5 and height[-1] < 10.5, height


def test_brow_lower_lowers_the_brows(landmark_shapes):
    assert rise(landmark_shapes, "brow_lower", BROWS)[-1] < rise(landmark_shapes, "brow_lower", BROWS)[1] < -1.5
