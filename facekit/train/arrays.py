"""NumPy helpers of the teachers and the head's builder; everything that runs at inference is torch."""

from __future__ import annotations

import numpy as np


def smoothstep(value: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Smooth step: 0 up to ``start``, 1 from ``stop`` on; falling where ``stop`` is less. Keeps the dtype.

    The NumPy twin of :func:`facekit.geometry.charts.step`.
    """
    t = np.clip((value - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)
