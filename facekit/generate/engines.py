"""Engines: who makes the shards. Processes of this machine, or tasks of a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from facekit.errors import FacekitError, optional_import
from facekit.forks import one_thread
from facekit.generate.job import Plan
from facekit.generate.sample import SampleMaker
from facekit.generate.shards import TRIES, Shard, write_shard
from facekit.generate.storage import storage_of
from facekit.progress import progress

#: How often progress is told, seconds.
_TICK = 0.3
_HOW_TO_GO_ON = "the same command goes on with the rest"

#: Makers of this process by the set's fingerprint, and what its parent shares: samples made, and whether to stop.
_makers: dict[str, SampleMaker] = {}
_shared: list[Any] = []


class _Stopped(Exception):
    """The run was interrupted."""


def make_shard(place: str, plan: Plan, number: int) -> Shard:
    """Make one shard of a set, in this process and with one thread."""
    from facekit.pipeline import FacePipeline

    with one_thread():  # more would add numbers up in another order: the same bytes everywhere need one
        if plan.fingerprint not in _makers:
            _makers.clear()
            pipe = FacePipeline.from_pretrained(plan.settings["model"], device=plan.settings["device"])
            _makers[plan.fingerprint] = SampleMaker(pipe, plan.recipe, plan.settings["seed"])
        maker = _makers[plan.fingerprint]
        first, count = plan.shard(number)
        frames = maker.recipe.clip.frames
        return write_shard(maker, storage_of(place), number, first, count, plan.fingerprint, frames, _after_sample)


def _after_sample() -> None:
    if _shared:
        made, stop = _shared
        with made.get_lock():
            made.value += 1
        if stop.is_set():
            raise _Stopped


def run_local(place: str, plan: Plan, numbers: Sequence[int], workers: int) -> None:
    """Make shards with processes of this machine; with one worker in this process."""
    total = sum(plan.shard(number)[1] for number in numbers)
    context = multiprocessing.get_context("spawn")
    made, stop = context.Value("q", 0), context.Event()
    bar = _Bar(plan.count, plan.count - total)
    try:
        if workers == 1:
            _shared[:] = [_Counter(bar), stop]
            for number in numbers:
                make_shard(place, plan, number)
        else:
            _in_processes(place, plan, numbers, min(workers, len(numbers)), (made, stop), bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {_HOW_TO_GO_ON}") from None
    finally:
        stop.set()
        _shared.clear()
        bar.close()


def _in_processes(place: str, plan: Plan, numbers: Sequence[int], workers: int, shared: Any, bar: _Bar) -> None:
    context, left = multiprocessing.get_context("spawn"), list(numbers)
    for attempt in range(TRIES):
        with ProcessPoolExecutor(workers, context, _begin, shared) as pool:
            futures: dict[Future[Shard], int] = {}
            try:
                futures = {pool.submit(make_shard, place, plan, number): number for number in left}
                waiting = set(futures)
                while waiting:
                    done, waiting = wait(waiting, _TICK, FIRST_COMPLETED)
                    bar.at(shared[0].value)
                    for future in done:
                        future.result()
                        left.remove(futures[future])
                return
            except BrokenProcessPool:
                if attempt == TRIES - 1:
                    raise FacekitError(
                        "worker processes that go on", f"one that was killed, {TRIES} times over",
                        f"is there memory enough for {workers}? {_HOW_TO_GO_ON}",
                    ) from None  # fmt: skip
            except BaseException:
                shared[1].set()  # workers give up after the sample that they are at
                for future in futures:
                    future.cancel()
                raise


def _begin(made: Any, stop: Any) -> None:
    """Prepare a worker: interrupts are its parent's, and without its parent it ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared[:] = [made, stop]
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def ends() -> None:
            connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=ends, daemon=True).start()


class _Bar:
    """A progress bar that is told numbers, not items."""

    def __init__(self, total: int, initial: int) -> None:
        self.steps = progress(range(total - initial), total=total, desc="faces", initial=initial)
        self.now, self.last = 0, total - initial

    def at(self, made: int) -> None:
        # An item counts once the next is asked for: the last one has none.
        for _ in range(made - self.now + (self.now < made == self.last)):
            next(self.steps, None)
        self.now = max(self.now, made)

    def close(self) -> None:
        close = getattr(self.steps, "close", None)
        if close is not None:
            close()


class _Counter:
    """Counts into a bar, in the place of the number that processes share."""

    def __init__(self, bar: _Bar) -> None:
        self.bar, self._value, self._lock = bar, 0, threading.Lock()

    def get_lock(self) -> threading.Lock:
        return self._lock

    @property
    def value(self) -> int:
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        self._value = value
        self.bar.at(value)


def run_ray(place: str, plan: Plan, numbers: Sequence[int], address: str | None) -> None:
    """Make shards as tasks of a Ray cluster (Moritz et al., *Ray*, OSDI 2018), one each, tried again if a node dies.

    All nodes must reach ``place``. Without an address Ray begins a cluster of this machine's.
    """
    ray = optional_import("ray", "ray", "the engine ray")
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    gpus = 1 if plan.settings["device"] == "cuda" else 0
    task = ray.remote(make_shard).options(num_cpus=1, num_gpus=gpus, max_retries=TRIES)
    waiting = [task.remote(place, plan, number) for number in numbers]
    bar = _Bar(plan.count, plan.count - sum(plan.shard(number)[1] for number in numbers))
    made = 0
    try:
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            made += sum(shard.count for shard in ray.get(done))
            bar.at(made)
    except KeyboardInterrupt:
        for reference in waiting:
            ray.cancel(reference)
        raise KeyboardInterrupt(f"interrupted; {_HOW_TO_GO_ON}") from None
    finally:
        bar.close()
