"""Fit identity, expression, pose and cameras to the landmarks of K pictures by maximum a posteriori.

Unknowns are the identity weights, shared by all pictures; 52 blendshapes and the head's pose per picture; and a focal
length per camera. Observed are the landmarks, whose bias and error covariance are known
(:mod:`facekit.reconstruct.response`), so that the squared error is their log likelihood. Solved with the
Levenberg-Marquardt algorithm (Levenberg 1944, Marquardt 1963) and analytic derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facekit.conventions import BLENDSHAPE_DIM, GAZE_ACROSS, GAZE_UP
from facekit.models.blendshapes import BLINKS
from facekit.reconstruct.landmarker import LEFT_IRIS, OVAL, POINTS, RIGHT_IRIS
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import Response, seen_from, upright
from facekit.reconstruct.unknowns import GAZE_DIFFERS_ACROSS, GAZE_DIFFERS_UP, POSE, Fitted, State, View

#: Prior of the camera's distance from the head: mean and standard deviation of its logarithm (mm).
DISTANCE = (np.log(850.0), 0.5)
#: Iterations in all, and those that move the pose alone; initial damping, and its factors of growth and decrease.
_ROUNDS, _POSE_ROUNDS, _DAMPING, _UP, _DOWN = 24, 4, 1e-2, 6.0, 4.0
#: Landmarks with residuals beyond this many standard deviations are down-weighted (Geman and McClure's idea in Cauchy's
#: form).
_OUTLIER = 3.0
#: Penalty on weights outside [0, 1], in standard deviations per unit.
_BOUND = 1 / 0.04
#: Standard deviation, degrees, of the difference in gaze between the eyes; factor on the uncertainty of a closed eye's
#: iris.
_TOGETHER, _HIDDEN = 4.0, 8.0
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

    def _predicted(self, state: State, k: int, slopes: bool = False) -> tuple[np.ndarray, ...]:
        """Return the predicted landmarks of picture k in upright mm from the optical axis; optionally with
        derivatives.
        """
        turn, lens = state.turns[k], self.lens[k]
        shift = state.translation(k, lens)
        found = self.points(state.identity, state.weights[k]) if slopes else None
        places = self.points.places(state.identity, state.weights[k]) if found is None else found[0]
        head = places @ turn.T
        camera = head + shift
        depth = -camera[:, 2]
        focal, scale = np.exp(state.focal[lens]), np.exp(state.scales[k])
        zoom = focal / depth / scale  # near 1: a point's scale relative to that of the head's centre
        flat = camera[:, :2] * zoom[:, None]
        yaw, pitch, far = seen_from(turn, shift)
        upright_turn = upright(turn)
        bias = self.response.bias(yaw, pitch, far, state.weights[k], state.identity) + self.personal_bias
        predicted = flat @ upright_turn.T + bias
        if found is None:
            return predicted, turn, shift, depth
        _, by_identity, by_weights = found
        # d flat = zoom * (dx, dy) + flat / depth * dz, as depth is -z.
        towards = np.zeros((POINTS, 2, 3))
        towards[:, 0, 0] = towards[:, 1, 1] = zoom
        towards[:, :, 2] = flat / depth[:, None]
        along = np.einsum("ij,njk->nik", upright_turn, towards)
        by_shapes, by_people = self.response.slopes(yaw, self.modes)
        own = np.einsum("nij,jk->nik", along, turn)
        jacobian_identity = np.einsum("nij,njm->nim", own, by_identity) + by_people
        jacobian_weights = np.einsum("nij,njm->nim", own, by_weights) + by_shapes
        pose = np.zeros((POINTS, 2, POSE))
        cross = np.zeros((POINTS, 3, 3))  # -[head]x: a small turn w moves a point by w x head
        cross[:, 0, 1], cross[:, 0, 2] = head[:, 2], -head[:, 1]
        cross[:, 1, 0], cross[:, 1, 2] = -head[:, 2], head[:, 0]
        cross[:, 2, 0], cross[:, 2, 1] = head[:, 1], -head[:, 0]
        pose[..., :3] = np.einsum("nij,njk->nik", along, cross)
        pose[..., 3:5] = along[..., :2]
        # The head's distance grows with the focal length and decreases with the scale.
        lens_slope = flat @ upright_turn.T - along[..., 2] * far + self.response.distance_slope(yaw, pitch, far)
        pose[..., 5] = -lens_slope
        return predicted, turn, shift, depth, jacobian_identity, jacobian_weights, pose, lens_slope

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

    def _residual(self, state: State, k: int, certainty: np.ndarray, unit: float) -> np.ndarray:
        """Return whitened residuals (956,) of picture k; ``unit``, log pixels per mm, is the scale at which
        ``certainty`` holds.

        If the unit followed the state's scale, smaller heads would fit better: their errors in mm are smaller.
        """
        away = (self._predicted(state, k)[0] - self._seen(state, k)) * np.exp(state.scales[k] - unit)
        return self.trust * (self.response.whitening @ (away * certainty[:, None]).reshape(-1))

    # -- the priors ---------------------------------------------------------------------------------------------------

    def _prior_weights(self, weights: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
        """Return the prior's residuals of one picture's blendshapes and their derivatives (rows, 52)."""
        eye = np.eye(BLENDSHAPE_DIM)
        rows, slopes = [view.certainty @ (weights - view.expected)], [view.certainty]
        for over, sign in ((-weights, -1.0), (weights - 1, 1.0)):
            rows.append(over.clip(0, None) * _BOUND)
            slopes.append(eye * (sign * _BOUND * (over > 0))[:, None])
        for turned, degrees in ((GAZE_DIFFERS_ACROSS, GAZE_ACROSS), (GAZE_DIFFERS_UP, GAZE_UP)):
            row = turned * degrees / _TOGETHER
            rows.append(np.array([row @ weights]))
            slopes.append(row[None])
        return np.concatenate(rows), np.concatenate(slopes)

    def _cost(self, state: State, certainty: Sequence[np.ndarray], units: np.ndarray) -> float:
        cost = (((state.identity - self.mean) / self.deviation) ** 2).sum()
        cost += sum(((f - mean) / sigma) ** 2 for f, (mean, sigma) in zip(state.focal, self.focal_prior, strict=True))
        for k, view in enumerate(self.views):
            cost += (self._residual(state, k, certainty[k], units[k]) ** 2).sum()
            cost += (self._prior_weights(state.weights[k], view)[0] ** 2).sum()
        return float(cost)

    # -- the rounds ---------------------------------------------------------------------------------------------------

    def _normal(self, state: State, certainty: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix and right-hand side of the normal equations."""
        start = self.modes + len(state.focal)
        own = BLENDSHAPE_DIM + POSE
        size = start + self.count * own
        matrix, slope = np.zeros((size, size)), np.zeros(size)
        for k, view in enumerate(self.views):
            predicted, _, _, _, by_identity, by_weights, by_pose, by_lens = self._predicted(state, k, slopes=True)
            # In this iteration's unit the detected landmarks stay fixed, and the predicted ones grow with the scale.
            moving = (by_lens[..., None], by_weights, by_pose)
            jacobian = np.concatenate(moving if self.fixed else (by_identity, *moving), axis=2)
            jacobian[..., -1] += predicted
            weighted = (jacobian * certainty[k][:, None, None]).reshape(2 * POINTS, -1)
            weighted = self.trust * (self.response.whitening @ weighted)
            away = ((predicted - self._seen(state, k)) * certainty[k][:, None]).reshape(-1)
            away = self.trust * (self.response.whitening @ away)
            whose = np.arange(0 if self.fixed else self.modes)
            where = np.concatenate((whose, [self.modes + self.lens[k]], start + k * own + np.arange(own)))
            matrix[np.ix_(where, where)] += weighted.T @ weighted
            slope[where] += weighted.T @ away
            rows, slopes = self._prior_weights(state.weights[k], view)
            some = slice(start + k * own, start + k * own + BLENDSHAPE_DIM)
            matrix[some, some] += slopes.T @ slopes
            slope[some] += slopes.T @ rows
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
            away = [self._predicted(state, k)[0] - self._seen(state, k) for k in range(self.count)]
            certainty = [self._certainty(state, k, off) for k, off in enumerate(away)]
            matrix, slope = self._normal(state, certainty)
            free = np.ones(len(slope), dtype=bool)
            free[self._held(number)] = False
            before, after, tried = self._cost(state, certainty, state.scales), np.inf, state
            for _ in range(6):
                step = np.zeros_like(slope)
                system = matrix[np.ix_(free, free)]
                system = system + np.diag(np.diag(system) * damping + 1e-9)
                step[free] = -np.linalg.solve(system, slope[free])
                tried = state.moved(step)
                after = self._cost(tried, certainty, state.scales)
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
            flat = self._predicted(state, k)[0] @ upright(state.turns[k])
            predicted.append(flat * np.exp(state.scales[k]) * (1, -1) + view.principal)
        covariance = np.linalg.inv(matrix)[: self.modes, : self.modes]
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
