"""Fit the landmarker's error model to frames: ridge regression, then the covariance of the residuals."""

from __future__ import annotations

import numpy as np

from facekit.conventions import BLENDSHAPE_DIM
from facekit.models.blendshapes import BLINKS
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import (
    FACING,
    FEATURES,
    PEOPLE,
    POSE,
    SHAPES,
    TURNED_PEOPLE,
    TURNED_SHAPES,
    Response,
    features,
    seen_from,
    upright,
)
from facekit.train.photos.frames import Frames

#: Ridge of each kind of feature, in frames; and of the scores.
_RIDGE = ((POSE, 0.5), (SHAPES, 4.0), (PEOPLE, 40.0), (TURNED_PEOPLE, 25.0), (TURNED_SHAPES, 8.0))
_SCORES_RIDGE = 2.0
#: Rank of the residual correlation; least variance fraction that is each point's own; least standard deviations of
#: points (mm) and of blendshapes.
_COMPONENTS, _OWN, _LEAST, _LEAST_SHAPE = 100, 0.1, 0.25, 0.04
#: Errors at silhouettes are clipped at this, mm; and in predicted standard deviations.
_FAR, _WRONG = 15.0, 4.0
_FOLDS = 8


def measured(frames: Frames, points: FacePoints, told: np.ndarray | None = None) -> Response:
    """Fit the error model to frames.

    Parameters
    ----------
    told:
        (N, 478) mm: predicted standard deviations of the points; ``sigma`` of the result is then a factor on these.
    """
    offsets, facing = offsets_of(frames, points)
    identity = identity_of(frames, points)
    rows = rows_of(frames, identity)
    weights = solved(rows, offsets.reshape(len(offsets), -1))
    left = (offsets - _held_out(rows, offsets, frames)).clip(-_FAR, _FAR)
    if told is None:
        sigma, growth = _spread(left, facing, frames)
        scale = sigma * np.interp(facing, FACING, growth)
    else:
        sigma = np.sqrt((left**2).mean(axis=-1) / told**2)
        sigma, growth = np.sqrt((sigma.clip(None, _WRONG) ** 2).mean(axis=0)).clip(_LEAST, None), np.ones(len(FACING))
        scale = sigma * told
    white = (left / scale[..., None]).reshape(len(left), -1)
    factor, own = _correlation(white)
    scores, missed = _scores(frames)
    return Response(weights, sigma, growth, factor, own, _constant(white, frames), scores, missed)


