"""Smoothed tracks have less jitter, and keep onsets, blinks and times."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.reconstruct.clip.follow import closed
from facekit.reconstruct.clip.steady import noise_of, smoothed

T, NOISE = 150, 0.02
TIMES = np.arange(T) / 30


@pytest.fixture(scope="module")
def true() -> np.ndarray:
    """Rest, a blink of eight frames, a step, and a slow rise, (T, 3)."""
    blink = np.interp(np.arange(T), (60, 63, 65, 70), (0, 1, 1, 0))
    step = np.where(np.arange(T) < 75, 0.0, 0.8)
    return np.stack((blink, step, np.linspace(0, 0.5, T)), axis=1)


@pytest.fixture(scope="module")
def seen(true) -> np.ndarray:
    return true + np.random.default_rng(0).normal(0, NOISE, true.shape)


ALL = np.ones(T, dtype=bool)


def test_noise_is_measured_through_the_motion(seen):
    np.testing.assert_allclose(noise_of(seen, ALL, 1e-6), NOISE, rtol=0.3)


def test_it_trembles_less_and_keeps_amplitudes(true, seen):
    calm = smoothed(seen, TIMES, ALL, 1e-4)
    still = slice(5, 50)
    assert np.diff(calm[still], 2, axis=0).std() < 0.1 * np.diff(seen[still], 2, axis=0).std()
    assert np.abs(calm - true)[still].mean() < 0.5 * np.abs(seen - true)[still].mean()
    assert calm[60:70, 0].max() > 0.95
    assert calm[77, 1] - calm[73, 1] > 0.9 * 0.8


def test_it_does_not_lag(true, seen):
    calm = smoothed(seen, TIMES, ALL, 1e-4)
    for column in (0, 1):
        a, b = np.diff(calm[:, column]), np.diff(true[:, column])
        shifts = [float((a[5 + k : T - 6 + k] * b[5 : T - 6]).sum()) for k in range(-4, 5)]
        assert int(np.argmax(shifts)) == 4


def test_what_is_missing_is_bridged(true, seen):
    found = ALL.copy()
    found[100:130] = False
    broken = seen.copy()
    broken[~found] = 7.0
    calm = smoothed(broken, TIMES, found, 1e-4)
    assert np.abs(calm - true)[100:130].max() < 0.1


def test_uneven_times(true):
    times = np.cumsum(np.random.default_rng(1).uniform(0.5, 2.0, T)) / 30
    slope = np.stack((3 * times, times * 0, -times), axis=1)
    seen = slope + np.random.default_rng(2).normal(0, NOISE, slope.shape)
    assert np.abs(smoothed(seen, times, ALL, 1e-4) - slope).mean() < 0.35 * NOISE


def test_strength_zero_changes_nothing_and_two_runs_are_equal(seen):
    np.testing.assert_allclose(smoothed(seen, TIMES, ALL, 1e-4, 0.0), seen, atol=2e-3)
    np.testing.assert_array_equal(smoothed(seen, TIMES, ALL, 1e-4), smoothed(seen, TIMES, ALL, 1e-4))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_films(count):
    rows = np.random.default_rng(0).normal(size=(count, 2))
    assert np.isfinite(smoothed(rows, np.arange(count) / 30, np.ones(count, bool), 1e-3)).all()


def test_lids_that_are_nearly_shut_are_shut_and_others_stay():
    blinks = np.linspace(0, 1, 101)[:, None].repeat(2, axis=1)
    shut = closed(blinks)
    assert bool((np.diff(shut, axis=0) >= 0).all()), "in order"
    np.testing.assert_allclose(shut[:71], blinks[:71], atol=1e-9)
    assert float(shut[88:].min()) > 0.999 and float(shut.max()) == 1.0
