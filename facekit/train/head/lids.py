"""Lid and lip closure for every identity.

The pack's eyeBlink is one displacement for everybody, so that at weight 1 wide eyes stay open a slit and narrow ones
overlap. The correction is linear in the posed vertices: a sparse matrix C per side computes where the two lid rims
would end, and how the upper lid must move for them to meet. With ``id`` an identity's displacement, the blink of that
identity is ``weight * (shape + C @ id)``; the mean's correction is already part of the shape.

The lips of the pack's neutral face are parted a little, depending on identity; :func:`lip_seal` is linear in the same
way.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree

from facekit.train.head.topology import adjacency

REACH_MM = 8.0
OVERLAP_MM = 0.25
LIP_REACH_MM = 9.0
# Fraction of the lips' gap to close; a little over 1 presses the lips together.
LIP_CLOSING = 1.08


def blink_corrective(
    verts: np.ndarray,
    faces: np.ndarray,
    shape: np.ndarray,
    rim: np.ndarray,
    lid_region: np.ndarray,
    eye_x: float,
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return matrix C ``(V, V)`` (acts on y and z alike, see :func:`apply`) and constant ``(V, 3)`` mm for one eye.

    verts (V, 3): mean head; shape (V, 3): its eyeBlink; rim (V,) bool: the lids' front edges, both eyes;
    lid_region (V,) bool: what may move with the lid; eye_x: the eye's x, mm, whose sign picks the side.
    """
    n = len(verts)
    rim_index = np.flatnonzero(rim & (np.sign(verts[:, 0]) == np.sign(eye_x)))
    closed = verts + shape
    inner, outer = (
        rim_index[np.abs(verts[rim_index, 0]).argmin()],
        rim_index[np.abs(verts[rim_index, 0]).argmax()],
    )
    # Above and below the line between the corners, on the open eye.
    along = (verts[rim_index, 0] - verts[inner, 0]) / (verts[outer, 0] - verts[inner, 0])
    line = verts[inner, 1] + along * (verts[outer, 1] - verts[inner, 1])
    is_corner = (rim_index == inner) | (rim_index == outer)
    upper = rim_index[(verts[rim_index, 1] > line) & ~is_corner]
    lower = np.r_[rim_index[(verts[rim_index, 1] <= line) & ~is_corner], inner, outer]
    upper, lower = (part[np.argsort(closed[part, 0])] for part in (upper, lower))

    # gap[i] = (lower rim at the same x) - (upper rim point i), as a matrix on posed vertices.
    x = closed[upper, 0]
    right = np.clip(np.searchsorted(closed[lower, 0], x), 1, len(lower) - 1)
    t = np.clip((x - closed[lower[right - 1], 0]) / (closed[lower[right], 0] - closed[lower[right - 1], 0]), 0, 1)
    row = np.arange(len(upper))
    gap = sp.csr_matrix(
        (
            np.concatenate([1 - t, t, -np.ones(len(upper))]),
            (np.tile(row, 3), np.concatenate([lower[right - 1], lower[right], upper])),
        ),
        shape=(len(upper), n),
    )
    # Every vertex near the upper rim takes the gap of the nearest rim points, fading with distance on the open lid.
    distance, _ = KDTree(verts[upper]).query(verts)
    to_lower, _ = KDTree(verts[lower[~np.isin(lower, (inner, outer))]]).query(verts)
    moves = np.flatnonzero((distance < REACH_MM) & lid_region & (distance < to_lower))
    fade = 0.5 + 0.5 * np.cos(np.pi * distance[moves] / REACH_MM)
    fade[np.isin(moves, upper)] = 1.0
    right = np.clip(np.searchsorted(closed[upper, 0], closed[moves, 0]), 1, len(upper) - 1)
    lo, hi = closed[upper[right - 1], 0], closed[upper[right], 0]
    t = np.clip((closed[moves, 0] - lo) / (hi - lo), 0, 1)
    row = np.arange(len(moves))
    take = sp.csr_matrix(
        (
            np.concatenate([(1 - t) * fade, t * fade]),
            (np.tile(moves[row], 2), np.concatenate([right - 1, right])),
        ),
        shape=(n, len(upper)),
    )
    matrix = sp.csr_matrix(take @ gap)
    constant = apply(matrix, closed)
    constant[:, 1] -= OVERLAP_MM * np.asarray(abs(take).sum(1)).ravel()
    return matrix, smooth_along(constant, faces, moves, upper)


