"""Training of the texture generator: conditional, progressive, reconstruction plus an adversary.

Progressive growing is Karras et al. (ICLR 2018); the adversary is a projection discriminator (Miyato and Koyama, ICLR
2018) with the non-saturating loss and lazy R1 (Mescheder et al., ICML 2018; Karras et al., CVPR 2020). The
reconstruction of the teacher's tiles, at several scales, is what makes the conditioning real; the adversary keeps edges
and marks from washing out. What an expression does to skin is a hundredth of what tells people apart, so each batch
shows every person with two expressions, and the difference of the two tiles has a loss of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from facekit.models.config import TextureConfig
from facekit.models.texture import EqualConv2d, TextureModel
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator
from facekit.train.skin.teacher import NOISES
from facekit.train.soap import Soap
from facekit.train.texture.data import TextureSamples

_R1_EVERY, _R1_WEIGHT = 16, 2.0
_ADVERSARY_EVERY = 4  # an adversarial step costs as much as two others
_EXPRESSION = 1.5  # weight of the difference between two expressions of one person


@dataclass(frozen=True)
class Phase:
    """One resolution of the progression: size, number of steps, batch, peak learning rate, weight of the adversary."""

    size: int
    steps: int
    batch: int
    rate: float
    adversary: float  # 0 at low resolution, where a tile is tone and shapes that reconstruction learns alone


#: About an hour and a quarter on two CPU cores. Tone and layout are learned where a step costs least; the rates are
#: high because equalised layers scale their weights down at use.
SCHEDULE: tuple[Phase, ...] = (
    Phase(8, 2000, 32, 5.0e-2, 0.0),
    Phase(16, 1500, 32, 4.0e-2, 0.0),
    Phase(32, 1500, 16, 3.0e-2, 0.0),
    Phase(64, 1500, 16, 2.0e-2, 0.0),
    Phase(128, 1500, 8, 1.5e-2, 0.0),
    Phase(256, 1500, 4, 1.0e-2, 0.005),
    Phase(512, 1200, 4, 0.7e-2, 0.005),
)


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
        """Scores (B,) of tiles (B, 3, S, S) said to have the codes (B, 40)."""
        size = image.shape[-1]
        x = F.leaky_relu(getattr(self, f"from_rgb_{size}")(image * 2 - 1), 0.2)
        for step in reversed(self.sizes[1 : self.sizes.index(size) + 1]):
            x = F.avg_pool2d(F.leaky_relu(getattr(self, f"down_{step}")(x), 0.2), 2)
        x = F.leaky_relu(self.last(x), 0.2).flatten(1)
        return self.score(x).squeeze(1) + (self.project(condition) * x).mean(dim=1)


def start_texture(config: TextureConfig) -> TextureModel:
    """A fresh generator: loud where the code's constant enters, quiet where noise and expression do."""
    model = TextureModel(config)
    with torch.no_grad():
        first = model.input_layer[0].conv.weight_orig
        neutral = config.noise + config.identity
        first[: config.noise] *= 0.1
        first[neutral] *= 4.0
        first[neutral + 1 :] *= 0.3
    return model


def reconstruction(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute error at the full size and three coarser ones, plus that of the picture's gradients."""
    loss, error = image.new_zeros(()), image - target
    for _ in range(4):
        loss = loss + error.abs().mean() + error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()
        if error.shape[-1] <= 4:
            break
        error = F.avg_pool2d(error, 2)
    return loss


def train_texture(
    model: TextureModel, data: TextureSamples, folder: Path, schedule: tuple[Phase, ...] = SCHEDULE, seed: int = 4
) -> TextureModel:
    """Run the schedule; returns the moving average of the generator. Resumes from the newest checkpoint."""
    # Channels-last convolutions run up to twice as fast on a CPU at 256² and above.
    model = model.to(memory_format=torch.channels_last)
    critic = TextureDiscriminator(model.config).to(memory_format=torch.channels_last)
    average = Average(model, 0.99)
    g_optimiser = Soap(model.parameters())
    d_optimiser = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
    parts = {"model": model, "critic": critic, "average": average, "g": g_optimiser, "d": d_optimiser}
    checkpoint = Checkpoint(folder / "texture.pt", parts)
    ends = [sum(p.steps for p in schedule[: k + 1]) for k in range(len(schedule))]
    log = folder / "texture_log.csv"
    for step in checkpoint.steps(ends[-1], "texture GAN"):
        k = next(i for i, end in enumerate(ends) if step < end)
        phase, local = schedule[k], step - (ends[k] - schedule[k].steps)
        alpha = min(1.0, (local + 1) / (0.25 * phase.steps)) if k else 1.0  # fade the new block in
        floor = 0.2 if k + 1 < len(schedule) else 0.02
        rate = cosine(local, phase.steps, phase.rate, warmup=30, floor=floor)
        set_rate(g_optimiser, rate)
        set_rate(d_optimiser, 0.05 * rate)
        codes, target = data.pairs(phase.batch // 2, phase.size, step_generator(seed, step))
        condition = codes.condition()
        heard = F.pad(codes.noise[:, :NOISES], (0, codes.noise.shape[1] - NOISES))
        image = model(heard, codes.identity, codes.expression, size=phase.size, alpha=alpha)
        rebuilt = reconstruction(image, target)
        (one, other), (target_one, target_other) = image.chunk(2), target.chunk(2)
        moved = reconstruction(one - other, target_one - target_other)
        loss = rebuilt + _EXPRESSION * moved
        if phase.adversary and step % _ADVERSARY_EVERY == 0:
            _discriminator_step(critic, d_optimiser, target, image.detach(), condition, penalise=step % _R1_EVERY == 0)
            critic.requires_grad_(False)
            loss = loss + _ADVERSARY_EVERY * phase.adversary * F.softplus(-critic(image, condition)).mean()
            critic.requires_grad_(True)
        g_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        g_optimiser.step()
        average.update(model)
        if step % 20 == 0:
            with log.open("a") as file:
                file.write(f"{step},{phase.size},{rebuilt.item():.5f},{moved.item():.5f}\n")
    # Noise that the teacher does not hear was held at zero, so that its weights have learned nothing.
    with torch.no_grad():
        average.module.input_layer[0].conv.weight_orig[NOISES : model.config.noise] = 0.0
    return average.module


def _discriminator_step(
    critic: TextureDiscriminator,
    optimiser: torch.optim.Optimizer,
    real: torch.Tensor,
    fake: torch.Tensor,
    condition: torch.Tensor,
    penalise: bool,
) -> None:
    real = real.requires_grad_(penalise)
    score = critic(real, condition)
    loss = F.softplus(-score).mean() + F.softplus(critic(fake, condition)).mean()
    if penalise:
        (gradient,) = torch.autograd.grad(score.sum(), real, create_graph=True)
        loss = loss + 0.5 * _R1_WEIGHT * _R1_EVERY * gradient.square().sum(dim=(1, 2, 3)).mean() / real.shape[-1]
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    real.requires_grad_(False)
