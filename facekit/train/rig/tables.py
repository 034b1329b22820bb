"""Tables between three vocabularies, 20 expressions, 52 blendshapes and FACS action units, by least squares, with
errors.

Each word stands for a displacement of the mean face. A word of one vocabulary is approximated in another by the
non-negative weights with the closest sum of displacements (Lawson and Hanson, 1974).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from facekit.conventions import other_side
from facekit.errors import optional_import
from facekit.models.blendshape_data import Table
from facekit.motion.units import ACTION_UNITS

#: Words that move to one side; all others are symmetric, or have a mirrored counterpart.
LATERAL = ("jaw_left", "jaw_right", "mouth_left", "mouth_right", "jawLeft", "jawRight", "mouthLeft", "mouthRight", 30)
#: Sparsity penalty, as a fraction of the displacement's energy that a weight must explain.
_SPARSE = 0.004


def unit_fields(shapes: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the displacements (n, V, 3) in mm of the action units at intensity 5, from the pack's own shapes."""
    fields = []
    for unit in ACTION_UNITS.values():
        fields.append(sum(weight * shapes[name] for name, weight in unit.pack.items()))
    return torch.stack(fields)


def mirrors(names: Sequence[str]) -> list[int]:
    """Return the index of each blendshape's mirror image; of one without sides itself."""
    return [k if name in LATERAL else names.index(other_side(name)) for k, name in enumerate(names)]


def translated(
    words: torch.Tensor,
    others: torch.Tensor,
    seen: torch.Tensor,
    allowed: torch.Tensor | None = None,
    largest: float = 1.0,
) -> Table:
    """Approximate ``words`` (n, V, 3) by ``others`` (m, V, 3).

    Parameters
    ----------
    seen:
        (V,) bool: vertices to fit.
    allowed:
        (n, m) bool: allowed pairs; None for all.
    largest:
        Largest weight.
    """
    optimize = optional_import("scipy.optimize", "train", "least squares")
    a = others[:, seen].flatten(1).T.double().numpy()
    gram = a.T @ a
    weights = np.zeros((len(words), len(others)))
    errors = np.zeros((len(words), 2))
    scale = np.sqrt(np.diag(gram)) + 1e-9
    for k, word in enumerate(words):
        b = word[seen].flatten().double().numpy()
        # The Cholesky factor reduces the least-squares problem to few rows; the sparsity penalty is linear.
        pull = _SPARSE * np.linalg.norm(b) * scale
        root = np.linalg.cholesky(gram + 1e-6 * np.eye(len(gram)) * gram.max())
        right = np.linalg.solve(root, a.T @ b - pull)
        free = np.ones(len(others), bool) if allowed is None else allowed[k].numpy()
        found = np.zeros(len(others))
        if free.any():
            found[free] = optimize.lsq_linear(root.T[:, free], right, (0, largest)).x
        found[found < 0.03] = 0
        weights[k] = found
        moved = word[seen].norm(dim=1) > 0.1
        rest = word[seen] - torch.einsum("m,mvc->vc", torch.from_numpy(found).float(), others[:, seen])
        if bool(moved.any()):
            errors[k] = [float(part[moved].square().sum(dim=1).mean().sqrt()) for part in (rest, word[seen])]
    return Table(torch.from_numpy(weights).float(), torch.from_numpy(errors).float())
