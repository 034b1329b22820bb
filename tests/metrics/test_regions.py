"""REALY's metric with known results: concentric balls, and a face that equals the scan."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.metrics import regions
from facekit.metrics.nonrigid import deformed
from facekit.metrics.scans import Surface

TURN = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])

pytest.importorskip("rtree")
pytest.importorskip("scipy")


def ball(radius: float, subdivisions: int = 2) -> Surface:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Surface(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def test_the_scale_is_the_ratio_of_absolute_lengths():
    """Umeyama's scale differs for these points, since one of them is displaced."""
    points = np.random.default_rng(0).normal(size=(7, 3))
    target = points.copy()
    target[0] += 1.0
    scale, turn, _ = regions.by_keypoints(points, target)
    p, t = points - points.mean(0), target - target.mean(0)
    assert scale == pytest.approx(np.abs(t).sum() / np.abs(p @ turn.T).sum())
    scale, turn, shift = regions.by_keypoints(points, 2 * points @ TURN.T + 5)
    np.testing.assert_allclose(scale * points @ turn.T + shift, 2 * points @ TURN.T + 5, atol=1e-9)


def test_a_region_is_laid_over_without_scale():
    outer = ball(3.0)
    moved = outer.moved(1.0, np.eye(3), np.array([0.3, -0.2, 0.1]))
    marks = moved.verts[:4]
    laid, found = regions.by_region(moved, marks, outer.verts, outer.verts[:4], "nose")
    np.testing.assert_allclose(laid.verts, outer.verts, atol=5e-3)
    np.testing.assert_allclose(found, outer.verts[:4], atol=5e-3)


@pytest.mark.parametrize("leading", [0, 12])
def test_a_ball_in_a_ball_errs_by_the_gap(leading):
    inner, outer = ball(3.0), ball(3.5, 3)
    marks = inner.verts[:leading] * 3.5 / 3
    errors = regions.region_errors(outer, inner, marks, inner.verts[:leading])
    assert errors.mean() == pytest.approx(0.5, rel=0.01)
    assert errors.max() < 0.53


def test_landmarks_that_slid_are_an_error_though_the_surface_is_right():
    """An error that nearest points cannot measure: the ball is right, but its landmarks are rotated by 0.2 radians."""
    inner = ball(3.0)
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    plain = regions.region_errors(inner, inner, np.zeros((0, 3)), np.zeros((0, 3)))
    slid = regions.region_errors(inner, inner, inner.verts @ turn.T, inner.verts)
    assert plain.max() < 1e-6 and slid.mean() > 0.3


def test_a_soft_surface_goes_where_points_are():
    inner = ball(3.0)
    laid = deformed(inner, inner.verts + np.array([0.2, 0.0, 0.0]))
    np.testing.assert_allclose(laid, inner.verts + np.array([0.2, 0, 0]), atol=0.02)


def test_the_scan_itself_has_no_error_in_any_place_and_size(default_pipeline):
    surface, keypoints, parts = face(default_pipeline)
    moved = surface.moved(7.0, TURN, np.array([5.0, 6.0, 7.0]))
    moved_keypoints = 7.0 * keypoints @ TURN.T + np.array([5.0, 6.0, 7.0])
    errors = regions.realy_errors(moved, moved_keypoints, parts, keypoints)
    assert max(errors.values()) < 1e-3
    flat = surface.verts * np.array([1.0, 1.0, 0.9])
    errors = regions.realy_errors(Surface(flat, surface.faces), keypoints * [1.0, 1.0, 0.9], parts, keypoints)
    assert min(errors.values()) > 0.005, "a flat face is none of it"


def face(pipe) -> tuple[Surface, np.ndarray, dict[str, Surface]]:
    """The mean head in units of about a centimetre; two small regions are quick."""
    template = pipe.template
    verts = template.verts.double().numpy() / 9
    marks = verts[template.landmarks.numpy()]
    keypoints = np.full((regions.KEYPOINTS, 3), np.nan)
    keypoints[:68] = marks
    keypoints[68:] = marks[:17]
    surface = Surface(verts, template.faces.numpy())
    parts = {}
    for name in ("nose", "cheek"):
        own = marks[[k for k in regions.RIGID[name] if k < 68]]
        near = np.linalg.norm(verts[:, None] - own, axis=-1).min(axis=1) < 0.45
        faces = surface.faces[near[surface.faces].all(axis=1)]
        used, index = np.unique(faces, return_inverse=True)
        parts[name] = Surface(verts[used], index.reshape(-1, 3))
    return surface, keypoints, parts
