"""Training of the detail module: means and bases by least squares, then everything together by gradient descent.

The loss compares composed displacement with the target's, in height and in slope (what one sees is the slope), with a
Charbonnier penalty, so that a few deep furrows do not drown the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch

from facekit.models.config import DetailConfig
from facekit.models.detail import DetailModel
from facekit.train.detail.data import DetailSamples
from facekit.train.loop import Average, Checkpoint, cosine, step_generator

_STEPS, _BATCH, _RATE = 2400, 12, 2e-3
_RIDGE = 4.0  # samples' worth of belief that a map is zero where hardly anyone is ever strained
_SLOPE = 1.5  # weight of the slope, mm a texel, beside the height, mm
_SOFT = 0.01  # mm: errors under it count by their square
_START_ROWS = 700  # samples that the start is computed from


def train_detail(
    config: DetailConfig, samples: DetailSamples, furrows: torch.Tensor, path: Path, steps: int = _STEPS
) -> DetailModel:
    """A trained module; goes on from the checkpoint at ``path`` where there is one.

    ``furrows`` (3, field, field) is the map of directions and reference strains that the samples were measured with.
    """
    model = DetailModel(config)
    model.furrows.copy_(furrows)
    average = Average(model, 0.995)
    # Bases are far from unit scale: a rate of their own, in mm.
    maps = [*model.mean, *model.basis]
    heads = [*model.regress_static.parameters(), *model.regress_dynamic.parameters()]
    optimiser = torch.optim.Adam([{"params": maps}, {"params": heads}, {"params": [model.response]}], betas=(0.9, 0.99))
    checkpoint = Checkpoint(path, {"model": model, "average": average, "optimiser": optimiser})
    if not path.is_file():
        start_maps(model, samples)
        average.module.load_state_dict(model.state_dict())
    for step in checkpoint.steps(steps, f"detail, {config.composition}"):
        rate = cosine(step, steps, _RATE, warmup=50)
        for group, factor in zip(optimiser.param_groups, (0.1, 1.0, 0.2), strict=True):
            group["lr"] = rate * factor
        index = torch.randint(0, len(samples), (_BATCH,), generator=step_generator(31, step))
        identity, strain, target = samples.batch(index)
        loss = detail_loss(compose(model, identity, strain), target, samples.weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.update(model)
    average.module.load_state_dict({**average.module.state_dict(), "furrows": furrows})
    return average.module


def compose(model: DetailModel, identity: torch.Tensor, strain: torch.Tensor) -> torch.Tensor:
    """Displacement (B, 1, S, S) mm on the tile, of people (B, 20) with strain over its reference (B, 1, S, S)."""
    static, compressed, stretched = model.maps(model.coefficients(identity))
    compress, stretch = model.weights(strain)
    return static + compress * compressed + stretch * stretched


def detail_loss(made: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Charbonnier penalty of heights and slopes, weighted by texel (S, S)."""
    error = made - target
    height = (charbonnier(error) * weight).mean()
    down = (charbonnier(error[..., 1:, :] - error[..., :-1, :]) * weight[1:]).mean()
    across = (charbonnier(error[..., 1:] - error[..., :-1]) * weight[:, 1:]).mean()
    return height + _SLOPE * (down + across)


def charbonnier(error: torch.Tensor) -> torch.Tensor:
    """A smooth absolute value."""
    return (error.square() + _SOFT**2).sqrt() - _SOFT


@torch.no_grad()
def start_maps(model: DetailModel, samples: DetailSamples) -> None:
    """Means by a least-squares fit at each texel, bases by principal components of what they leave.

    Regressors start as linear maps to the components' coefficients would: the descent finds them within a few steps.
    """
    generator = step_generator(30, 0)
    index = torch.randperm(len(samples), generator=generator)[:_START_ROWS]
    side = model.config.size
    normal, moment = torch.zeros(3, 3, side * side), torch.zeros(3, side * side)
    for some in index.split(50):
        _, strain, target = samples.batch(some)
        weights = _shares(model, strain)
        normal += torch.einsum("ikp,jkp->ijp", weights, weights)
        moment += torch.einsum("ikp,kp->ip", weights, target.flatten(1))
    normal += _RIDGE * torch.eye(3)[:, :, None]
    means = torch.linalg.solve(normal.permute(2, 0, 1), moment.t()[..., None])[..., 0].t()
    for mean, value in zip(model.mean, means, strict=True):
        mean.copy_(value)

    rest, shares = [], []
    for some in index.split(50):
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
    model.regress_static.fc1[0].weight.mul_(0.3)
    model.regress_dynamic.fc1[0].weight.mul_(0.3)


def _shares(model: DetailModel, strain: torch.Tensor) -> torch.Tensor:
    """What each of the three maps counts in each texel, (3, B, S * S)."""
    compress, stretch = model.weights(strain.flatten(1))
    return torch.stack((torch.ones_like(compress), compress, stretch))


@torch.no_grad()
def explained(model: DetailModel, samples: DetailSamples) -> dict[str, float]:
    """How well displacement is met on ``samples``.

    Returns
    -------
    dict
        ``energy``, the share of the displacement's energy that is explained; ``coarse_mm`` and ``fine_mm``, the mean
        distance along the normal of the detailed target from the smooth mesh and from the displaced one.
    """
    total, left, coarse, fine = 0.0, 0.0, 0.0, 0.0
    for some in torch.arange(len(samples)).split(20):
        identity, strain, target = samples.batch(some)
        error = compose(model, identity, strain) - target
        total += float((target.square() * samples.weight).sum())
        left += float((error.square() * samples.weight).sum())
        coarse += float((target.abs() * samples.weight).sum())
        fine += float((error.abs() * samples.weight).sum())
    area = float(samples.weight.sum()) * len(samples)
    return {"energy": 1 - left / total, "coarse_mm": coarse / area, "fine_mm": fine / area}
