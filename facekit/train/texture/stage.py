"""The texture stage: conditional, progressive training, with a reconstruction loss and a discriminator.

Progressive growing is due to Karras et al. (ICLR 2018). The multi-scale reconstruction loss against the teacher's tiles
enforces the conditioning; the discriminator keeps edges and marks sharp. The effect of an expression on skin is a
hundredth of the variation between people, so each batch has every person with two expressions, and their difference has
its own loss.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from facekit.assembly import pick_device
from facekit.models.texture import TextureModel
from facekit.train import export
from facekit.train.context import Context
from facekit.train.distributed import ALONE, World, descend
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator
from facekit.train.skin.teacher import NOISES
from facekit.train.soap import Soap
from facekit.train.texture.data import TextureCodes, TexturePairs, TextureSamples
from facekit.train.texture.networks import (
    R1_EVERY,
    TextureDiscriminator,
    discriminator_step,
    reconstruction,
    start_texture,
)

_ADVERSARY_EVERY = 4  # an adversarial step costs as much as two others
_EXPRESSION = 1.5  # weight of the difference between two expressions of a person
_LOG_EVERY = 20
_HORIZONS = 12  # the last phase is at least this many times as long as the average's memory


@dataclass(frozen=True)
class Phase:
    """One resolution of the progression: size, number of steps, batch size, peak learning rate, weight of the
    discriminator.
    """

    size: int
    steps: int
    batch: int
    rate: float
    adversary: float  # 0 at low resolution, where reconstruction alone learns tone and shapes


#: About an hour and a quarter on two CPU cores. Tone and layout are learned where a step costs least; the learning
#: rates are high because equalised layers scale their weights down at use.
SCHEDULE: tuple[Phase, ...] = (
    Phase(8, 2000, 32, 5.0e-2, 0.0),
    Phase(16, 1500, 32, 4.0e-2, 0.0),
    Phase(32, 1500, 16, 3.0e-2, 0.0),
    Phase(64, 1500, 16, 2.0e-2, 0.0),
    Phase(128, 1500, 8, 1.5e-2, 0.0),
    Phase(256, 1500, 4, 1.0e-2, 0.005),
    Phase(512, 1200, 4, 0.7e-2, 0.005),
)


def run(context: Context) -> None:
    """Train the texture network and write ``texture.safetensors``."""
    torch.manual_seed(0)
    config = context.texture_config
    schedule = tuple(dataclasses.replace(phase, steps=context.scaled(phase.steps)) for phase in SCHEDULE)
    world = World(device=pick_device(None))
    samples = TextureSamples(context.skin_layers, config.sizes[-1], world.device)
    model = train_texture(start_texture(config).to(world.device), samples, context.work, schedule, world=world)
    export.write_weights(model.cpu(), context.out / "texture.safetensors")


def train_texture(
    model: TextureModel,
    data: TexturePairs,
    folder: Path,
    schedule: tuple[Phase, ...] = SCHEDULE,
    seed: int = 4,
    noises: int = NOISES,
    world: World = ALONE,
) -> TextureModel:
    """Run the schedule and return the generator's moving average; resumes from the checkpoint in ``folder``.

    Parameters
    ----------
    noises:
        Number of noise entries that are used; the weights of the others are set to zero.
    world:
        Processes of the run; the model is on its device.
    """
    # Channels-last convolutions run up to twice as fast on a CPU at 256² and above.
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    critic = TextureDiscriminator(model.config).to(world.device)
    critic = critic.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    # Nothing is left in the average of how the last phase's layers were initialised, however short the phase.
    average = Average(model, min(0.99, 1 - _HORIZONS / max(schedule[-1].steps, 2 * _HORIZONS)))
    shared, shared_critic = (world.shared(net, partly=True) for net in (model, critic))
    g_optimiser = Soap(model.parameters())
    d_optimiser = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
    parts = {"model": model, "critic": critic, "average": average, "g": g_optimiser, "d": d_optimiser}
    scaler = world.scaler()
    checkpoint = Checkpoint(folder / "texture.pt", {**parts, "scaler": scaler}, world)
    ends = [sum(p.steps for p in schedule[: k + 1]) for k in range(len(schedule))]
    log = folder / "texture_log.csv"
    for step in checkpoint.steps(ends[-1], "texture GAN"):
        k = next(i for i, end in enumerate(ends) if step < end)
        phase, local = schedule[k], step - (ends[k] - schedule[k].steps)
        alpha = min(1.0, (local + 1) / (0.25 * phase.steps)) if k else 1.0  # fade in the new block
        floor = 0.2 if k + 1 < len(schedule) else 0.02
        rate = cosine(local, phase.steps, phase.rate, warmup=30, floor=floor)
        set_rate(g_optimiser, rate)
        set_rate(d_optimiser, 0.05 * rate)
        codes, target = _shared(world, *data.pairs(phase.batch // 2, phase.size, step_generator(seed, step)))
        condition = codes.condition()
        # Noise that the teacher does not use would only blur the tile.
        used = F.pad(codes.noise[:, :noises], (0, codes.noise.shape[1] - noises))
        with world.autocast():
            image = shared(used, codes.identity, codes.expression, size=phase.size, alpha=alpha)
        image = image.float()
        rebuilt = reconstruction(image, target)
        (one, other), (target_one, target_other) = image.chunk(2), target.chunk(2)
        moved = reconstruction(one - other, target_one - target_other)
        loss = rebuilt + _EXPRESSION * moved
        if phase.adversary and step % _ADVERSARY_EVERY == 0:
            penalise = step % R1_EVERY == 0
            discriminator_step(shared_critic, d_optimiser, target, image.detach(), condition, penalise)
            critic.requires_grad_(False)
            loss = loss + _ADVERSARY_EVERY * phase.adversary * F.softplus(-critic(image, condition)).mean()
            critic.requires_grad_(True)
        descend(loss, g_optimiser, scaler)
        average.update(model)
        if step % _LOG_EVERY == 0 and world.first:
            with log.open("a") as file:
                file.write(f"{step},{phase.size},{rebuilt.item():.5f},{moved.item():.5f}\n")
    # Noise that the teacher does not use was zero in training, so that its weights are meaningless.
    with torch.no_grad():
        average.module.get_parameter("input_layer.0.conv.weight_orig")[noises : model.config.noise] = 0.0
    return average.module


def _shared(world: World, codes: TextureCodes, tiles: torch.Tensor) -> tuple[TextureCodes, torch.Tensor]:
    """Return this process's people, each with both expressions."""
    if world.size == 1:
        return codes, tiles

    def own(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([half[world.part(len(half))] for half in values.chunk(2)])

    return TextureCodes(own(codes.noise), own(codes.identity), own(codes.expression)), own(tiles)
