"""FaceScape's measure where the right figure is known: tubes about the head's axis."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.errors import InputError
from facekit.metrics.cylinder import around, chamfer, cylinder_errors, depth_shift, normal_error, unrolled
from facekit.metrics.scans import Surface

pytest.importorskip("rtree")
SIZE = 24


def tube(radius: float, top: float = 160.0, bottom: float = -160.0) -> Surface:
    """A closed prism of 48 sides about y."""
    turn = np.arange(48) * 2 * np.pi / 48
    ring = np.stack([radius * np.sin(turn), np.zeros(48), radius * np.cos(turn)], axis=1)
    verts = np.concatenate([ring + [0, bottom, 0], ring + [0, top, 0]])
    k, after = np.arange(48), (np.arange(48) + 1) % 48
    faces = np.concatenate([np.stack([k, after, k + 48], axis=1), np.stack([after, after + 48, k + 48], axis=1)])
    return Surface(verts, faces)


def test_a_tube_is_seen_from_its_axis():
    found = around(tube(80.0), SIZE)
    assert found.hit.all() and found.distance.min() > 79.7 and found.distance.max() < 80.001
    np.testing.assert_allclose(found.distance[:, 0], found.distance[:, -1])
    half = around(tube(80.0, top=0.0), SIZE)
    assert half.hit[SIZE // 2 :].all() and not half.hit[: SIZE // 2].any(), "the first row is the top"


def test_the_gap_between_tubes_is_the_distance():
    errors = cylinder_errors(tube(82.0), tube(80.0), SIZE)
    assert errors.chamfer_mm == pytest.approx(2.0, rel=0.01)
    assert errors.completeness_percent == 100 and errors.normal_rad < 1e-6
    half = cylinder_errors(tube(80.0, top=0.0), tube(80.0), SIZE)
    assert half.completeness_percent == pytest.approx(50) and half.chamfer_mm < 1e-6
    with pytest.raises(InputError, match="overlaps the scan"):
        cylinder_errors(tube(80.0, 160, 10), tube(80.0, -10, -160), SIZE)


def test_what_tears_is_no_surface():
    cylinder = around(tube(80.0), SIZE)
    torn = cylinder.distance.copy()
    torn[5] = 140.0
    whole, parted = (unrolled(type(cylinder)(d, cylinder.normal), cylinder.hit) for d in (cylinder.distance, torn))
    assert len(whole.faces) == 2 * (SIZE - 1) ** 2
    assert len(parted.faces) == 2 * (SIZE - 1) * (SIZE - 3)
    assert chamfer(whole, whole) == 0


def test_normals_are_compared_as_colours():
    a, b = np.array([[0.0, 0, 1]]), np.array([[0.0, 1, 0]])
    assert normal_error(a, a) < 1e-6
    assert normal_error(a, b) == pytest.approx(np.arccos(5 / 6))


def test_depths_are_aligned_by_their_median():
    plane = Surface(np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 50, np.array([[0, 1, 2], [0, 2, 3]]))
    behind = plane.moved(1.0, np.eye(3), np.array([0, 0, -3.0]))
    shift, _ = depth_shift(plane, behind, 60.0, SIZE)
    assert shift == pytest.approx(3.0)
    k = np.array([[30.0, 0, 12], [0, 30, 12], [0, 0, 1]])
    far, near = (plane.moved(1.0, np.eye(3), np.array([0, 0, z])) for z in (400.0, 390.0))
    shift, depth = depth_shift(near, far, k, SIZE)
    assert shift == pytest.approx(10.0) and depth == pytest.approx(400.0)
