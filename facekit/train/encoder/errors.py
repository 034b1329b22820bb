"""Joint error model of all that is known of a face in a picture: landmarks, the network's reading, and scores.

The network errs in its landmarks and in its reading together, as both come from the same pixels: simulated apart, they
would look like two witnesses. So one model is fitted to renders: each output is linear in pose, distance, expression
and identity (:func:`facekit.reconstruct.response.features`), and the residuals, in units of the standard deviations
that the network itself gave, are correlated between all outputs, and partly the same in all pictures of a person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from facekit.conventions import BLENDSHAPE_DIM
from facekit.reconstruct.landmarker import POINTS
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import PEOPLE, SHAPES, seen_from
from facekit.train.encoder.frames import ReadFrames
from facekit.train.photos.response import identity_of, offsets_of, rows_of, solved

#: Residuals beyond this many of their standard deviations are clipped; rank of their correlation; folds.
_WRONG, _RANK, _FOLDS = 4.0, 240, 6
#: Factor on the ridge of identity with nine pictures a person, where errors on other people are smallest.
_FIRM = 8.0
#: Least standard deviation of a reading; number of renders of similar yaw out of which one lends its spreads.
_LEAST, _LENDERS = 0.02, 40


@dataclass(frozen=True)
class Errors:
    """Error model; the D outputs are 956 offsets (mm, upright), M identity weights, 52 blendshapes, and 52 scores.

    Parameters
    ----------
    weights:
        (FEATURES, D) float32.
    stays, varies:
        (R, D) and (R', D) float32: rows whose normal combinations are the part of the residuals that a person keeps,
        and the rest.
    own:
        (D,) float32: standard deviation of what is left, for each output alone.
    yaw, spreads:
        (N,) float32 ascending, radians, and (N, D) float32: standard deviations that the network gave on renders.
    """

    weights: torch.Tensor
    stays: torch.Tensor
    varies: torch.Tensor
    own: torch.Tensor
    yaw: torch.Tensor
    spreads: torch.Tensor

    @classmethod
    def measured(cls, read: ReadFrames, points: FacePoints) -> Errors:
        """Fit the model to renders of several pictures a person."""
        identity = identity_of(read, points)
        seen = np.concatenate([offsets_of(read.refined, points)[0].reshape(len(read), -1), outputs(read)], axis=1)
        rows = rows_of(read, identity)
        # A ridge would shrink the readings' gains: they are solved before it, each alone.
        modes, first = identity.shape[1], np.zeros((rows.shape[1], seen.shape[1]))
        pairs = ((PEOPLE.start, modes), (SHAPES.start, BLENDSHAPE_DIM))
        here = np.concatenate([start + np.arange(count) for start, count in pairs])
        there = 2 * POINTS + np.arange(len(here))
        true = rows[:, here]
        first[here, there] = (seen[:, there] * true).sum(axis=0) / (true**2).sum(axis=0).clip(1e-9, None)
        rest = seen - rows @ first
        weights = solved(rows, rest, _FIRM)
        # Residuals are too small within the fit, and too large on people left out of it: the truth is between.
        people, left = read.person.numpy(), rest - rows @ weights
        for fold in range(_FOLDS):
            out = people % _FOLDS == fold
            left[out] = (left[out] + rest[out] - rows[out] @ solved(rows[~out], rest[~out], _FIRM)) / 2
        spreads = spreads_of(read, left)
        white = (left / spreads).clip(-_WRONG, _WRONG)
        means = np.zeros_like(white)
        for person in np.unique(people):
            means[people == person] = white[people == person].mean(axis=0)
        count = np.bincount(np.unique(people, return_inverse=True)[1])
        usual = float((count**2).sum() / count.sum())
        # A mean over n pictures holds 1/n of what varies.
        varying = ((white - means) ** 2).mean(axis=0) * usual / (usual - 1)
        kept = ((means**2).mean(axis=0) - varying / usual).clip(0, None)
        ones = [np.flatnonzero(people == person)[0] for person in np.unique(people)]
        stays, _ = _rows(means[ones], kept)
        varies, own = _rows(white - means, varying)
        turns, shifts = (t.double().numpy() for t in (read.rotation, read.translation))
        yaw = np.array([seen_from(turn, shift)[0] for turn, shift in zip(turns, shifts, strict=True)])
        order = np.argsort(yaw)
        arrays = (first + weights, stays, varies, own, yaw[order], spreads[order])
        return cls(*(torch.from_numpy(array).float() for array in arrays))

    def naive(self, identity: int) -> Errors:
        """Return the control: no bias, readings of gain 1, the same noise but uncorrelated and new in every picture."""
        weights = torch.zeros_like(self.weights)
        first, second = 2 * POINTS, 2 * POINTS + identity
        weights[PEOPLE.start : PEOPLE.start + identity, first:second] = torch.eye(identity)
        for start in (second, second + BLENDSHAPE_DIM):
            weights[SHAPES, start : start + BLENDSHAPE_DIM] = torch.eye(BLENDSHAPE_DIM)
        total = (self.own**2 + (self.varies**2).sum(dim=0) + (self.stays**2).sum(dim=0)).sqrt()
        none = torch.zeros(1, len(total))
        return Errors(weights, none, none, total, self.yaw, self.spreads)

    def spread(self, yaw: torch.Tensor, lender: torch.Tensor) -> torch.Tensor:
        """Return standard deviations (N, D) that the network gave on renders of similar yaw (N,) radians.

        Parameters
        ----------
        lender:
            (N,) in [-1, 1]: which of the renders.
        """
        place = torch.searchsorted(self.yaw, yaw.contiguous()) + (lender * _LENDERS / 2).round().long()
        return self.spreads[place.clamp(0, len(self.yaw) - 1)]

    def noise(self, count: int, generator: torch.Generator, person: bool) -> torch.Tensor:
        """Return residuals (count, D) in standard deviations: the part that a person keeps, or the rest."""
        if person:
            return torch.randn(count, len(self.stays), generator=generator) @ self.stays
        shared = torch.randn(count, len(self.varies), generator=generator) @ self.varies
        return shared + torch.randn(count, len(self.own), generator=generator) * self.own


def outputs(read: ReadFrames) -> np.ndarray:
    """Return readings and scores (N, M + 104) float64."""
    return torch.cat((read.reading, read.scores), dim=1).double().numpy()


def spreads_of(read: ReadFrames, left: np.ndarray) -> np.ndarray:
    """Return the standard deviations (N, D): those of the network, and for scores those of their residuals."""
    points = read.read_spread.repeat_interleave(2, dim=1).double().numpy()
    told = read.reading_spread.double().numpy().clip(_LEAST, None)
    scores = left[:, -BLENDSHAPE_DIM:].std(axis=0).clip(_LEAST, None)
    return np.concatenate((points, told, np.broadcast_to(scores, (len(read), BLENDSHAPE_DIM))), axis=1)


def _rows(samples: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (R, D) rows whose normal combinations have the samples' correlation and this variance (D,), and the
    standard deviations (D,) that a cut to rank R leaves out.
    """
    scaled = samples * np.sqrt(variance / (samples**2).mean(axis=0).clip(1e-12, None))
    _, size, right = np.linalg.svd(scaled / np.sqrt(len(scaled)), full_matrices=False)
    rows = size[:_RANK, None] * right[:_RANK]
    return rows, np.sqrt((variance - (rows**2).sum(axis=0)).clip(0, None))
