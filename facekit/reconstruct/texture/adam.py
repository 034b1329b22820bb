"""Descent by the moments of gradients, for a few small tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Adam:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1); torch's own imports its compiler at first, which takes seconds.

    Parameters
    ----------
    tensors:
        What is moved, in place.
    betas:
        Decay of the two moments a step.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.tensors, self.betas, self.taken = list(tensors), betas, 0
        self.moments = [(torch.zeros_like(t), torch.zeros_like(t)) for t in self.tensors]

    @torch.no_grad()
    def step(self, cost: torch.Tensor, rates: Sequence[float]) -> None:
        """Move every tensor against the gradient of ``cost``, by about its rate at most."""
        gradients = torch.autograd.grad(cost, self.tensors)
        self.taken += 1
        first, second = (1 - beta**self.taken for beta in self.betas)
        for tensor, (mean, square), slope, rate in zip(self.tensors, self.moments, gradients, rates, strict=True):
            mean.lerp_(slope, 1 - self.betas[0])
            square.mul_(self.betas[1]).addcmul_(slope, slope, value=1 - self.betas[1])
            tensor.addcdiv_(mean, (square / second).sqrt_().add_(1e-8), value=-rate / first)
