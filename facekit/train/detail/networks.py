"""The losses of the module's training, and its start by least squares.

The loss compares composed displacement with the target's, in height and in slope (what one sees is the slope), with a
Charbonnier penalty, so that a few deep furrows do not drown the rest.
"""

from __future__ import annotations

import torch

from facekit.models.detail import DetailModel
from facekit.train.detail.data import DetailSamples
from facekit.train.loop import step_generator

_RIDGE = 4.0  # samples' worth of belief that a map is zero where hardly anyone is ever strained
_SLOPE = 1.5  # weight of the slope, mm per texel, beside the height, mm
_SOFT = 0.01  # mm: errors under it count by their square
_START_ROWS = 700  # samples that the start is computed from
_CHUNK = 50


def detail_loss(made: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Charbonnier penalty of heights and slopes, weighted by texel (S, S)."""
    error = made - target
    height = (charbonnier(error) * weight).mean()
    down = (charbonnier(error[..., 1:, :] - error[..., :-1, :]) * weight[1:]).mean()
    across = (charbonnier(error[..., 1:] - error[..., :-1]) * weight[:, 1:]).mean()
    return height + _SLOPE * (down + across)


def charbonnier(error: torch.Tensor) -> torch.Tensor:
    """Smooth absolute value."""
    return (error.square() + _SOFT**2).sqrt() - _SOFT


@torch.no_grad()
def start_maps(model: DetailModel, samples: DetailSamples) -> None:
    """Set the means by a least-squares fit at each texel, the bases by principal components of what they leave.

    Regressors start as linear maps to the components' coefficients would: the descent finds them within a few steps.
    """
    generator = step_generator(30, 0)
    index = torch.randperm(len(samples), generator=generator)[:_START_ROWS]
    side = model.config.size
    normal, moment = torch.zeros(3, 3, side * side), torch.zeros(3, side * side)
    for some in index.split(_CHUNK):
        _, strain, target = samples.batch(some)
        weights = _shares(model, strain)
        normal += torch.einsum("ikp,jkp->ijp", weights, weights)
        moment += torch.einsum("ikp,kp->ip", weights, target.flatten(1))
    normal += _RIDGE * torch.eye(3)[:, :, None]
    means = torch.linalg.solve(normal.permute(2, 0, 1), moment.t()[..., None])[..., 0].t()
    for mean, value in zip(model.mean, means, strict=True):
        mean.copy_(value)

    rest, shares = [], []
    for some in index.split(_CHUNK):
        _, strain, target = samples.batch(some)
        weights = _shares(model, strain)
        rest.append(target.flatten(1) - torch.einsum("ikp,ip->kp", weights, means))
        shares.append(weights.half())
    rest, shares = torch.cat(rest), torch.cat(shares, dim=1)
    root = samples.weight.flatten().sqrt()
    for k, basis in enumerate(model.basis):
        part = rest * shares[k].float() * root
        values, vectors = torch.linalg.eigh(part @ part.t())
        count = min(len(basis), len(part))  # of fewer samples than maps the rest stay zero
        values, vectors = values.flip(0)[:count].clamp_min(1e-9).sqrt(), vectors.flip(1)[:, :count]
        axes = vectors.t() @ (rest * shares[k].float()) / values[:, None]
        # So scaled, coefficients are about one in size.
        scale = values / len(part) ** 0.5 / shares[k].float().mean().clamp_min(0.02)
        basis[:count] = axes * scale[:, None]
    model.get_parameter("regress_static.fc1.0.weight").mul_(0.3)
    model.get_parameter("regress_dynamic.fc1.0.weight").mul_(0.3)


def _shares(model: DetailModel, strain: torch.Tensor) -> torch.Tensor:
    """Weights of the three maps in each texel, (3, B, S * S)."""
    compress, stretch = model.weights(strain.flatten(1))
    return torch.stack((torch.ones_like(compress), compress, stretch))
