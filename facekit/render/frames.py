"""Frames side by side: on a CPU several pictures at a time, each on one thread, are faster than one on all threads, and
the next faces are made beside the pictures.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import ParamSpec, Protocol, TypeVar

import torch

P = ParamSpec("P")
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


def on_threads(most: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a function with at most so many threads of torch's: many small operations wait for each other on more."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            threads = torch.get_num_threads()
            torch.set_num_threads(min(most, threads))
            try:
                return function(*args, **kwargs)
            finally:
                torch.set_num_threads(threads)

        return run

    return decorate


class Begin(Protocol):
    """Begins a function beside the caller."""

    def __call__(self, function: Callable[[], T], /) -> Future[T]:
        """See :func:`beside`."""
        ...


@contextlib.contextmanager
def beside(device: torch.device) -> Iterator[Begin]:
    """Yield what begins a function without gradients beside the caller, and returns the future of its result.

    All run in turn on one thread of their own, each with one of torch's threads. On other devices than the CPU, or if
    torch has one thread, a function runs as it is begun. After an error no further function is begun.
    """
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()
    if threads < 2 or device.type != "cpu":
        yield _at_once
        return

    def alone(function: Callable[[], T]) -> T:
        # Modes belong to a thread.
        with torch.inference_mode(inference), torch.no_grad():
            return function()

    def begin(function: Callable[[], T], /) -> Future[T]:
        return pool.submit(alone, function)

    pool = ThreadPoolExecutor(1, thread_name_prefix="facekit-beside")
    try:
        pool.submit(_be_alone).result()
        torch.set_num_threads(threads)  # what one thread sets is at first the others' number, too
        yield begin
    finally:
        pool.shutdown(cancel_futures=True)


@torch.no_grad()
def _at_once(function: Callable[[], T], /) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(function())
    return future


def _be_alone() -> None:
    """Give the calling thread one of torch's threads, whatever others set."""
    torch.get_num_threads()  # a thread takes over the common number when it is first asked, and then keeps its own
    torch.set_num_threads(1)


@torch.no_grad()
def together(first: Callable[[], T], second: Callable[[], R], device: torch.device) -> tuple[T, R]:
    """Return the results of two functions without gradients, the second run beside the first, on one thread each.

    They run in turn on other devices than the CPU, or if torch has one thread.
    """
    if torch.get_num_threads() < 2 or device.type != "cpu":
        return first(), second()
    with beside(device) as begin:
        later = begin(second)
        return on_threads(1)(first)(), later.result()


def ahead(items: Iterable[T], device: torch.device) -> Iterator[T]:
    """Yield items, each made on one thread of its own while the caller works with the one before.

    Items are made in turn on other devices than the CPU, or if torch has one thread.
    """
    threads = torch.get_num_threads()
    if threads < 2 or device.type != "cpu":
        yield from items
        return
    inference, gradients, iterator = torch.is_inference_mode_enabled(), torch.is_grad_enabled(), iter(items)

    def following() -> list[T]:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return list(islice(iterator, 1))

    pool = ThreadPoolExecutor(1, thread_name_prefix="facekit-ahead")
    try:
        future = pool.submit(following)
        while made := future.result():
            future = pool.submit(following)
            yield from made
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
