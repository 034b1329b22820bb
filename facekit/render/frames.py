"""Frames side by side: on a CPU several pictures at a time, each on one thread, are faster than one on all threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

#: Most frames at a time: more cost memory, and wait for each other in Python.
_MOST = 4


def side_by_side(function: Callable[[T], R], items: Sequence[T], device: torch.device) -> Iterator[R]:
    """Yield a function's results in the items' order.

    Items are processed in turn if gradients are recorded, on other devices than the CPU, or if torch has one thread.
    After an error or an interrupt no further item is begun.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(items), _MOST)
    if workers < 2 or device.type != "cpu" or torch.is_grad_enabled():
        yield from map(function, items)
        return
    inference = torch.is_inference_mode_enabled()

    def run(item: T) -> R:
        # Modes belong to a thread.
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            return function(item)

    # The number that was read above is restored: another thread of the caller may render at the same time.
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="facekit-frames")
    try:
        yield from pool.map(run, items)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
