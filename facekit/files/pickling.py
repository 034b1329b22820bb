"""Pickling of batches: a slice takes along its own numbers, not the whole batch's."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch


def compact_state(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass for a pickle, tensors detached and each with no memory but its own.

    A view would bring the whole tensor that it looks into: one face of a sweep all textures of the sweep. Tensors that
    were expanded from a smaller one, as a static map is over a sweep, stay so.
    """
    return {field.name: _compact(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _compact(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    spans = value.untyped_storage().nbytes() > value.numel() * value.element_size()
    return value.clone() if spans else value
