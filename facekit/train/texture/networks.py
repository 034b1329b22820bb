"""Modules and losses that are only used to train textures.

The discriminator is a projection discriminator (Miyato and Koyama, ICLR 2018) with the non-saturating loss and lazy R1
(Mescheder et al., ICML 2018; Karras et al., CVPR 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from facekit.models.config import TextureConfig
from facekit.models.texture import EqualConv2d, TextureModel

#: Number of steps between R1 penalties, and their weight.
R1_EVERY, _R1_WEIGHT = 16, 2.0


class TextureDiscriminator(nn.Module):
    """Mirror image of the generator with half its channels, conditioned by projection on the codes."""

    def __init__(self, config: TextureConfig) -> None:
        super().__init__()
        self.sizes = config.sizes
        channels = [max(8, c // 2) for c in config.channels]
        for k, size in enumerate(self.sizes[1:], start=1):
            setattr(self, f"from_rgb_{size}", EqualConv2d(3, channels[k], 1))
            setattr(self, f"down_{size}", EqualConv2d(channels[k], channels[k - 1], 3, padding=1))
        self.last = EqualConv2d(channels[0], channels[0], 4)
        self.score = nn.Linear(channels[0], 1)
        self.project = nn.Linear(config.identity + config.expression, channels[0], bias=False)

    def forward(self, image: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return scores (B,) of tiles (B, 3, S, S) with codes (B, 40)."""
        size = image.shape[-1]
        x = F.leaky_relu(getattr(self, f"from_rgb_{size}")(image * 2 - 1), 0.2)
        for step in reversed(self.sizes[1 : self.sizes.index(size) + 1]):
            x = F.avg_pool2d(F.leaky_relu(getattr(self, f"down_{step}")(x), 0.2), 2)
        x = F.leaky_relu(self.last(x), 0.2).flatten(1)
        return self.score(x).squeeze(1) + (self.project(condition) * x).mean(dim=1)


def start_texture(config: TextureConfig) -> TextureModel:
    """Create a generator: large initial weights for the code's constant, small ones for noise and expression."""
    model = TextureModel(config)
    with torch.no_grad():
        first = model.get_parameter("input_layer.0.conv.weight_orig")
        neutral = config.noise + config.identity
        first[: config.noise] *= 0.1
        first[neutral] *= 4.0
        first[neutral + 1 :] *= 0.3
    return model


def reconstruction(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error of pictures (B, 3, S, S) at four sizes, the full one first, plus that of their
    gradients.
    """
    loss, error = image.new_zeros(()), image - target
    for _ in range(4):
        loss = loss + error.abs().mean() + error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()
        if error.shape[-1] <= 4:
            break
        error = F.avg_pool2d(error, 2)
    return loss


def discriminator_step(
    critic: nn.Module,
    optimiser: torch.optim.Optimizer,
    real: torch.Tensor,
    fake: torch.Tensor,
    condition: torch.Tensor,
    penalise: bool,
) -> None:
    """Train the discriminator for one step on real and generated tiles (B, 3, S, S) with codes (B, 40).

    Parameters
    ----------
    critic:
        The discriminator, or what :meth:`facekit.train.distributed.World.shared` makes of it.
    penalise:
        Add the R1 penalty of its gradient on real tiles.
    """
    real = real.requires_grad_(penalise)
    scores = critic(torch.cat([real, fake]), condition.repeat(2, 1))
    judged_real, judged_fake = scores.chunk(2)
    loss = F.softplus(-judged_real).mean() + F.softplus(judged_fake).mean()
    if penalise:
        (gradient,) = torch.autograd.grad(judged_real.sum(), real, create_graph=True)
        loss = loss + 0.5 * _R1_WEIGHT * R1_EVERY * gradient.square().sum(dim=(1, 2, 3)).mean() / real.shape[-1]
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    real.requires_grad_(False)
