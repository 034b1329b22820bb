"""Agreement of raters, against the example in the measure's publication."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.errors import InputError
from facekit.metrics.agreement import f1, icc


def test_icc_of_shrout_and_fleiss():
    """Four judges of six targets, their Table 2; ICC(3,1) is 0.71 in their Table 4."""
    judges = [(9, 6, 8, 7, 10, 6), (2, 1, 4, 1, 5, 2), (5, 3, 6, 2, 6, 4), (8, 2, 8, 6, 9, 7)]
    assert icc(*map(np.array, judges)) == pytest.approx(0.71, abs=0.005)
    a = np.array(judges[0])
    assert icc(a, a + 3) == pytest.approx(1), "consistency: a constant does not count"
    assert icc(a, -a) == pytest.approx(-1)
    assert np.isnan(icc(np.zeros(4), np.zeros(4)))


def test_f1_by_counting():
    said, true = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 1, 0, 1])
    assert f1(said, true) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert np.isnan(f1(np.zeros(3), np.zeros(3)))
    with pytest.raises(InputError, match="one length"):
        f1(said, true[:2])