def offsets_of(frames: Frames, points: FacePoints) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets (N, 478, 2) in mm, upright, and the cosines (N, 478) between the points' normals and the
    camera.
    """
    away = (frames.points - frames.projected(frames.posed)) / frames.pixels_a_mm[:, None, None]
    away = (away * away.new_tensor([1.0, -1.0])).double().numpy()
    rotations, shifts = frames.rotation.double().numpy(), frames.translation.double().numpy()
    turns = np.stack([upright(rotation) for rotation in rotations])
    view = np.einsum("nij,npj->npi", rotations, frames.posed.double().numpy()) + shifts[:, None]
    normals = np.einsum("nij,pj->npi", rotations, points.normals)
    facing = -(normals * view).sum(axis=-1) / np.linalg.norm(view, axis=-1)
    return np.einsum("nij,npj->npi", turns, away), facing


def identity_of(frames: Frames, points: FacePoints) -> np.ndarray:
    """Return the identity mode weights (N, M) of the true neutral faces."""
    modes = points.modes.reshape(-1, points.modes.shape[-1])
    away = (frames.neutral.double().numpy() - points.base).reshape(len(frames), -1)
    gram = modes.T @ modes + 0.5 * np.eye(modes.shape[1])
    return np.linalg.solve(gram, modes.T @ away.T).T


def rows_of(frames: Frames, identity: np.ndarray) -> np.ndarray:
    """Return the features (N, FEATURES) of frames."""
    views = [
        seen_from(rotation, shift)
        for rotation, shift in zip(frames.rotation.double().numpy(), frames.translation.double().numpy(), strict=True)
    ]
    yaw, pitch, distance = np.array(views).T
    return features(yaw, pitch, distance, frames.blendshapes.double().numpy(), identity)


def solved(rows: np.ndarray, offsets: np.ndarray, firm: float = 1.0) -> np.ndarray:
    """Return the ridge regression of offsets (N, D) on rows (N, FEATURES).

    Parameters
    ----------
    firm:
        Factor on the ridge of identity, for frames with more pictures a person.
    """
    ridge = np.zeros(FEATURES)
    for kind, strength in _RIDGE:
        ridge[kind] = strength * (firm if kind in (PEOPLE, TURNED_PEOPLE) else 1.0)
    return np.linalg.solve(rows.T @ rows + np.diag(ridge), rows.T @ offsets)


def _held_out(rows: np.ndarray, offsets: np.ndarray, frames: Frames) -> np.ndarray:
    """Predict offsets (N, 478, 2) by cross-validation over people: within the fit, residuals would be too small."""
    people, flat = frames.person.numpy(), offsets.reshape(len(offsets), -1)
    found = np.zeros_like(flat)
    for fold in range(_FOLDS):
        out = people % _FOLDS == fold
        found[out] = rows[out] @ solved(rows[~out], flat[~out])
    return found.reshape(offsets.shape)


def _spread(left: np.ndarray, facing: np.ndarray, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard deviations of points that face the camera, and their growth toward the silhouette."""
    size = np.sqrt((left**2).mean(axis=-1))
    seen = facing > 0.5 * (FACING[-2] + FACING[-3])
    # Exclude irises hidden by lids.
    blinks = frames.blendshapes.numpy()[:, list(BLINKS)]
    for side, iris in enumerate((RIGHT_IRIS, LEFT_IRIS)):
        seen[:, list(iris)] &= blinks[:, side, None] < 0.4
    count = seen.sum(axis=0)
    overall = np.sqrt((size**2).mean(axis=0))
    sigma = np.sqrt((size**2 * seen).sum(axis=0) / np.maximum(count, 1))
    sigma = np.where(count >= 30, sigma, overall).clip(_LEAST, None)
    relative = size / sigma
    middles = np.array(FACING)
    weight = np.exp(-0.5 * ((facing[..., None] - middles) / 0.1) ** 2)
    growth = np.sqrt((relative[..., None] ** 2 * weight).sum(axis=(0, 1)) / weight.sum(axis=(0, 1)))
    return sigma, np.maximum.accumulate(growth[::-1])[::-1].clip(1.0, None)


def _correlation(white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    covariance = white.T @ white / len(white)
    root = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(root, root))
    best = slice(-min(_COMPONENTS, len(white) // 4), None)
    factor = vectors[:, best] * np.sqrt(values[best].clip(0, None))
    own = (1 - (factor**2).sum(axis=1)).clip(_OWN, None)
    return factor * root[:, None], own * root**2


def _constant(white: np.ndarray, frames: Frames) -> np.ndarray:
    """Return the fraction of the variance that is the same in all frames of a person."""
    people = frames.person.numpy()
    between, within, pairs = 0.0, 0.0, 0
    for person in np.unique(people):
        rows = white[people == person]
        if len(rows) > 1:
            total = rows.sum(axis=0)
            between += ((total**2 - (rows**2).sum(axis=0)) / (len(rows) - 1)).sum()
            within += (rows**2).sum()
            pairs += 1
    return np.array(np.clip(between / max(within, 1e-9), 0, 1))


def _scores(frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Fit blendshapes to scores: weights (53, 52), and the covariance (52, 52) of the errors on held-out people."""
    rows = np.concatenate((np.ones((len(frames), 1)), frames.scores.double().numpy()), axis=1)
    wanted = frames.blendshapes.double().numpy()
    ridge = np.diag([0.1] + [_SCORES_RIDGE] * BLENDSHAPE_DIM)

    def solve(use: np.ndarray) -> np.ndarray:
        return np.linalg.solve(rows[use].T @ rows[use] + ridge, rows[use].T @ wanted[use])

    people, off = frames.person.numpy(), np.zeros_like(wanted)
    for fold in range(_FOLDS):
        out = people % _FOLDS == fold
        off[out] = rows[out] @ solve(~out) - wanted[out]
    return solve(np.ones(len(rows), dtype=bool)), off.T @ off / len(off) + np.diag(
        np.full(BLENDSHAPE_DIM, _LEAST_SHAPE**2)
    )
