"""Agreement between raters: intensities (ICC), and presence (F1)."""

from __future__ import annotations

import numpy as np

from facekit.errors import InputError


def icc(*raters: np.ndarray) -> float:
    """Intraclass correlation ICC(3,1): consistency of single ratings by k fixed raters (Shrout and Fleiss, 1979).

    ``(BMS - EMS) / (BMS + (k - 1) EMS)`` with the mean squares between targets and of the residual. NaN if no rating
    varies.

    Parameters
    ----------
    raters:
        Two or more arrays (N,): ratings of the same N >= 2 targets.
    """
    x = _rows(*raters)
    count, targets = x.shape
    if count < 2 or targets < 2:
        raise InputError("two raters and two targets or more", f"{count} and {targets}", "pass all frames")
    means = x.mean(axis=0)
    between = count * ((means - x.mean()) ** 2).sum() / (targets - 1)
    left = ((x - means - x.mean(axis=1, keepdims=True) + x.mean()) ** 2).sum() / ((targets - 1) * (count - 1))
    total = between + (count - 1) * left
    return float((between - left) / total) if total > 0 else float("nan")


def f1(said: np.ndarray, true: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall of (N,) truth values; NaN if both have no positives."""
    s, t = (part.astype(bool) for part in _rows(said, true))
    hits, wrong = int((s & t).sum()), int((s ^ t).sum())
    return 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")


def _rows(*rows: np.ndarray) -> np.ndarray:
    arrays = [np.asarray(row, np.float64) for row in rows]
    if any(a.ndim != 1 or a.shape != arrays[0].shape for a in arrays):
        raise InputError("rows of one length", " and ".join(str(a.shape) for a in arrays), "pass the same frames")
    return np.stack(arrays)