def lip_seal(verts: np.ndarray, margin: np.ndarray, region: np.ndarray) -> sp.csr_matrix:
    """Return matrix S ``(V, V)``: ``y + S @ y`` are the heights with closed lips, for the mean or any identity mode.

    verts (V, 3): mean head; margin (V,) bool: the lips' inner contour; region (V,) bool: what may move
    along. Upper and lower lip meet halfway; both fade to nothing at the mouth's corners, where they join.
    """
    n = len(verts)
    index = np.flatnonzero(margin)
    left, right = index[verts[index, 0].argmin()], index[verts[index, 0].argmax()]
    along = (verts[index, 0] - verts[left, 0]) / (verts[right, 0] - verts[left, 0])
    line = verts[left, 1] + along * (verts[right, 1] - verts[left, 1])
    # Split the contour by height relative to the mouth line through both corners and the middle.
    middle = verts[index[np.abs(verts[index, 0]) < 2.0], 1].mean() - 0.5 * (verts[left, 1] + verts[right, 1])
    line = line + middle * (1 - (2 * along - 1) ** 2)
    corner = (index == left) | (index == right)
    halves = []
    for side in (verts[index, 1] > line, verts[index, 1] <= line):
        part = np.r_[index[side & ~corner], left, right]
        halves.append(part[np.argsort(verts[part, 0], kind="stable")])
    total = sp.csr_matrix((n, n))
    for mine, other in (halves, halves[::-1]):
        x = verts[mine, 0]
        after = np.clip(np.searchsorted(verts[other, 0], x), 1, len(other) - 1)
        lo, hi = verts[other[after - 1], 0], verts[other[after], 0]
        t = np.clip((x - lo) / np.maximum(hi - lo, 1e-6), 0, 1)
        row = np.arange(len(mine))
        gap = sp.csr_matrix(
            (
                np.concatenate([1 - t, t, -np.ones(len(mine))]),
                (np.tile(row, 3), np.concatenate([other[after - 1], other[after], mine])),
            ),
            shape=(len(mine), n),
        )
        distance, near = KDTree(verts[mine]).query(verts)
        rival = KDTree(verts[other]).query(verts)[0]
        moves = np.flatnonzero((distance < LIP_REACH_MM) & region & (distance < rival))
        fade = 0.5 * LIP_CLOSING * (0.5 + 0.5 * np.cos(np.pi * distance[moves] / LIP_REACH_MM))
        take = sp.csr_matrix((fade, (moves, np.asarray(near)[moves])), shape=(n, len(mine)))
        total = total + take @ gap
    return total.tocsr()


def apply(matrix: sp.csr_matrix, displacement: np.ndarray) -> np.ndarray:
    """Return the corrective ``(V, 3)`` of a displacement or of posed vertices; x is unchanged."""
    out = np.asarray(matrix @ displacement)
    out[:, 0] = 0.0
    return out


def smooth_along(field: np.ndarray, faces: np.ndarray, moves: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Smooth a displacement field ``(V, 3)`` lightly on the moving vertices, except the rim itself."""
    links = adjacency(faces, len(field))
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)[:, None]
    inner = np.setdiff1d(moves, keep)
    out = field.copy()
    for _ in range(2):
        out[inner] = (0.5 * out + 0.5 * (links @ out) / degree)[inner]
    return out
