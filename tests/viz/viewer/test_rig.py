"""The viewer's rig: the page's sum equals the pipeline's mesh; and its tab in a browser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import facekit
from facekit.conventions import BLENDSHAPES, PARTS
from facekit.viz.viewer.rig import STEP, motion_block, rig_entries
from facekit.viz.viewer.tracks import Subject
from tests.viz.viewer.browser import chromium, window


@pytest.fixture(scope="module")
def face(default_pipeline):
    return default_pipeline(seed=4, expression="neutral", intensity=0.0)


@pytest.fixture(scope="module")
def entries(face, few_pairs):
    return rig_entries(Subject.of(face))


def spread(arrays, row: int, count: int) -> np.ndarray:
    """One row of the sparse movements, (V, 3) mm."""
    first, last = arrays["rig/move/start"][row : row + 2]
    moved = np.zeros((count, 3))
    values = arrays["rig/move/value"].reshape(-1, 3)
    moved[arrays["rig/move/vertex"][first:last]] = values[first:last] * STEP
    return moved


@pytest.mark.slow
@pytest.mark.parametrize(
    "pose",
    [
        {"jawOpen": 1.0},
        {"eyeBlinkLeft": 1.0},
        {"jawOpen": 1.0, "mouthSmileLeft": 1.0},
        {"jawOpen": 1.0, "mouthClose": 1.0},
        {"jawOpen": 1.0, "mouthClose": 1.0, "mouthShrugLower": 1.0},
    ],
)
def test_the_page_adds_up_what_the_pipeline_makes(default_pipeline, face, entries, pose):
    header, arrays = entries
    made = default_pipeline(latents=face.latents.with_blendshapes(pose), detail=False).verts - face.verts
    index = sorted(BLENDSHAPES.index(name) for name in pose)
    rows = index + [52 + k for k, pair in enumerate(header["pairs"]) if set(pair) <= set(index)]
    summed = sum(spread(arrays, row, made.shape[1]) for row in rows)
    skin = (face.mesh.parts != PARTS.index("eyes")).numpy()
    off = np.linalg.norm(summed - made[0].numpy(), axis=1)[skin]
    assert np.linalg.norm(made[0].numpy(), axis=1)[skin].max() > 4
    assert off.max() < (max(3, len(rows)) * STEP if len(rows) != 2 else 0.6)


@pytest.mark.slow
def test_eyeballs_turn_and_are_not_moved(face, entries):
    header, arrays = entries
    assert len(header["eyes"]) == 2
    balls = np.concatenate([arrays["rig/eye/0"], arrays["rig/eye/1"]])
    assert not np.isin(arrays["rig/move/vertex"], balls).any()
    left, right = (np.array(eye["centre"]) for eye in header["eyes"])
    assert left[0] > 20 and right[0] < -20
    assert header["eyes"][0]["look"]["left"] == BLENDSHAPES.index("eyeLookOutLeft")


def test_a_motion_is_one_byte_a_weight():
    motion = facekit.Motion(torch.rand(7, 52), fps=25)
    assert 7 * 52 + 7 * 12 < len(motion_block(motion)) < 1000


@pytest.mark.slow
def test_the_tab_moves_the_face_and_plays(face, few_pairs, tmp_path):
    path = face.to_html(tmp_path / "face.html", expressions=["smile"], rig=True, motion=facekit.Motion.sample())
    with chromium() as browser:
        page = window(browser, viewport={"width": 1100, "height": 760}).new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.locator("[data-control=tab-rig]").click(timeout=60_000)
        canvas = page.locator("canvas").first
        page.wait_for_timeout(500)
        before = canvas.screenshot()
        time = page.locator("[data-control=time]").first
        time.evaluate("e => { e.value = 4.2; e.dispatchEvent(new Event('input', {bubbles: true})) }")
        page.wait_for_timeout(1500)
        assert canvas.screenshot() != before
        assert page.locator("input[type=range]").count() > 52
        assert not errors
