"""Large products and linear systems of float64 arrays by torch.

numpy's own library keeps a thread on each core, whatever torch is told: where another thread works beside, they wait
for each other, and a fit takes several times as long.
"""

from __future__ import annotations

import numpy as np
import torch


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the matrix product of (I, J) and (J, K) or (J,)."""
    return (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()


def solved(system: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x of ``system @ x = right``, for (N, N) and (N,) or (N, K); the inverse for an identity.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the system is singular.
    """
    found, fault = torch.linalg.solve_ex(torch.from_numpy(system), torch.from_numpy(right))
    if int(fault):
        raise np.linalg.LinAlgError("Singular matrix")
    return found.numpy()
