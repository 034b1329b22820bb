"""Pickling of batches: a slice stores its own data, not the whole batch's."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch


def compact_state(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass for a pickle, tensors detached and without shared memory.

    A view would be pickled with its whole base tensor: one face of a sweep with all textures of the sweep. Tensors that
    were expanded from a smaller one, as a static map is in a sweep, stay expanded.
    """
    return {field.name: _compact(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _compact(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    spans = value.untyped_storage().nbytes() > value.numel() * value.element_size()
    return value.clone() if spans else value
