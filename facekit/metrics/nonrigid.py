"""Non-rigid registration of a surface to points: locally affine, stiff along its edges, ever less so."""

from __future__ import annotations

from typing import Any

import numpy as np

from facekit.errors import optional_import
from facekit.metrics.scans import Surface

#: How stiff it is along edges at first, and while only landmarks pull; what each round leaves of that; the rounds.
_STIFF, _STIFF_MARKS, _SOFTER, _ROUNDS = 50.0, 150.0, np.exp(-0.5), 3
#: A round ends when all affine numbers together change by less than this, which each round halves; or after so many.
_SETTLED, _STEPS_MARKS, _STEPS = 1.0, 11, 1000
#: Weights of landmarks: alone, and beside points; there they fall with every step.
_MARKS, _MARKS_BESIDE, _MARKS_FALL = 50.0, 5.0, np.exp(-0.9)
#: Of the affine numbers those of landmarks' own step count differently: x, y, z, shift.
_EVEN, _UNEVEN = np.ones(4), np.array([2.0, 2.0, 3.0, 2.0])


def deformed(
    surface: Surface, points: np.ndarray, places: np.ndarray | None = None, marks: np.ndarray | None = None
) -> np.ndarray:
    """Vertices (V, 3) of a surface that has been laid over points.

    Amberg et al., *Optimal step nonrigid ICP algorithms for surface registration*, CVPR 2007, with the constants of the
    REALY benchmark (Chai et al., ECCV 2022). Every vertex has an affine map of its own; neighbours' may differ little.
    Each step pulls vertices to the nearest of ``points``, those within twice the mean distance (or 1, where that is
    more). Lengths are in the surface's own unit, and so are the constants.

    Needs the extra ``evaluate``.

    Parameters
    ----------
    points:
        (N, 3).
    places, marks:
        Vertices (K,) int64 that are landmarks, and where they belong (K, 3): they lead at first, and give way.
    """
    solver = _Solver(surface, points)
    with_marks = places is not None and marks is not None and len(places) > 0
    steps = 0
    if with_marks:
        solver.step(_STIFF_MARKS, _UNEVEN, 0.0, places, marks, _MARKS)
        steps = 1
    for round_ in range(_ROUNDS):
        for _ in range(_STEPS_MARKS if with_marks else _STEPS):
            if solver.changed <= _SETTLED * 0.5**round_:
                break
            weight = _MARKS_BESIDE * _MARKS_FALL**steps if with_marks else 0.0
            solver.step(_STIFF * _SOFTER**round_, _EVEN, 1.0, places, marks, weight)
            steps += 1
    return solver.verts


#: How firmly a map that nothing else decides stays what it was: where a part of the surface has no landmark.
_HOLD = 1e-6


class _Solver:
    """Vertices as they are, and the maps of the last step."""

    def __init__(self, surface: Surface, points: np.ndarray) -> None:
        self.sparse: Any = optional_import("scipy.sparse", "evaluate", "non-rigid registration")
        self.linalg: Any = optional_import("scipy.sparse.linalg", "evaluate", "non-rigid registration")
        spatial: Any = optional_import("scipy.spatial", "evaluate", "non-rigid registration")
        self.verts, self.points, self.tree = surface.verts, points, spatial.cKDTree(points)
        count = len(self.verts)
        edges = np.sort(np.concatenate([surface.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
        edges = np.unique(edges, axis=0)
        rows = np.repeat(np.arange(len(edges)), 2)
        signs = np.tile([1.0, -1.0], len(edges))
        incidence = self.sparse.csr_matrix((signs, (rows, edges.ravel())), shape=(len(edges), count))
        self.laplacian = (incidence.T @ incidence).tocsr()
        self.maps = np.ones((4 * count, 3))
        self.changed = np.inf

    def step(self, stiff: float, kinds: np.ndarray, pull: float, places: Any, marks: Any, marks_weight: float) -> None:
        """Solve for all maps and move the vertices by them."""
        count = len(self.verts)
        weight, target = np.zeros(count), np.zeros((count, 3))
        if pull:
            distance, nearest = self.tree.query(self.verts)
            weight = (distance < max(2 * distance.mean(), 1.0)).astype(np.float64)
            target = self.points[nearest] * weight[:, None]
        if marks_weight:
            square = marks_weight**2
            # Of two landmarks on one vertex the last one counts.
            own = dict(zip(places.tolist(), marks, strict=True))
            index = np.array(list(own))
            weight[index] += square
            target[index] += square * np.array(list(own.values()))
        ones = np.concatenate([self.verts, np.ones((count, 1))], axis=1)
        columns = np.arange(4 * count).reshape(count, 4)
        blocks = weight[:, None, None] * ones[:, :, None] * ones[:, None, :]
        at = (np.repeat(columns, 4, axis=1).ravel(), np.tile(columns, (1, 4)).ravel())
        data = self.sparse.csc_matrix((blocks.ravel(), at), shape=(4 * count, 4 * count))
        edges = self.sparse.kron(self.laplacian, np.diag(kinds**2))
        matrix = (stiff**2 * edges + data + _HOLD * self.sparse.identity(4 * count)).tocsc()
        right = (ones[:, :, None] * target[:, None, :]).reshape(4 * count, 3)
        right += _HOLD * np.tile(np.eye(4, 3), (count, 1))
        factor = self.linalg.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        maps = factor.solve(right)
        self.changed = float(np.linalg.norm(maps - self.maps))
        self.maps = maps
        self.verts = np.einsum("vk,vkc->vc", ones, maps.reshape(count, 4, 3))
