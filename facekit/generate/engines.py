"""Engines that run the chunks of a job: processes of this machine, or tasks of a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Protocol

from facekit.checks import finite, one_of, whole
from facekit.errors import FacekitError, InputError, optional_import
from facekit.generate import ENGINES
from facekit.progress import progress

#: Number of attempts per sample before it is skipped, and per chunk whose process or machine died before the job fails.
TRIES = 3
#: Interval of progress updates in seconds.
_TICK = 0.3
_HOW_TO_GO_ON = "the same command goes on with the rest"

#: State shared with the parent process: number of samples made, stop event, and the work.
_shared: list[Any] = []


class Work(Protocol):
    """Job split into numbered chunks that can be done in any order, by any process that it is pickled to."""

    def size(self, number: int) -> int:
        """Return the number of faces in a chunk."""
        ...

    def __call__(self, number: int, after: Callable[[], None]) -> Any:
        """Do a chunk and write its results; ``after`` is called after each face and may raise to stop."""
        ...


@dataclass(frozen=True)
class Crew:
    """Workers of a job.

    Parameters
    ----------
    workers:
        Number of processes on this machine; 1 uses this process itself.
    engine:
        "local", or "ray" (extra ``ray``), with a task per chunk.
    address:
        Address of the Ray cluster; None for a local one.
    gpus:
        GPUs per task: 0.25 lets four tasks share one. Ray only; local processes share the GPU in any case.
    """

    workers: int = 1
    engine: str = "local"
    address: str | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        whole(self.workers, "workers", 1)
        one_of(self.engine, ENGINES, "an engine")
        if finite(self.gpus, "gpus", "pass for instance 0.25") < 0:
            raise InputError("gpus of 0 or more", repr(self.gpus), "pass for instance 0.25")

    @property
    def alone(self) -> bool:
        """True if this process does all the work."""
        return self.engine == "local" and self.workers == 1


class _Stopped(Exception):
    """The run was interrupted."""


def run(
    work: Work, numbers: Sequence[int], total: int, crew: Crew, each: Callable[[int, Any], None] = lambda *_: None
) -> None:
    """Run chunks of a job.

    Parameters
    ----------
    numbers:
        Numbers of the chunks.
    total:
        Number of faces in the whole job, for the progress bar; those of other chunks count as done.
    each:
        Called in this process with each chunk's number and result.

    Raises
    ------
    KeyboardInterrupt
        If interrupted; written files stay.
    FacekitError
        If processes or machines die repeatedly, or a chunk raises it.
    """
    if not numbers:
        return
    bar = _Bar(total, total - sum(work.size(number) for number in numbers))
    runner = _in_ray if crew.engine == "ray" else _here if crew.workers == 1 else _in_processes
    try:
        runner(work, numbers, crew, bar, each)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {_HOW_TO_GO_ON}") from None
    finally:
        bar.close()


def _here(work: Work, numbers: Sequence[int], crew: Crew, bar: _Bar, each: Callable[[int, Any], None]) -> None:
    for number in numbers:
        each(number, work(number, bar.step))


def _in_processes(work: Work, numbers: Sequence[int], crew: Crew, bar: _Bar, each: Callable[[int, Any], None]) -> None:
    context, left = multiprocessing.get_context("spawn"), list(numbers)
    made, stop = context.Value("q", 0), context.Event()
    for attempt in range(TRIES):
        workers = min(crew.workers, len(left))
        with ProcessPoolExecutor(workers, context, _begin, (made, stop, work)) as pool:
            futures: dict[Future[Any], int] = {}
            try:
                futures = {pool.submit(_piece, number): number for number in left}
                waiting = set(futures)
                while waiting:
                    done, waiting = wait(waiting, _TICK, FIRST_COMPLETED)
                    bar.at(made.value)
                    for future in done:
                        each(futures[future], future.result())
                        left.remove(futures[future])
                return
            except BrokenProcessPool:
                if attempt == TRIES - 1:
                    raise FacekitError(
                        "working processes", f"one that was killed {TRIES} times",
                        f"check that there is enough memory for {workers}; {_HOW_TO_GO_ON}",
                    ) from None  # fmt: skip
            except BaseException:
                stop.set()  # workers stop after their current face
                for future in futures:
                    future.cancel()
                raise


def _begin(made: Any, stop: Any, work: Work) -> None:
    """Initialise a worker: interrupts are handled by its parent, and it ends with its parent."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared[:] = [made, stop, work]
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def ends() -> None:
            connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=ends, daemon=True).start()


def _piece(number: int) -> Any:
    made, stop, work = _shared

    def after() -> None:
        with made.get_lock():
            made.value += 1
        if stop.is_set():
            raise _Stopped

    return work(number, after)


def _in_ray(work: Work, numbers: Sequence[int], crew: Crew, bar: _Bar, each: Callable[[int, Any], None]) -> None:
    """Run chunks as tasks of a Ray cluster (Moritz et al., *Ray*, OSDI 2018), retried if a machine dies."""
    ray = optional_import("ray", "ray", "the engine ray")
    if not ray.is_initialized():
        ray.init(address=crew.address, log_to_driver=False)
    task = ray.remote(_task).options(num_cpus=1, num_gpus=crew.gpus, max_retries=TRIES)
    shared = ray.put(work)
    waiting = {task.remote(shared, number): number for number in numbers}
    died = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError)
    try:
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            for reference in done:
                number = waiting.pop(reference)
                each(number, ray.get(reference))
                bar.at(bar.now + work.size(number))
    except died as error:
        raise FacekitError("a working cluster", str(error).splitlines()[0], _HOW_TO_GO_ON) from error
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _task(work: Work, number: int) -> Any:
    return work(number, lambda: None)


class _Bar:
    """Progress bar that is set to numbers instead of iterating over items."""

    def __init__(self, total: int, initial: int) -> None:
        self.steps = progress(range(total - initial), total=total, desc="faces", initial=initial)
        self.now, self.last = 0, total - initial

    def at(self, made: int) -> None:
        # An item counts once the next is requested: the last one has no next.
        for _ in range(made - self.now + (self.now < made == self.last)):
            next(self.steps, None)
        self.now = max(self.now, made)

    def step(self) -> None:
        self.at(self.now + 1)

    def close(self) -> None:
        close = getattr(self.steps, "close", None)
        if close is not None:
            close()
