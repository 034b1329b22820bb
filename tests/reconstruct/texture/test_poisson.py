"""Pictures are recovered from their gradients; unpinned texels are extrapolated."""

from __future__ import annotations

import torch

from facekit.reconstruct.texture.poisson import solve


def waves(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return torch.stack((torch.sin(2 * x) * torch.cos(y), x + 0.3 * y, torch.cos(x * y)))


def test_a_picture_comes_back_from_its_gradients_and_one_patch():
    picture = waves(96, 130)  # no power of two
    weight = torch.full((1, 96, 130), 1e-8)
    weight[:, 20:70, 20:60] = 0.05
    target = torch.where(weight > 0.01, picture, torch.zeros(()))
    found = solve(target, weight, picture.diff(dim=2), picture.diff(dim=1), cycles=6)
    assert float((found - picture).abs().max()) < 0.02 * float(picture.max() - picture.min())


def test_no_gradients_carry_the_edge_on():
    target = torch.zeros(1, 64, 64)
    target[..., :32] = torch.linspace(0, 1, 64)[:, None]
    weight = torch.full((1, 64, 64), 1e-8)
    weight[..., :32] = 1.0
    flat = torch.zeros(1, 64, 63), torch.zeros(1, 63, 64)
    across, down = flat[0], flat[1].clone()
    down[..., :32] = target[..., :32].diff(dim=1)
    found = solve(target, weight, across, down, cycles=6)
    assert float((found - target)[..., :31].abs().max()) < 0.02
    # A harmonic function has its extremes at the border, and is flatter further away.
    beyond = found[..., 33:]
    assert float(beyond.min()) > -0.01 and float(beyond.max()) < 1.01
    ranges = beyond.amax(1) - beyond.amin(1)
    assert bool((ranges.diff(dim=-1) < 1e-3).all())


def test_a_shift_of_the_sources_leaves_no_seam():
    """Two halves of one picture, one of them brighter; the gradients do not contain the step."""
    picture = waves(64, 64)
    weight = torch.full((1, 64, 64), 1e-7)
    weight[..., 10:20] = 0.05
    target = picture.clone()
    across, down = picture.diff(dim=2), picture.diff(dim=1)
    across[..., 31] = 0.0  # between the halves nothing is known
    found = solve(target, weight, across, down, cycles=6)
    step = (found[..., 32] - found[..., 31]).abs()
    assert float(step.max()) < 0.12
