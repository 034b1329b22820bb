"""Adam: the same steps as torch's."""

from __future__ import annotations

import torch

from facekit.reconstruct.texture.adam import Adam


def cost(leaves: list[torch.Tensor]) -> torch.Tensor:
    a, b = leaves
    return (a - 1).square().sum() + (a.sum() * b - 2).square().sum() + b.exp().sum()


def test_steps_are_torchs():
    start = [torch.tensor([0.3, -0.2, 0.9]), torch.tensor([0.5, -1.0])]
    ours, theirs = ([t.clone().requires_grad_() for t in start] for _ in range(2))
    groups = [{"params": [theirs[0]], "lr": 0.1}, {"params": [theirs[1]], "lr": 0.04}]
    mine, torchs = Adam(ours, (0.1, 0.04), (0.9, 0.95)), torch.optim.Adam(groups, betas=(0.9, 0.95))
    for step in range(20):
        scale = 1 - step / 20
        torchs.zero_grad()
        cost(theirs).backward()
        for group, rate in zip(torchs.param_groups, (0.1, 0.04), strict=True):
            group["lr"] = rate * scale
        torchs.step()
        mine.step(cost(ours), scale)
    for one, other, first in zip(ours, theirs, start, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
        assert (one - first).abs().min() > 0.05
