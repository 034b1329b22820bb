"""Face measures of anthropometry on the 68 landmarks, and how they differ between men and women, old and young.

The differences are those of Farkas (*Anthropometry of the Head and Face*, 1994), in standard deviations of the
population, rounded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: From the iBUG landmarks (68, 3) of a neutral head, mm, to a length in mm, or a proxy of an angle.
Measure = Callable[[np.ndarray], float]


def _between(a: int, b: int) -> Measure:
    return lambda marks: float(np.linalg.norm(marks[a] - marks[b]))


def _size(marks: np.ndarray) -> float:
    return float(np.linalg.norm(marks - marks.mean(0)))


def _nose_forward(marks: np.ndarray) -> float:
    return float(marks[30, 2] - marks[[31, 35], 2].mean())


def _brow_over_eye(marks: np.ndarray) -> float:
    return float(marks[[19, 24], 1].mean() - marks[[37, 38, 43, 44], 1].mean())


def _brow_forward(marks: np.ndarray) -> float:
    return float(marks[[20, 23], 2].mean() - marks[[39, 42], 2].mean())


def _eye_opening(marks: np.ndarray) -> float:
    high = np.linalg.norm(marks[[37, 44]] - marks[[41, 46]], axis=1).mean()
    return float(high / np.linalg.norm(marks[27] - marks[8]))


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

_SEXES = np.array([male for _, male, _ in MEASURES.values()])


def measured(marks: np.ndarray) -> np.ndarray:
    """Return the :data:`MEASURES` (N,) of landmarks (68, 3) mm."""
    return np.array([measure(marks) for measure, _, _ in MEASURES.values()])


def slopes(mean: np.ndarray, modes: np.ndarray, measures: Callable[[np.ndarray], np.ndarray] = measured) -> np.ndarray:
    """Return the change of each measure (N, M) with each mode's weight.

    Parameters
    ----------
    mean, modes:
        (68, 3) and (M, 68, 3), mm: landmarks of the mean head, and what modes of standard normal weights add.
    measures:
        From landmarks (68, 3) to measures (N,).
    """
    return np.array([(measures(mean + mode) - measures(mean - mode)) / 2 for mode in modes]).T


def masculine_excess(marks: np.ndarray, mean: np.ndarray, modes: np.ndarray) -> float:
    """Return by how much a head's measures differ from the mean's in the way that men's do from women's: the sum of
    their deviations, in standard deviations of the modes, weighted by the differences of the sexes.

    Parameters
    ----------
    marks:
        (68, 3) mm: landmarks of the neutral head, at the size and pose of the mean.
    mean, modes:
        As for :func:`slopes`.
    """
    spread = np.linalg.norm(slopes(mean, modes), axis=1)
    return float((measured(marks) - measured(mean)) / spread @ _SEXES)


def masculine_direction(mean: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Return the change (M,) of :func:`masculine_excess` with each mode's weight; see there."""
    changes = slopes(mean, modes)
    return _SEXES @ (changes / np.linalg.norm(changes, axis=1, keepdims=True))
