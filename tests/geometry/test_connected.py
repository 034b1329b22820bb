"""Parts and borders of triangle lists."""

from __future__ import annotations

import torch

from facekit.geometry.connected import components, largest_two, on_border

# A strip of three triangles, a single one, and a closed tetrahedron; vertex 12 has no triangle.
STRIP, SINGLE = [[0, 1, 2], [1, 3, 2], [2, 3, 4]], [[5, 6, 7]]
BALL = [[8, 9, 10], [8, 10, 11], [8, 11, 9], [9, 11, 10]]
FACES = torch.tensor(STRIP + SINGLE + BALL)


def test_parts_have_the_smallest_index_of_theirs():
    assert components(FACES, 13).tolist() == [0] * 5 + [5] * 3 + [8] * 4 + [12]


def test_the_two_largest_parts_of_a_mask():
    mask = torch.ones(13, dtype=torch.bool)
    assert largest_two(FACES, mask).tolist() == [0] * 5 + [-1] * 3 + [1] * 4 + [-1]
    mask[2] = False  # the strip falls apart
    assert largest_two(FACES, mask)[8:12].tolist() == [0] * 4


def test_a_closed_surface_has_no_border():
    assert on_border(FACES, 13).tolist() == [True] * 8 + [False] * 5
