"""Parts of a head by their names."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from facekit.conventions import PARTS


def among(parts: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """Return which of ``parts``, an integer tensor of indices into :data:`facekit.conventions.PARTS`, have one of the
    names; bool of the same shape.
    """
    return torch.isin(parts, parts.new_tensor([PARTS.index(name) for name in names]))
