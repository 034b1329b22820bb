"""Forked processes: state that a child must not inherit.

A child has the parent's locks, in any state, and the records of its threads, but not the threads, so that OpenMP would
wait for them forever. Therefore locks are held while a process forks, and torch uses one thread in the child, as in the
workers of a ``DataLoader``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from facekit.errors import InputError

if TYPE_CHECKING:
    import torch


def lock() -> threading.Lock:
    """Return a lock that is free in forked children; for locks that live as long as the process."""
    made = threading.Lock()
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(before=made.acquire, after_in_parent=made.release, after_in_child=made.release)
    return made


@functools.cache
def guard() -> None:
    """Make torch work in children that are forked from now on; only the first call has an effect."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread in a block: sums have a fixed order, and small networks do not wait for threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check(device: torch.device) -> None:
    """Raise if CUDA is used in a child of a process that used it.

    Raises
    ------
    InputError
        If so: CUDA cannot work in such a child.
    """
    import torch

    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise InputError(
            "CUDA in a spawned process",
            "a fork of a process that used it",
            'start workers with multiprocessing.get_context("spawn")',
        )
