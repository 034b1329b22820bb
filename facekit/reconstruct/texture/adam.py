"""Adam (Kingma and Ba, ICLR 2015), as in torch, whose own loads a compiler at first use: more than a second."""

from __future__ import annotations

from collections.abc import Sequence

import torch

#: Added to the root of the second moment.
_EPSILON = 1e-8


class Adam:
    """Optimizer of some tensors, in place.

    Parameters
    ----------
    tensors:
        Leaves that need gradients.
    rates:
        Learning rate of each.
    betas:
        Decay of the first and of the second moment.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], rates: Sequence[float], betas: tuple[float, float]) -> None:
        self.tensors, self.rates, self.betas = list(tensors), list(rates), betas
        self._moments = [(torch.zeros_like(t), torch.zeros_like(t)) for t in tensors]
        self._steps = 0

    def step(self, cost: torch.Tensor, scale: float = 1.0) -> None:
        """Descend along the gradient of a cost (), with learning rates times ``scale``."""
        gradients = torch.autograd.grad(cost, self.tensors)
        self._steps += 1
        first, second = (1 - beta**self._steps for beta in self.betas)
        with torch.no_grad():
            rows = zip(self.tensors, self.rates, gradients, self._moments, strict=True)
            for tensor, rate, gradient, (mean, square) in rows:
                mean.lerp_(gradient, 1 - self.betas[0])
                square.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
                size = (square / second).sqrt_().add_(_EPSILON)
                tensor.addcdiv_(mean, size, value=-rate * scale / first)
