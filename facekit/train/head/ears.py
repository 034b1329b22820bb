"""Relief of the ears between helix and concha, which the pack's smooth ears lack."""

from __future__ import annotations

import numpy as np
import torch

from facekit.geometry.normals import vertex_normals

#: Direction that the left ear's surface faces, and the axis across it, backward; the second one is +Y.
_OUT, _BACK = np.array([0.9, 0.0, 0.436]), np.array([0.436, 0.0, -0.9])
#: Ridges and hollows: their points in that plane, mm on the mean head, height, mm, and standard deviation of their
#: profile, mm. In this order the antihelix and its two crura, the scapha and the triangular fossa.
#: Where ridges meet, the highest counts.
_FORMS = (
    (((34.5, -4.5), (39.0, -1.0), (41.8, 5.0), (42.4, 11.0), (41.2, 15.5), (39.8, 18.5)), 1.4, 1.6),
    (((39.8, 18.5), (39.6, 22.0), (38.4, 25.5), (36.5, 28.0)), 1.4, 1.6),
    (((39.8, 18.5), (36.5, 20.2), (33.0, 20.8), (30.5, 20.8)), 0.8, 1.4),
    (((35.0, 30.0), (40.0, 29.8), (44.5, 28.0), (48.0, 24.0), (49.2, 18.5), (48.6, 12.5), (46.6, 6.5), (43.6, 0.5),
      (40.0, -4.5), (36.0, -8.0)), -2.4, 1.9),
    (((33.5, 25.0), (36.8, 22.8)), -2.0, 1.6),
)  # fmt: skip
#: Ears are further out than this, mm, and within these heights and places backward, mm; only what faces outward moves:
#: cosines between which this begins.
_OUTER, _HIGH, _PLACE, _FACING = 60.0, (-15.0, 36.0), (25.0, 56.0), (0.1, 0.4)


def relief(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return displacements (V, 3) mm of the vertices (V, 3) mm of a mean head that give its ears their relief."""
    normals = vertex_normals(torch.from_numpy(verts)[None], torch.from_numpy(faces))[0].numpy()
    moved = np.zeros_like(verts)
    for side in (-1.0, 1.0):
        mirror = np.array([side, 1.0, 1.0])
        place, facing = verts * mirror, (normals * mirror) @ _OUT
        flat = np.stack((place @ _BACK, place[:, 1]), 1)
        ear = (place[:, 0] > _OUTER) & (facing > _FACING[0])
        for value, (low, high) in zip(flat.T, (_PLACE, _HIGH), strict=True):
            ear &= (value > low) & (value < high)
        share = np.clip((facing[ear] - _FACING[0]) / (_FACING[1] - _FACING[0]), 0, 1)
        forms = [amount * np.exp(-0.5 * (_distance(flat[ear], line) / wide) ** 2) for line, amount, wide in _FORMS]
        height = np.max(forms, axis=0).clip(min=0) + np.min(forms, axis=0).clip(max=0)
        moved[ear] = (share * height)[:, None] * _OUT * mirror
    return moved


def _distance(points: np.ndarray, line: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Return the distances (n,) of points (n, 2) from a polyline."""
    corners = np.array(line)
    start, step = corners[:-1], np.diff(corners, axis=0)
    away = points[:, None] - start
    along = np.clip((away * step).sum(2) / (step * step).sum(1), 0, 1)
    return np.linalg.norm(away - along[..., None] * step, axis=2).min(1)
