"""Non-rigid registration of a surface to points: per-vertex affine maps with decreasing stiffness."""

from __future__ import annotations

from typing import Any

import numpy as np

from facekit.errors import optional_import
from facekit.metrics.scans import Surface

#: Edge stiffness, initially, and while only landmarks pull; its factor per round; number of rounds.
_STIFF, _STIFF_MARKS, _SOFTER, _ROUNDS = 50.0, 150.0, np.exp(-0.5), 3
#: Convergence threshold on the change of all affine maps, halved in each round; largest number of steps per round, with
#: and without landmarks.
_SETTLED, _STEPS_MARKS, _STEPS = 1.0, 11, 1000
#: Landmark weights: without points, and beside points; decrease of the latter per step.
_MARKS, _MARKS_BESIDE, _MARKS_FALL = 50.0, 5.0, np.exp(-0.9)
#: Relative stiffness of x, y, z and shift; the second for the step with landmarks alone.
_EVEN, _UNEVEN = np.ones(4), np.array([2.0, 2.0, 3.0, 2.0])


def deformed(
    surface: Surface, points: np.ndarray, places: np.ndarray | None = None, marks: np.ndarray | None = None
) -> np.ndarray:
    """Register a surface to points; return its vertices (V, 3).

    Amberg et al., *Optimal step nonrigid ICP algorithms for surface registration*, CVPR 2007, with the constants of the
    REALY benchmark (Chai et al., ECCV 2022). Every vertex has its own affine map, similar to its neighbours'. Each step
    pulls vertices to the nearest of ``points``, if these are within twice the mean distance (at least 1). Lengths and
    constants are in the surface's own unit.

    Needs the extra ``evaluate``.

    Parameters
    ----------
    points:
        (N, 3) target points.
    places, marks:
        Vertex indices (K,) int64 of landmarks and their targets (K, 3): they dominate at first, and lose weight.
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


#: Weight that keeps unconstrained maps at the identity, where a part of the surface has no landmark.
_HOLD = 1e-6


class _Solver:
    """Current vertices, and the affine maps of the last step."""

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
            # Of several landmarks on one vertex the last one counts.
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
