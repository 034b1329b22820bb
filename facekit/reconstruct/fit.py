"""Fit identity, expression, pose and cameras to the landmarks of K pictures by maximum a posteriori.

Unknowns are the identity weights, shared by all pictures; 52 blendshapes and the head's pose per picture; and a focal
length per camera. Observed are the landmarks, whose bias and error covariance are known
(:mod:`facekit.reconstruct.response`), so that the squared error is their log likelihood. Solved with the
Levenberg-Marquardt algorithm (Levenberg 1944, Marquardt 1963) and analytic derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facekit.conventions import BLENDSHAPE_DIM
from facekit.models.blendshapes import BLINKS
from facekit.reconstruct.algebra import product, solved
from facekit.reconstruct.landmarker import LEFT_IRIS, OVAL, POINTS, RIGHT_IRIS
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response, seen_from, upright
from facekit.reconstruct.unknowns import POSE, Fitted, State, View

#: Prior of the camera's distance from the head: mean and standard deviation of its logarithm (mm).
DISTANCE = (np.log(850.0), 0.5)
#: Iterations in all, and those that move the pose alone; initial damping, and its factors of growth and decrease.
_ROUNDS, _POSE_ROUNDS, _DAMPING, _UP, _DOWN = 24, 4, 1e-2, 6.0, 4.0
#: Landmarks with residuals beyond this many standard deviations are down-weighted (Geman and McClure's idea in Cauchy's
#: form).
_OUTLIER = 3.0
#: Factor on the uncertainty of a closed eye's iris.
_HIDDEN = 8.0
#: Factor on the standard deviation of the face outline, relative to renders: hair and beards hide it.
_OUTLINE = 1.6
_ENOUGH = 1e-4


def fit(
    points: FacePoints,
    response: Response,
    views: Sequence[View],
    *,
    known: np.ndarray | None = None,
    prior: tuple[np.ndarray, np.ndarray] | None = None,
    start: Fitted | None = None,
    personal_bias: np.ndarray | None = None,
) -> Fitted:
    """Fit a person to the views.

    Parameters
    ----------
    points:
        The rig evaluated at the landmarks.
    response:
        The landmarker's error model.
    known:
        (M,) float64: identity weights to keep fixed.
    prior:
        Mean (M,) and standard deviations (M,) of the identity weights; by default 0 and 1.
    start:
        Fit of the same number of similar views, for instance the previous frames.
    personal_bias:
        (478, 2) float64 mm, upright: bias of the landmarks that is specific to this person, added to the response's.
    """
    return _Fit(points, response, views, known, prior, start, personal_bias).run()


class _Fit:
    """One fit: its data, and the residuals of its least-squares problem."""

    def __init__(
        self,
        points: FacePoints,
        response: Response,
        views: Sequence[View],
        known: np.ndarray | None,
        prior: tuple[np.ndarray, np.ndarray] | None,
        start: Fitted | None,
        personal_bias: np.ndarray | None,
    ) -> None:
        self.personal_bias = np.zeros((POINTS, 2)) if personal_bias is None else personal_bias
        self.points, self.response, self.views, self.fixed = points, response, views, known is not None
        self.modes, self.count = points.modes.shape[-1], len(views)
        self.mean, self.deviation = (np.zeros(self.modes), np.ones(self.modes)) if prior is None else prior
        numbers = sorted({view.camera for view in views})
        self.lens = [numbers.index(view.camera) for view in views]
        # A fraction of the residual variance is the same in all pictures: several pictures count as fewer.
        share = float(response.constant)
        self.trust = 1 / np.sqrt(1 + (self.count - 1) * share)
        self.pose_rounds = _POSE_ROUNDS if start is None else 0
        self.state = self._start(known) if start is None else self._resumed(start, known)
        self.focal_prior = self._focal_prior()

    def _start(self, known: np.ndarray | None) -> State:
        turns, shifts, scales = [], [], []
        inner = np.ones(POINTS, dtype=bool)
        inner[list(OVAL)] = False
        for view in self.views:
            u, _, vt = np.linalg.svd(view.rotation)
            turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
            flat = (self.points.base @ turn.T)[inner, :2]
            seen = ((view.points - view.principal) * (1, -1))[inner]
            a, b = flat - flat.mean(axis=0), seen - seen.mean(axis=0)
            scale = max(float((a * b).sum() / (a * a).sum()), 1e-6)
            turns.append(turn)
            shifts.append(seen.mean(axis=0) / scale - flat.mean(axis=0))
            scales.append(np.log(scale))
        lenses = max(self.lens) + 1
        focal = np.array(
            [np.mean([s for s, c in zip(scales, self.lens, strict=True) if c == k]) for k in range(lenses)]
        )
        identity = self.mean.copy() if known is None else known.copy()
        weights = np.stack([view.expected for view in self.views]).clip(0.0, 1.0)
        return State(identity, focal + DISTANCE[0], weights, np.stack(turns), np.stack(shifts), np.array(scales))

    def _resumed(self, start: Fitted, known: np.ndarray | None) -> State:
        """Return the final state of an earlier fit of as many views."""
        lenses = [self.lens.index(lens) for lens in range(max(self.lens) + 1)]
        scales = np.log(start.focal) - np.log(-start.translation[:, 2])
        identity = start.identity.copy() if known is None else known.copy()
        shifts = start.translation[:, :2].copy()
        return State(identity, np.log(start.focal[lenses]), start.blendshapes.copy(), start.rotation, shifts, scales)

    def _focal_prior(self) -> list[tuple[float, float]]:
        """Return mean and standard deviation of each lens's log focal length: from its pictures, or from the prior of
        the distance.
        """
        found = [(float(mean), DISTANCE[1]) for mean in self.state.focal]
        for view, lens in zip(self.views, self.lens, strict=True):
            if view.focal is not None:
                found[lens] = view.focal
        return found

    # -- one picture --------------------------------------------------------------------------------------------------

    def _predicted(self, state: State, k: int) -> np.ndarray:
        """Return the predicted landmarks (478, 2) of picture k in upright mm from the optical axis."""
        head = self.points.places(state.identity, state.weights[k]) @ state.turns[k].T
        return self._projected(state, k, head)[0]

    def _projected(self, state: State, k: int, head: np.ndarray) -> tuple[np.ndarray, ...]:
        """Project a turned head's points (478, 3); return landmarks (478, 2), the part of them without bias, and factor
        (478,) and depth (478,) of the projection.
        """
        turn, lens = state.turns[k], self.lens[k]
        shift = state.translation(k, lens)
        camera = head + shift
        depth = -camera[:, 2]
        # Near 1: a point's scale relative to that of the head's centre.
        zoom = np.exp(state.focal[lens]) / depth / np.exp(state.scales[k])
        flat = camera[:, :2] * zoom[:, None]
        bias = self.response.bias(*seen_from(turn, shift), state.weights[k], state.identity) + self.personal_bias
        return flat @ upright(turn).T + bias, flat, zoom, depth

    def _linearised(self, state: State, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the predicted landmarks (478, 2) of picture k and their derivatives (478, 2, N) by identity unless it
        is fixed, focal length, blendshapes and pose.
        """
        turn = state.turns[k]
        places, by_identity, by_weights = self.points(state.identity, state.weights[k])
        head = places @ turn.T
        predicted, flat, zoom, depth = self._projected(state, k, head)
        yaw, pitch, far = seen_from(turn, state.translation(k, self.lens[k]))
        upright_turn = upright(turn)
        # d flat = zoom * (dx, dy) + flat / depth * dz, as depth is -z.
        towards = np.zeros((POINTS, 2, 3))
        towards[:, 0, 0] = towards[:, 1, 1] = zoom
        towards[:, :, 2] = flat / depth[:, None]
        along = upright_turn @ towards
        by_shapes, by_people = self.response.slopes(yaw, self.modes)
        own = along @ turn
        pose = np.zeros((POINTS, 2, POSE))
        cross = np.zeros((POINTS, 3, 3))  # -[head]x: a small turn w moves a point by w x head
        cross[:, 0, 1], cross[:, 0, 2] = head[:, 2], -head[:, 1]
        cross[:, 1, 0], cross[:, 1, 2] = -head[:, 2], head[:, 0]
        cross[:, 2, 0], cross[:, 2, 1] = head[:, 1], -head[:, 0]
        pose[..., :3] = along @ cross
        pose[..., 3:5] = along[..., :2]
        # The head's distance grows with the focal length and decreases with the scale.
        lens_slope = flat @ upright_turn.T - along[..., 2] * far + self.response.distance_slope(yaw, pitch, far)
        # In this iteration's unit the detected landmarks stay fixed, and the predicted ones grow with the scale.
        pose[..., 5] = predicted - lens_slope
        identity = [] if self.fixed else [own @ by_identity + by_people]
        return predicted, np.concatenate((*identity, lens_slope[..., None], own @ by_weights + by_shapes, pose), axis=2)

    def _seen(self, state: State, k: int) -> np.ndarray:
        """Return the detected landmarks in the same upright mm."""
        view = self.views[k]
        flat = (view.points - view.principal) * (1, -1) / np.exp(state.scales[k])
        return flat @ upright(state.turns[k]).T

    def _certainty(self, state: State, k: int, away: np.ndarray) -> np.ndarray:
        """Return 1 / standard deviation, 1/mm (478,), of the landmarks of picture k, given their residuals (478, 2) in
        mm.
        """
        turn, shift = state.turns[k], state.translation(k, self.lens[k])
        camera = self.points.neutral(state.identity) @ turn.T + shift
        facing = -((self.points.normals @ turn.T) * camera).sum(axis=1) / np.linalg.norm(camera, axis=1)
        told = self.views[k].spread
        spread = self.response.spread(facing) if told is None else told * self.response.sigma
        spread[list(OVAL)] *= _OUTLINE
        for blink, iris in zip(BLINKS, (RIGHT_IRIS, LEFT_IRIS), strict=True):
            spread[list(iris)] *= 1 + _HIDDEN * np.clip(state.weights[k, blink], 0, 1) ** 2
        off = np.linalg.norm(away, axis=1) / spread
        return 1 / (spread * np.sqrt(1 + (off / _OUTLIER) ** 2))

    def _whitened(self, rows: np.ndarray, certainty: np.ndarray) -> np.ndarray:
        """Return residuals in mm (478, 2) or their derivatives (478, 2, N) as uncorrelated unit noise, (956,) or (956,
        N).
        """
        scaled = rows * certainty.reshape(-1, *[1] * (rows.ndim - 1))
        return self.trust * product(self.response.whitening, scaled.reshape(2 * POINTS, *rows.shape[2:]))

    def _off(self, state: State, k: int, certainty: np.ndarray, unit: float) -> np.ndarray:
        """Return the residuals (956,) of picture k as unit noise; ``unit``, log pixels per mm, is the scale at which
        ``certainty`` holds.

        If the unit followed the state's scale, smaller heads would fit better: their errors in mm are smaller.
        """
        away = (self._predicted(state, k) - self._seen(state, k)) * np.exp(state.scales[k] - unit)
        return self._whitened(away, certainty)

    def _cost(self, state: State, off: Sequence[np.ndarray]) -> float:
        cost = (((state.identity - self.mean) / self.deviation) ** 2).sum()
        cost += sum(((f - mean) / sigma) ** 2 for f, (mean, sigma) in zip(state.focal, self.focal_prior, strict=True))
        for k, view in enumerate(self.views):
            cost += (off[k] ** 2).sum() + (view.prior(state.weights[k])[0] ** 2).sum()
        return float(cost)

    # -- the rounds ---------------------------------------------------------------------------------------------------

    def _normal(
        self, state: State, off: Sequence[np.ndarray], slopes: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix and right-hand side of the normal equations for each picture's residuals (956,) and their
        derivatives (956, N), as unit noise.
        """
        start = self.modes + len(state.focal)
        own = BLENDSHAPE_DIM + POSE
        size = start + self.count * own
        matrix, slope = np.zeros((size, size)), np.zeros(size)
        for k, view in enumerate(self.views):
            whose = np.arange(0 if self.fixed else self.modes)
            where = np.concatenate((whose, [self.modes + self.lens[k]], start + k * own + np.arange(own)))
            matrix[np.ix_(where, where)] += product(slopes[k].T, slopes[k])
            slope[where] += product(slopes[k].T, off[k])
            rows, by_weights = view.prior(state.weights[k])
            some = slice(start + k * own, start + k * own + BLENDSHAPE_DIM)
            matrix[some, some] += by_weights.T @ by_weights
            slope[some] += by_weights.T @ rows
        people = np.arange(self.modes)
        matrix[people, people] += 1 / self.deviation**2
        slope[people] += (state.identity - self.mean) / self.deviation**2
        for k, (mean, sigma) in enumerate(self.focal_prior):
            matrix[self.modes + k, self.modes + k] += 1 / sigma**2
            slope[self.modes + k] += (state.focal[k] - mean) / sigma**2
        return matrix, slope

    def _held(self, number: int) -> np.ndarray:
        """Return indices of the unknowns that are fixed in this iteration."""
        start = self.modes + len(self.state.focal)
        held = [np.arange(self.modes)] if self.fixed or number < self.pose_rounds else []
        if number < self.pose_rounds:
            held.append(np.arange(self.modes, start))
            for k in range(self.count):
                held.append(start + k * (BLENDSHAPE_DIM + POSE) + np.arange(BLENDSHAPE_DIM))
        return np.concatenate(held) if held else np.zeros(0, dtype=int)

    def run(self) -> Fitted:
        """Iterate until convergence."""
        state, damping, number = self.state, _DAMPING, 0
        matrix = np.zeros((0, 0))
        for number in range(_ROUNDS):
            told = [self._linearised(state, k) for k in range(self.count)]
            away = [predicted - self._seen(state, k) for k, (predicted, _) in enumerate(told)]
            certainty = [self._certainty(state, k, rows) for k, rows in enumerate(away)]
            off = [self._whitened(rows, sure) for rows, sure in zip(away, certainty, strict=True)]
            slopes = [self._whitened(rows, sure) for (_, rows), sure in zip(told, certainty, strict=True)]
            matrix, slope = self._normal(state, off, slopes)
            free = np.ones(len(slope), dtype=bool)
            free[self._held(number)] = False
            before, after, tried = self._cost(state, off), np.inf, state
            for _ in range(6):
                step = np.zeros_like(slope)
                system = matrix[np.ix_(free, free)]
                system = system + np.diag(np.diag(system) * damping + 1e-9)
                step[free] = -solved(system, slope[free])
                tried = state.moved(step)
                off = [self._off(tried, k, sure, state.scales[k]) for k, sure in enumerate(certainty)]
                after = self._cost(tried, off)
                if after < before:
                    break
                damping *= _UP
            if after >= before:
                break
            state, damping = tried, max(damping / _DOWN, 1e-6)
            if number > self.pose_rounds + (3 if self.pose_rounds else 1) and before - after < _ENOUGH * before:
                break
        return self._result(state, matrix, number + 1)

    def _result(self, state: State, matrix: np.ndarray, rounds: int) -> Fitted:
        predicted = []
        for k, view in enumerate(self.views):
            flat = self._predicted(state, k) @ upright(state.turns[k])
            predicted.append(flat * np.exp(state.scales[k]) * (1, -1) + view.principal)
        covariance = solved(matrix, np.eye(len(matrix)))[: self.modes, : self.modes]
        return Fitted(
            identity=state.identity,
            covariance=covariance,
            blendshapes=state.weights.clip(0, 1),
            rotation=state.turns,
            translation=np.stack([state.translation(k, lens) for k, lens in enumerate(self.lens)]),
            focal=np.exp(state.focal[self.lens]),
            predicted=np.stack(predicted),
            rounds=rounds,
        )
