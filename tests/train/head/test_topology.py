"""Refinement on a small sheet of quads: the Catmull-Clark rules, no cracks, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.train.head.topology import (
    adjacency,
    catmull_clark,
    close_selection,
    compact,
    components,
    face_normals,
    grow,
    refine,
)

SIDE = 5


@pytest.fixture
def sheet() -> tuple[np.ndarray, np.ndarray]:
    """5 x 5 vertices in the plane z = 0 and 16 quads, counter-clockwise."""
    y, x = np.mgrid[:SIDE, :SIDE]
    index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    return np.stack([x, y, 0 * x], -1).reshape(-1, 3).astype(float), quads


def test_a_flat_sheet_stays_flat_and_keeps_its_straight_border(sheet):
    verts, quads = sheet
    step = catmull_clark(quads, len(verts))
    assert step.positions.shape == (25 + 40 + 16, 25)
    np.testing.assert_allclose(step.positions.sum(1), 1)
    refined = step.positions @ verts
    np.testing.assert_allclose(refined[:, 2], 0)
    inner = 2 * SIDE + 2
    np.testing.assert_allclose(refined[inner], verts[inner])
    np.testing.assert_allclose(refined[25 + 40 :], verts[quads].mean(1))


def test_an_interior_vertex_is_weighted_as_the_rule_says(sheet):
    verts, quads = sheet
    middle = 2 * SIDE + 2
    row = catmull_clark(quads, len(verts)).positions[middle].toarray().ravel()
    assert row[middle] == pytest.approx(9 / 16)
    assert row[[middle - 1, middle + 1, middle - SIDE, middle + SIDE]] == pytest.approx(np.full(4, 3 / 32))
    assert row[[middle - 6, middle - 4, middle + 4, middle + 6]] == pytest.approx(np.full(4, 1 / 64))


@pytest.mark.parametrize("chosen", [[], [5], [0, 5, 10], list(range(16))], ids=["none", "one", "diagonal", "all"])
def test_refined_and_coarse_parts_join_without_cracks(sheet, chosen):
    verts, quads = sheet
    step = catmull_clark(quads, len(verts))
    selected = np.zeros(16, bool)
    selected[chosen] = True
    points = step.positions @ verts
    mesh = refine(quads, quads, verts[:, :2] / 4, step, selected, points)
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    border = 16 + sum(2 for c in chosen for side in (c < 4, c >= 12, c % 4 == 0, c % 4 == 3) if side) // 2
    assert count.max() == 2
    assert (count == 1).sum() == border
    area = 0.5 * np.linalg.norm(face_normals(np.c_[mesh.uvs, 0 * mesh.uvs[:, 0]], mesh.faces_uvs), axis=1)
    assert area.sum() == pytest.approx(1.0)
    assert area.min() > 0
    assert set(mesh.quad_of_face) == set(range(16))


def test_a_selection_grows_until_no_quad_is_split_on_three_sides(sheet):
    _, quads = sheet
    edge_of_quad = catmull_clark(quads, 25).edge_of_quad
    selected = np.zeros(16, bool)
    selected[[1, 4, 6, 9]] = True  # all around quad 5
    closed = close_selection(selected, edge_of_quad)
    assert closed[5]
    assert closed.sum() == 5


def test_sets_of_vertices(sheet):
    _, quads = sheet
    links = adjacency(quads, 25)
    seed = np.zeros(25, bool)
    seed[12] = True
    assert [int(grow(seed, links, k).sum()) for k in range(4)] == [1, 5, 13, 21]
    wall = np.zeros(25, bool)
    wall[[7, 11, 13, 17]] = True
    assert int(grow(seed, links, 9, barrier=wall).sum()) == 5
    two = np.concatenate([quads[:1], quads[15:]])
    label = components(two, 25)
    assert label[two[0, 0]] == label[two[0, 2]] != label[two[1, 0]]
    used, renumbered = compact(two)
    np.testing.assert_array_equal(used[renumbered], two)
