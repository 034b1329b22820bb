"""Relief of the ears."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.template import Template
from facekit.train.head.ears import relief
from facekit.weights import assets_folder


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray]:
    template = Template.load(assets_folder() / "template.npz")
    return template.verts.double().numpy(), template.faces.numpy()


def test_ears_alone_move_and_both_alike(head):
    verts, faces = head
    moved = relief(verts, faces)
    there = np.abs(moved).max(axis=1) > 0.05
    assert 300 < there.sum() < 1000
    assert np.abs(verts[there, 0]).min() > 55 and np.abs(verts[there, 2]).max() < 40
    left, right = (moved[there & (side * verts[:, 0] > 0)] for side in (1, -1))
    assert abs(len(left) - len(right)) < 0.1 * len(left)
    assert np.abs(left * [-1, 1, 1]).max() == pytest.approx(np.abs(right).max(), abs=0.3)


def test_scapha_and_fossa_are_hollow_and_the_antihelix_rises(head):
    verts, faces = head
    moved = relief(verts, faces)
    outward = (moved * [0.9, 0.0, 0.436])[verts[:, 0] > 0].sum(axis=1)
    assert -3.5 < outward.min() < -1.5 and 0.7 < outward.max() < 2.0


def test_heads_without_ears_stay():
    side = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [0.0, 10.0, 0.0]])
    assert not relief(side, np.array([[0, 1, 2]])).any()
