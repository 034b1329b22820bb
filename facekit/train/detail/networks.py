"""Losses of the detail module, and its initialisation by least squares.

The loss compares composed displacement with the target in height and in slope (the visible quantity), with a
Charbonnier penalty, so that a few deep furrows do not dominate.
"""

from __future__ import annotations

import torch

from facekit.models.detail import DetailModel
from facekit.train.detail.data import DetailSamples
from facekit.train.loop import step_generator

_RIDGE = 4.0  # strength of the prior that a map is zero where skin is hardly ever strained, in samples
_SLOPE = 1.5  # weight of the slope, mm per texel, relative to the height, mm
_SOFT = 0.01  # mm: errors below it are penalised quadratically
_START_ROWS = 700  # number of samples for the initialisation
_CHUNK = 50


def detail_loss(made: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the Charbonnier penalty of heights and slopes, weighted by texel (S, S)."""
    error = made - target
    height = (charbonnier(error) * weight).mean()
    down = (charbonnier(error[..., 1:, :] - error[..., :-1, :]) * weight[1:]).mean()
    across = (charbonnier(error[..., 1:] - error[..., :-1]) * weight[:, 1:]).mean()
    return height + _SLOPE * (down + across)


def charbonnier(error: torch.Tensor) -> torch.Tensor:
    """Return a smooth absolute value."""
    return (error.square() + _SOFT**2).sqrt() - _SOFT


@torch.no_grad()
def start_maps(model: DetailModel, samples: DetailSamples) -> None:
    """Initialise the means by least squares per texel, and the bases by principal components of the residuals.

    Regressors are initialised as linear maps; training finds the coefficients within a few steps.
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
        count = min(len(basis), len(part))  # with fewer samples than maps the rest stay zero
        values, vectors = values.flip(0)[:count].clamp_min(1e-9).sqrt(), vectors.flip(1)[:, :count]
        axes = vectors.t() @ (rest * shares[k].float()) / values[:, None]
        # This scales the coefficients to about one.
        scale = values / len(part) ** 0.5 / shares[k].float().mean().clamp_min(0.02)
        basis[:count] = axes * scale[:, None]
    model.get_parameter("regress_static.fc1.0.weight").mul_(0.3)
    model.get_parameter("regress_dynamic.fc1.0.weight").mul_(0.3)


def _shares(model: DetailModel, strain: torch.Tensor) -> torch.Tensor:
    """Return the weights of the three maps per texel, (3, B, S * S)."""
    compress, stretch = model.weights(strain.flatten(1))
    return torch.stack((torch.ones_like(compress), compress, stretch))
