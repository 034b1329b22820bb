"""Parameters that start as normal numbers."""

from __future__ import annotations

import torch
from torch import nn


def normal(*shape: int, std: float = 1.0) -> nn.Parameter:
    """Parameter of normal numbers; of none on the meta device, where drawing imports torch's compiler, for seconds."""
    return nn.Parameter(normal_(torch.empty(*shape), std))


def normal_(values: torch.Tensor, std: float = 1.0) -> torch.Tensor:
    """Fill a tensor with normal numbers in place, see :func:`normal`."""
    with torch.no_grad():
        return values if values.is_meta else values.normal_(std=std)
