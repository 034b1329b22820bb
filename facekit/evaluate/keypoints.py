"""REALY's 85 keypoints on the embedded default's topology, found from the benchmark's own keypoints on its scans.

Brows, eyes, nose and mouth, 17 to 67, are the template's landmarks. The jaw's contour lies elsewhere in the benchmark
than where iBUG's points do, and no landmark tells the place of the last 17, so these are taken from the people of the
benchmark: the identity modes are fitted to each one's inner landmarks, its other keypoints are projected onto the
fitted face, and their places are averaged on the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facekit.data import realy as data
from facekit.geometry.parts import among
from facekit.metrics.regions import KEYPOINTS
from facekit.metrics.scans import Surface, aligned
from facekit.pipeline import FacePipeline
from facekit.reconstruct.model import PhotoModel

#: Keypoints that are the template's landmarks, and the others.
_INNER = slice(17, 68)
_OTHERS = np.r_[0:17, 68:KEYPOINTS]
#: Standard deviation of a landmark about the fitted face, mm.
_DEVIATION = 1.5
_ROUNDS = 5
#: The searched skin reaches this far behind the inner landmarks, mm.
_DEPTH = 80.0
_PEOPLE = 20
_SKIN = ("skin", "lips", "lids")


def place_keypoints(pipe: FacePipeline, scans: Sequence[np.ndarray]) -> np.ndarray:
    """Return keypoints on the pipeline's template as rows (85, 3) float64 of triangle, b0 and b1.

    Needs the extra ``evaluate``.

    Parameters
    ----------
    pipe:
        Model of the embedded default's topology.
    scans:
        Keypoints (85, 3) of each scan, in any unit and pose.
    """
    template, modes = pipe.template, PhotoModel.of(pipe).modes
    mean, faces = template.verts.cpu().double().numpy(), template.faces.cpu().numpy()
    deltas, landmarks = modes.deltas.numpy(), template.landmarks.cpu().numpy()[_INNER]
    skin = among(template.parts, _SKIN).cpu().numpy()
    skin &= mean[:, 2] > mean[landmarks, 2].min() - _DEPTH
    kept = np.flatnonzero(skin[faces].all(axis=1))
    places = []
    for scan in scans:
        code, moved = _fitted(mean[landmarks], deltas[:, landmarks].astype(np.float64), scan)
        verts = mean + np.tensordot(code.astype(np.float32), deltas, axes=1)
        found, _, triangle = Surface(verts, faces[kept]).nearest(moved[_OTHERS])
        shares = _shares(verts[faces[kept][triangle]], found)
        places.append((mean[faces[kept][triangle]] * shares[..., None]).sum(axis=1))
    found, _, triangle = Surface(mean, faces[kept]).nearest(np.mean(places, axis=0))
    rows = np.zeros((KEYPOINTS, 3))
    rows[_OTHERS, 0] = kept[triangle]
    rows[_OTHERS, 1:] = _shares(mean[faces[kept][triangle]], found)[:, :2]
    for number, vertex in enumerate(landmarks, start=_INNER.start):
        where, corner = np.argwhere(faces == vertex)[0]
        rows[number] = where, corner == 0, corner == 1
    return rows


def benchmark_keypoints(folder: str | Path) -> list[np.ndarray]:
    """Read the keypoints (85, 3) of up to 20 scans in REALY's own folder, for :func:`place_keypoints`."""
    items = data.items(folder)
    return [data.read_points(item.keypoints) for item in items[:: -(-len(items) // _PEOPLE)]]


def _fitted(mean: np.ndarray, deltas: np.ndarray, scan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mode weights (M,) by ridge regression, and the scan's keypoints (85, 3) on the head with these.

    ``mean`` (51, 3) and ``deltas`` (M, 51, 3) are those of the inner landmarks.
    """
    basis = deltas.reshape(len(deltas), -1) / _DEVIATION
    inverse = np.linalg.inv(basis @ basis.T + np.eye(len(basis)))
    code, moved = np.zeros(len(basis)), scan
    for _ in range(_ROUNDS):
        size, turn, shift = aligned(scan[_INNER], mean + np.tensordot(code, deltas, axes=1))
        moved = size * scan @ turn.T + shift
        code = inverse @ (basis @ (moved[_INNER] - mean).ravel() / _DEVIATION)
    return code, moved


def _shares(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return barycentric weights (N, 3) of points (N, 3) in triangles (N, 3, 3)."""
    import trimesh

    return np.asarray(trimesh.triangles.points_to_barycentric(corners, points))
