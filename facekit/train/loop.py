"""Shared parts of training loops: checkpoints, resumption, exponential moving average, learning rates."""

from __future__ import annotations

import contextlib
import copy
import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from facekit.files.atomic import atomic_write
from facekit.progress import progress
from facekit.train.distributed import ALONE, World

_Module = TypeVar("_Module", bound=nn.Module)

#: Seconds between two checkpoints.
SAVE_EVERY_SECONDS = 180.0


class Checkpoint:
    """Save named state every few minutes, on interrupts and at the end; restore it when the run is started again.

    Parameters
    ----------
    path:
        File of this loop; written atomically.
    parts:
        Objects with ``state_dict`` and ``load_state_dict``.
    world:
        Processes of the run: all restore, the first one saves, and an interrupt of one stops all.
    """

    def __init__(self, path: Path, parts: dict[str, Any], world: World = ALONE) -> None:
        self.path, self.parts, self.world = path, parts, world
        self.last = time.monotonic()

    def restore(self) -> int:
        """Load the newest state, if any; return the step to resume from."""
        if not self.path.is_file():
            return 0
        state = torch.load(self.path, weights_only=True, map_location="cpu")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])

    def save(self, step: int) -> None:
        """Save the state now; ``step`` is the next one to do."""
        with atomic_write(self.path) as temporary:
            torch.save({"step": step, **{name: part.state_dict() for name, part in self.parts.items()}}, temporary)
        self.last = time.monotonic()

    def steps(self, total: int, description: str) -> Iterator[int]:
        """Yield the steps from where the last run ended to ``total``, with a progress bar and periodic checkpoints.

        An interrupt (Ctrl-C) takes effect after the step is done and its state is saved: otherwise the resumed run
        would differ.
        """
        start = self.restore()
        with _held_interrupt() as interrupted:
            for step in progress(range(start, total), total=total, desc=description, initial=start):
                yield step
                stop = self.world.any(interrupted.is_set())
                if self.world.first and (stop or time.monotonic() - self.last > SAVE_EVERY_SECONDS):
                    self.save(step + 1)
                if stop:
                    raise KeyboardInterrupt
        if start < total and self.world.first:
            self.save(total)
        self.world.wait()


@contextlib.contextmanager
def _held_interrupt() -> Iterator[threading.Event]:
    """Turn the first interrupt into an event; a second one interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return

    def hold(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def step_generator(seed: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a seeded generator for one step, so that a resumed run equals an uninterrupted one."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step)


class Average(nn.Module, Generic[_Module]):
    """Exponential moving average of a module's weights (as in Karras et al., ICLR 2018, section 7)."""

    module: _Module

    def __init__(self, module: _Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Update the average with the module's current weights."""
        for mean, present in zip(self.module.parameters(), module.parameters(), strict=True):
            mean.lerp_(present, 1 - self.decay)


def descend(loss: torch.Tensor, model: nn.Module, optimiser: torch.optim.Optimizer, average: Average[Any]) -> None:
    """Take one optimiser step, with gradients clipped to norm 1, and update the average."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    average.update(model)


def cosine(step: int, total: int, peak: float, warmup: int = 200, floor: float = 0.02) -> float:
    """Return the learning rate with linear warm-up and cosine decay to ``floor`` of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    t = (step - warmup) / max(1, total - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * t)))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate
