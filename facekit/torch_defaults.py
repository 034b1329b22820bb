"""Calls independent of torch's global settings: default dtype, default device, autocast.

facekit works in float32 and chooses its own devices. ``torch.set_default_dtype(torch.float64)``,
``torch.set_default_device`` or an autocast around a call concern the user's own code.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def with_torch_defaults(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function under torch's standard settings; nearly free if these are in effect."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _is_plain():
            return function(*args, **kwargs)
        with _plain():
            return function(*args, **kwargs)

    return run


def _is_plain() -> bool:
    import torch

    return (
        torch.get_default_dtype() == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.is_autocast_enabled("cuda")
        and torch.get_default_device().type == "cpu"
    )


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float32)
        with torch.device("cpu"), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_default_dtype(before)
