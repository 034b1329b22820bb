"""Prior that links heads to traits: directions of masculinity and age in the identity modes.

The modes have no labels. Known are the differences in face measures between men and women, and between old and young,
from anthropometry; the directions are those along which these measures differ in this way. The measures are those of
Farkas (*Anthropometry of the Head and Face*, 1994), in standard deviations of the population, rounded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from facekit.traits import TRAITS, trait_axes

#: From vertices (V, 3) and landmarks (68,) to a length in mm, or a proxy of an angle.
Measure = Callable[[np.ndarray, np.ndarray], float]


def _between(a: int, b: int) -> Measure:
    return lambda verts, marks: float(np.linalg.norm(verts[marks[a]] - verts[marks[b]]))


def _size(verts: np.ndarray, marks: np.ndarray) -> float:
    return float(np.linalg.norm(verts[marks] - verts[marks].mean(0)))


def _nose_forward(verts: np.ndarray, marks: np.ndarray) -> float:
    return float(verts[marks[30], 2] - verts[marks[[31, 35]], 2].mean())


def _brow_over_eye(verts: np.ndarray, marks: np.ndarray) -> float:
    return float(verts[marks[[19, 24]], 1].mean() - verts[marks[[37, 38, 43, 44]], 1].mean())


def _brow_forward(verts: np.ndarray, marks: np.ndarray) -> float:
    return float(verts[marks[[20, 23]], 2].mean() - verts[marks[[39, 42]], 2].mean())


def _eye_opening(verts: np.ndarray, marks: np.ndarray) -> float:
    high = np.linalg.norm(verts[marks[[37, 44]]] - verts[marks[[41, 46]]], axis=1).mean()
    return float(high / np.linalg.norm(verts[marks[27]] - verts[marks[8]]))


#: Measure, and the excess of men over women and of people of seventy over twenty, in standard deviations.
MEASURES: dict[str, tuple[Measure, float, float]] = {
    "size of the face": (_size, 0.9, 0.1),
    "width of the jaw": (_between(4, 12), 1.2, 0.2),
    "width of the cheeks": (_between(1, 15), 1.0, 0.0),
    "length of the face": (_between(27, 8), 1.2, 0.2),
    "height of the chin": (_between(57, 8), 1.0, 0.0),
    "length of the nose": (_between(27, 33), 0.7, 0.6),
    "width of the nose": (_between(31, 35), 0.8, 0.5),
    "how far the nose stands out": (_nose_forward, 0.5, 0.3),
    "width of the mouth": (_between(48, 54), 0.5, 0.3),
    "height of the lips": (_between(51, 57), -0.5, -1.2),
    "height of the philtrum": (_between(33, 51), 0.6, 0.9),
    "height of the brows over the eyes": (_brow_over_eye, -1.0, -0.5),
    "how far the brows stand out": (_brow_forward, 1.0, 0.2),
    "opening of the eyes over the face": (_eye_opening, -0.8, -0.7),
}
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
    slopes = np.array(
        [[(f(verts + m, landmarks) - f(verts - m, landmarks)) / 2 for m in modes] for f, _, _ in MEASURES.values()]
    )
    slopes = slopes[:, :count] / np.linalg.norm(slopes, axis=1, keepdims=True)
    wanted = np.array([[male, old] for _, male, old in MEASURES.values()])
    masculine, old = slopes.T @ np.linalg.solve(slopes @ slopes.T + _SLACK * np.eye(len(slopes)), wanted).T[..., None]
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
