"""Distributed training, started by ``torchrun``; without effect in a single process.

Every process has the whole model and draws every step's samples from the same generator, then takes its part of them;
``DistributedDataParallel`` averages gradients. So N processes with a batch of B are equivalent to one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from facekit.errors import InputError

#: Training precision: "mixed" uses half precision where it is safe (Micikevicius et al., ICLR 2018).
PRECISIONS = ("full", "mixed")


@dataclass(frozen=True)
class World:
    """Processes of a run.

    Parameters
    ----------
    rank, size:
        Rank of this process, and number of processes.
    device:
        Device of this process.
    precision:
        One of :data:`PRECISIONS`.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")
    precision: str = "full"

    @property
    def first(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """Return this process's slice of a batch that all processes draw alike.

        Raises
        ------
        InputError
            If the batch does not divide evenly, which would change its mean.
        """
        if batch % self.size:
            raise InputError(
                f"a batch that {self.size} processes can divide evenly", f"{batch}", "start another number of processes"
            )
        return slice(self.rank * batch // self.size, (self.rank + 1) * batch // self.size)

    def shared(self, module: nn.Module, partly: bool = False) -> nn.Module:
        """Return a module whose backward pass averages gradients over all processes; ``module`` itself if it is alone.

        Each forward pass of it has to be followed by its backward pass, so that the two networks of a GAN need one
        wrapper each: the discriminator scores real and generated samples in one pass, and the generator's step calls
        the discriminator's own module. A gradient penalty's second derivative is averaged with the rest, as it reaches
        the parameters in the same backward pass.

        Parameters
        ----------
        partly:
            Whether a pass may leave parameters out, as those of larger resolutions in progressive growing.
        """
        if self.size == 1:
            return module
        return DistributedDataParallel(
            module,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=partly,
        )

    def any(self, flag: bool) -> bool:
        """Return True if the flag is set in any process."""
        if self.size == 1:
            return flag
        told = torch.tensor(float(flag), device=self.device)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        return bool(told)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            torch.distributed.barrier()

    def autocast(self) -> torch.autocast:
        """Context of half precision if the run is mixed: bfloat16 on a CPU, float16 on CUDA."""
        kind = torch.bfloat16 if self.device.type == "cpu" else torch.float16
        return torch.autocast(self.device.type, kind, enabled=self.precision == "mixed")

    def scaler(self) -> torch.amp.GradScaler:
        """Gradient scaler, active with float16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "mixed" and self.device.type == "cuda")


#: Single process on the CPU.
ALONE = World()


@contextlib.contextmanager
def joined(precision: str | None = None) -> Iterator[World]:
    """Join the processes started by ``torchrun``, if any: NCCL on CUDA, Gloo on CPUs.

    Parameters
    ----------
    precision:
        One of :data:`PRECISIONS`; None for mixed on CUDA and full on a CPU.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local % max(torch.cuda.device_count(), 1)) if cuda else torch.device("cpu")
    chosen = ("mixed" if cuda else "full") if precision is None else precision
    if size == 1:
        yield World(device=device, precision=chosen)
        return
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(rank, size, device, chosen)
    finally:
        torch.distributed.destroy_process_group()


def descend(loss: torch.Tensor, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Take one optimiser step on a loss of modules from :meth:`World.shared`, the mean over this process's part."""
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimiser)
    scaler.update()
