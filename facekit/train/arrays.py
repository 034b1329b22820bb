"""NumPy helpers of the teachers and the head builder; inference only uses torch."""

from __future__ import annotations

import numpy as np


def smoothstep(value: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Smoothstep: 0 up to ``start``, 1 from ``stop`` on; decreasing if ``stop`` is less. Keeps the dtype.

    NumPy version of :func:`facekit.geometry.charts.step`.
    """
    t = np.clip((value - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)
