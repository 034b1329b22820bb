"""Forked processes: what a child must not inherit from its parent.

A child has the parent's locks, in whatever state, and the book-keeping of its threads, but not the threads. OpenMP
waits for these for ever. So locks are held while a process forks, and torch works with one thread in the child, as it
does in the workers of a ``DataLoader``.
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
    """Return a lock that is free in forked children; for those that live as long as the process."""
    made = threading.Lock()
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(before=made.acquire, after_in_parent=made.release, after_in_child=made.release)
    return made


@functools.cache
def guard() -> None:
    """See to it that torch works in children that are forked from now on; the first call does it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work with one thread for a block: numbers add up in one order, small networks do not wait."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check(device: torch.device) -> None:
    """Refuse CUDA in a child of a process that used it.

    Raises
    ------
    InputError
        There, with the remedy: CUDA cannot be had, whatever one does.
    """
    import torch

    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise InputError(
            "CUDA in a process of its own",
            "a fork of a process that used it",
            'start workers with multiprocessing.get_context("spawn")',
        )
