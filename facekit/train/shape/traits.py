"""Prior that links heads to traits: directions of masculinity and age in the identity modes.

The modes have no labels. Known are the differences in face measures between men and women, and between old and young
(:mod:`facekit.metrics.anthropometry`); the directions are those along which these measures differ in this way.
"""

from __future__ import annotations

import numpy as np
import torch

from facekit.metrics.anthropometry import MEASURES, slopes
from facekit.traits import TRAITS, trait_axes

# Tolerance of the measures, in variances of the population, in exchange for a shorter step in the modes.
_SLACK = 0.3


def mode_axes(verts: np.ndarray, landmarks: np.ndarray, modes: np.ndarray, count: int) -> np.ndarray:
    """Return unit vectors (2, count) in the weights of the first modes: toward masculine, and toward old.

    The conditional mean of normally distributed weights given the measures, which is linear in the measures.

    Parameters
    ----------
    verts, landmarks, modes:
        (V, 3) mm, (68,), and (M, V, 3) mm of weights that are standard normal.
    """
    change = slopes(verts[landmarks], modes[:, landmarks])
    change = change[:, :count] / np.linalg.norm(change, axis=1, keepdims=True)
    wanted = np.array([[male, old] for _, male, old in MEASURES.values()])
    masculine, old = change.T @ np.linalg.solve(change @ change.T + _SLACK * np.eye(len(change)), wanted).T[..., None]
    masculine, old = masculine[:, 0] / np.linalg.norm(masculine), old[:, 0]
    old = old - masculine * (masculine @ old)
    return np.stack([masculine, old / np.linalg.norm(old)])


def turn(axes: np.ndarray) -> torch.Tensor:
    """Return the rotation (20, 20) that maps the code's directions of masculinity and age to ``axes`` (2, 20), and
    changes everything else as little as possible; modes = codes @ turn.T.
    """
    ours = trait_axes().double().numpy()
    own = ours[[TRAITS.index("masculinity"), TRAITS.index("age")]]
    rests = [np.linalg.svd(pair)[2][2:] for pair in (axes.astype(np.float64), own)]
    # Orthogonal map between the complements that moves least (Procrustes).
    u, _, v = np.linalg.svd(rests[0] @ rests[1].T)
    return torch.from_numpy(axes.T @ own + rests[0].T @ (u @ v) @ rests[1]).float()
