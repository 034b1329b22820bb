"""Distances from points to surfaces, and alignment."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.errors import InputError
from facekit.metrics.scans import Surface, aligned, refined

pytest.importorskip("rtree")


@pytest.fixture(scope="module")
def ellipsoid() -> Surface:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3)
    return Surface(np.asarray(ball.vertices) * (60.0, 80.0, 70.0), np.asarray(ball.faces))


def test_distances_to_a_plane():
    plane = Surface(np.array([[-9.0, -9, 0], [9, -9, 0], [0, 9, 0]]), np.array([[0, 1, 2]]))
    points = np.array([[0.0, 0, 2], [1, 1, -3], [0, 0, 0]])
    found, distance, triangle = plane.nearest(points)
    assert not triangle.any()
    np.testing.assert_allclose(distance, [2, 3, 0], atol=1e-9)
    np.testing.assert_allclose(found, points * (1, 1, 0), atol=1e-9)


def test_alignment_undoes_a_movement(ellipsoid):
    points = ellipsoid.verts[::50]
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    scale, rotation, shift = aligned(points, 2 * points @ turn.T + 5)
    assert scale == pytest.approx(2)
    np.testing.assert_allclose(rotation, turn, atol=1e-9)
    np.testing.assert_allclose(shift, 5, atol=1e-9)
    assert aligned(points, 2 * points, scaled=False)[0] == 1


def test_refinement_brings_a_surface_to_the_points(ellipsoid):
    points = np.random.default_rng(0).permutation(ellipsoid.verts)[:300]
    angle = np.radians(6)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    off = ellipsoid.moved(1.05, turn, np.array([2.0, -3.0, 1.0]))
    before = off.nearest(points)[1].mean()
    after = refined(off, points).nearest(points)[1].mean()
    assert before > 2 and after < 0.15


def test_points_beyond_the_boundary_pull_a_surface():
    """Points in a plate's plane have no distance along its normal: only those from its edge say how large it is."""
    plate = Surface(
        np.array([[-10.0, -10, 0], [10, -10, 0], [10, 10, 0], [-10, 10, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
    )
    grid = np.linspace(-12, 12, 25)
    points = np.stack([*np.meshgrid(grid, grid), np.zeros((25, 25))], axis=-1).reshape(-1, 3)
    assert plate.nearest(points)[1].max() > 2
    larger = refined(plate, points)
    assert larger.nearest(points)[1].max() < 1e-6
    assert np.abs(larger.verts).max() == pytest.approx(12, abs=1e-6)
    assert refined(plate, points, scaled=False).nearest(points)[1].max() > 2


def test_no_mesh_is_refused():
    with pytest.raises(InputError, match="verts"):
        Surface(np.zeros((3, 2)), np.zeros((1, 3), int))
