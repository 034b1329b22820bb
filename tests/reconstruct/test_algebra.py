"""Products and systems by torch are numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.reconstruct.algebra import product, solved

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize("right", [(7,), (7, 3)])
def test_products_and_solutions_are_numpys(right):
    a, b = RANDOM.normal(size=(7, 7)), RANDOM.normal(size=right)
    np.testing.assert_allclose(product(a.T, b), a.T @ b, rtol=1e-12)
    np.testing.assert_allclose(solved(a, b), np.linalg.solve(a, b), rtol=1e-9)


def test_a_singular_system_is_an_error():
    with pytest.raises(np.linalg.LinAlgError):
        solved(np.zeros((3, 3)), np.ones(3))
