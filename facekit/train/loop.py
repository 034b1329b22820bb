"""What every training loop needs: checkpoints, resume, an exponential moving average, a seeded loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facekit.files.atomic import atomic_write


class Checkpoint:
    """Saves named state every few minutes and at the end; restores it when the run starts again.

    Parameters
    ----------
    path:
        File of this stage; written atomically.
    parts:
        Objects with ``state_dict`` and ``load_state_dict``.
    minutes:
        Time between two saves.
    """

    def __init__(self, path: Path, parts: dict[str, Any], minutes: float = 3.0) -> None:
        self.path, self.parts, self.period = path, parts, 60 * minutes
        self.last = time.monotonic()

    def restore(self) -> int:
        """Load the newest state, if there is one; returns the step to go on from."""
        if not self.path.is_file():
            return 0
        state = torch.load(self.path, weights_only=True, map_location="cpu")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])

    def save(self, step: int) -> None:
        """Write the state now; ``step`` is the next one to do."""
        with atomic_write(self.path) as temporary:
            torch.save({"step": step, **{name: part.state_dict() for name, part in self.parts.items()}}, temporary)
        self.last = time.monotonic()

    def steps(self, total: int, description: str) -> Iterator[int]:
        """Count from where the last run ended to ``total``, with a progress bar, saving now and then.

        An interrupt saves first, so that no work is lost.
        """
        from tqdm.auto import tqdm

        start = self.restore()
        bar = tqdm(range(start, total), initial=start, total=total, desc=description, mininterval=2)
        step = start
        try:
            for step in bar:
                yield step
                if time.monotonic() - self.last > self.period:
                    self.save(step + 1)
            self.save(total)
        except KeyboardInterrupt:
            self.save(step)
            raise


def step_generator(seed: int, step: int) -> torch.Generator:
    """A generator for one step: a resumed run draws what an uninterrupted one would."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


class Average(nn.Module):
    """Exponential moving average of a module's weights (as in Karras et al., ICLR 2018, section 7)."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move a little toward the module's present weights."""
        for mine, theirs in zip(self.module.parameters(), module.parameters(), strict=True):
            mine.lerp_(theirs, 1 - self.decay)


def cosine(step: int, total: int, peak: float, warmup: int = 200, floor: float = 0.02) -> float:
    """Learning rate with a linear warm-up and a cosine decay to ``floor`` of the peak."""
    import math

    if step < warmup:
        return peak * (step + 1) / warmup
    t = (step - warmup) / max(1, total - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * t)))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate
