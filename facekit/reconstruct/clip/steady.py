"""Temporal smoothing: remove tremble from tracks, and keep onsets, blinks and saccades sharp.

The estimate is near to the measurements and rarely bends: penalised least squares on second differences, with a penalty
that decreases where the curve does bend (Cauchy's, by iteratively reweighted least squares; with absolute values it
would be trend filtering: Kim et al., SIAM Review 2009). It uses future as well as past frames, and so has no lag.
Frames without detection are interpolated.
"""

from __future__ import annotations

import numpy as np

#: Scale of second differences that count as bends, as a fraction of the noise; iterations, the first of them with
#: absolute values.
_BEND, _ROUNDS, _CONVEX = 0.12, 12, 6
_MAD = 1.4826


def noise_of(values: np.ndarray, found: np.ndarray, least: float) -> np.ndarray:
    """Estimate the standard deviations (N,) of the noise in tracks (T, N) robustly from second differences; at least
    ``least``.
    """
    there = found[2:] & found[1:-1] & found[:-2]
    bends = np.diff(values, 2, axis=0)[there]
    if len(bends) < 3:
        return np.full(values.shape[1], least)
    return np.maximum(_MAD * np.median(np.abs(bends), axis=0) / np.sqrt(6), least)


def smoothed(
    values: np.ndarray, times: np.ndarray, found: np.ndarray, least: float, strength: float = 1.0
) -> np.ndarray:
    """Smooth tracks.

    Parameters
    ----------
    values:
        (T, N) float64; values in frames without detection are ignored.
    times:
        (T,) seconds, ascending.
    found:
        (T,) bool: frames with detection, at least one.
    least:
        Lower bound of the noise's standard deviation, in the values' unit.
    strength:
        Factor on the noise level: above 1 smooths more, 0 only interpolates missing frames.
    """
    count = len(values)
    first, last = np.flatnonzero(found)[[0, -1]]
    if count < 3 or first == last:
        return np.repeat(values[first : first + 1], count, axis=0) if first == last else _bridged(values, times, found)
    noise = noise_of(values, found, least) * max(strength, 1e-3)
    steps = np.diff(times) / np.median(np.diff(times))
    # Divided second differences in units of the usual time step: coefficients a, b, c on three neighbours.
    before, after = steps[:-1], steps[1:]
    a, c = 2 / (before * (before + after)), 2 / (after * (before + after))
    shares = np.stack((a, -(a + c), c))
    sure = found[:, None] / noise**2 + 1e-9 / noise**2
    track = _bridged(values, times, found)
    wanted = track.copy()
    usual = _BEND * noise
    penalty = np.ones((count - 2, values.shape[1])) / usual**2
    for number in range(_ROUNDS):
        track = _solved(sure, wanted, shares, penalty)
        bends = np.abs(
            shares[0][:, None] * track[:-2] + shares[1][:, None] * track[1:-1] + shares[2][:, None] * track[2:]
        )
        relative = bends / usual
        ease = np.maximum(relative, 1.0) if number < _CONVEX else 1 + relative**2
        penalty = 1 / (usual**2 * ease)
    # Before the first and after the last detection the track is constant.
    track[:first], track[last + 1 :] = track[first], track[last]
    return track


def _bridged(values: np.ndarray, times: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Interpolate missing frames linearly."""
    return np.stack([np.interp(times, times[found], column[found]) for column in values.T], axis=1)


def _solved(sure: np.ndarray, wanted: np.ndarray, shares: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Minimise ``sure |x - wanted|² + penalty |second differences|²``: N pentadiagonal systems at once."""
    count = len(wanted)
    a, b, c = (share[:, None] for share in shares)
    diagonal, first, second = sure.copy(), np.zeros_like(sure), np.zeros_like(sure)
    diagonal[:-2] += penalty * a**2
    diagonal[1:-1] += penalty * b**2
    diagonal[2:] += penalty * c**2
    first[:-2] += penalty * a * b
    first[1:-1] += penalty * b * c
    second[:-2] += penalty * a * c
    # LDL' factorisation without pivoting, row by row.
    pivot, below, beyond, right = diagonal, first, second, sure * wanted
    for k in range(count):
        if k > 0:
            pivot[k] -= below[k - 1] ** 2 * pivot[k - 1]
            first[k] -= beyond[k - 1] * pivot[k - 1] * below[k - 1]
            right[k] -= below[k - 1] * right[k - 1]
        if k > 1:
            pivot[k] -= beyond[k - 2] ** 2 * pivot[k - 2]
            right[k] -= beyond[k - 2] * right[k - 2]
        below[k] = first[k] / pivot[k]
        beyond[k] = second[k] / pivot[k]
    found = right / pivot
    for k in range(count - 2, -1, -1):
        found[k] -= below[k] * found[k + 1]
        if k < count - 2:
            found[k] -= beyond[k] * found[k + 2]
    return found
