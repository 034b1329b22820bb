"""SOAP: Adam in the slowly rotating eigenbasis of Shampoo (Vyas et al., ICLR 2025, algorithm 3).

The codes act on a texture through directions that are not aligned with single weights; rotating the gradient into the
eigenvectors of its second moments lets Adam scale these directions individually. On the texture network it needs about
a third of Adam's steps.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch


class Soap(torch.optim.Optimizer):
    """Drop-in optimiser for convolutions and linear layers.

    A weight (O, I, H, W) is treated as (O, I, H * W), with one rotation for each axis of at most ``limit`` entries;
    vectors (biases) get plain Adam.

    Parameters
    ----------
    lr:
        Step size.
    betas:
        Decay rates of the mean gradient and of all second moments.
    every:
        Number of steps between updates of the rotations, each one power iteration with QR.
    limit:
        Longest axis that is rotated.
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        lr: float = 3e-2,
        betas: tuple[float, float] = (0.95, 0.95),
        every: int = 10,
        limit: int = 256,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "every": every, "limit": limit})

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient; a parameter's first gradient only initialises its basis."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: torch.nn.Parameter, gradient: torch.Tensor, group: dict) -> None:
        mean_decay, square_decay = group["betas"]
        if gradient.ndim > 2:
            gradient = gradient.flatten(2)
        state = self.state[parameter]
        if not state:
            rotated = [gradient.ndim > 1 and 1 < n <= group["limit"] for n in gradient.shape]
            state["moments"] = [_outer(gradient, k) if on else None for k, on in enumerate(rotated)]
            state["basis"] = [None if m is None else _eigenvectors(m) for m in state["moments"]]
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            state["step"] = 0
            return
        state["step"] += 1
        step, basis = state["step"], state["basis"]
        for axis, moment in enumerate(state["moments"]):
            if moment is not None:
                moment.lerp_(_outer(gradient, axis), 1 - square_decay)
        state["mean"].lerp_(gradient, 1 - mean_decay)
        state["square"].lerp_(_rotate(gradient, basis).square(), 1 - square_decay)
        scale = (state["square"] / (1 - square_decay**step)).sqrt() + 1e-8
        update = _rotate(state["mean"], basis) / (1 - mean_decay**step) / scale
        back = [None if q is None else q.T for q in basis]
        parameter.add_(_rotate(update, back).reshape(parameter.shape), alpha=-group["lr"])
        if step % group["every"] == 0:
            self._turn(state)

    @staticmethod
    def _turn(state: dict) -> None:
        """Move each basis toward the sorted eigenvectors, and transform the second moments."""
        for axis, (moment, basis) in enumerate(zip(state["moments"], state["basis"], strict=True)):
            if moment is None:
                continue
            order = (basis * (moment @ basis)).sum(dim=0).argsort(descending=True)
            state["square"] = state["square"].index_select(axis, order)
            state["basis"][axis] = torch.linalg.qr(moment @ basis[:, order])[0]


def _outer(gradient: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the second moments (n, n) of the gradient along one axis."""
    rows = gradient.movedim(axis, 0).flatten(1)
    return rows @ rows.T


def _eigenvectors(moment: torch.Tensor) -> torch.Tensor:
    """Return orthonormal eigenvectors, largest eigenvalue first. One gradient's moments are nearly singular: use double
    precision and a ridge.
    """
    moment = moment.double()
    ridge = 1e-6 * moment.diagonal().mean() + 1e-30
    vectors = torch.linalg.eigh(moment + torch.diag(ridge.expand(len(moment))))[1]
    return vectors.flip(1).float()


def _rotate(tensor: torch.Tensor, basis: list[torch.Tensor | None]) -> torch.Tensor:
    """Multiply every axis by its basis; each contraction moves its axis to the end, so that the order is kept."""
    for q in basis:
        tensor = tensor.movedim(0, -1)
        tensor = tensor if q is None else tensor @ q
    return tensor
