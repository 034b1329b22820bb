"""Shape networks from scans: encoders and decoder, then both conditional generators (Rai et al., WACV 2023, 3.1).

Scans show every expression at full intensity; lower ones are interpolated linearly from the neutral scan, which teaches
the generators the meaning of intensity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from facekit.conventions import EXPRESSION_DIM
from facekit.models.config import ShapeConfig
from facekit.models.shape import MLP, ShapeModel
from facekit.train.distributed import World, descend
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator
from facekit.train.scans.data import Scans

AUTOENCODER_STEPS, GENERATOR_STEPS, BATCH = 60_000, 60_000, 64
#: Number of vertices, evenly spaced, that encoders and discriminator see; mm per cm.
_SEEN, _MM_PER_CM = 2000, 10.0
_ADVERSARY, _CODES = 0.02, 0.1


class ScanEncoder(nn.Module):
    """Encoders from a mesh to its identity and expression codes; they see a subset of the vertices, in cm."""

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        self.vertices = torch.linspace(0, config.vertices - 1, min(_SEEN, config.vertices)).long()
        inputs = 3 * len(self.vertices)
        self.identity = MLP((inputs, 1024, 512, config.identity_latent))
        self.expression = MLP((inputs, 1024, 512, config.expression_latent))

    def seen(self, moved: torch.Tensor) -> torch.Tensor:
        """Return the encoders' input (B, 3 n) for displacements (B, V, 3) in mm."""
        return moved[:, self.vertices].flatten(1) / _MM_PER_CM

    def forward(self, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return identity and expression codes of displacements (B, V, 3) in mm."""
        seen = self.seen(moved)
        return self.identity(seen), self.expression(seen)


class _Autoencoder(nn.Module):
    """Encoders and decoder as one module, whose forward pass is a training step's."""

    def __init__(self, encoder: ScanEncoder, decoder: MLP) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, posed: torch.Tensor, rest: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return posed, neutral and swapped faces (B, 3V) rebuilt from displacements (B, V, 3), and both codes."""
        who, worn = self.encoder(posed)
        neutral, still = self.encoder(rest)
        _, copied = self.encoder(other)
        pairs = ((who, worn), (who, still), (neutral, copied))
        return *(self.decoder(torch.cat(pair, dim=1)) for pair in pairs), who, worn


class _Generators(nn.Module):
    """Both generators as one module."""

    def __init__(self, model: ShapeModel) -> None:
        super().__init__()
        self.identity, self.expression = model.generator_identity, model.generator_expression

    def forward(self, noise: torch.Tensor, identity: torch.Tensor, code: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the decoder's codes of the person, of the expression with ``code`` (B, 20), and of the neutral one."""
        who = self.identity(torch.cat([noise, identity], dim=1))
        worn, still = (
            self.expression(torch.cat([noise, identity, worn], dim=1)) for worn in (code, torch.zeros_like(code))
        )
        return who, worn, still


@dataclass(frozen=True)
class Draw:
    """Samples of a step: displacements (B, V, 3) mm of people posed and neutral, and of others with that expression.

    ``identity`` (B, 20), ``code`` (B, 20): identity codes, and expression codes times intensity.
    """

    posed: torch.Tensor
    rest: torch.Tensor
    other: torch.Tensor
    identity: torch.Tensor
    code: torch.Tensor


class ShapeDraws:
    """Draw the samples of a step; every process draws all of them and keeps its part."""

    def __init__(self, scans: Scans, batch: int, world: World) -> None:
        self.scans, self.batch, self.world = scans, batch, world
        self.table, self.identities = torch.from_numpy(scans.place()), scans.identities()
        #: Scans of people with a neutral scan.
        self.known = torch.from_numpy(np.flatnonzero(scans.place()[scans.who, 0] >= 0))

    def __call__(self, generator: torch.Generator) -> Draw:
        """Return this process's samples of one step."""
        rows = self.known[torch.randint(0, len(self.known), (self.batch,), generator=generator)]
        intensity = torch.rand(self.batch, generator=generator)
        intensity = torch.where(torch.rand(self.batch, generator=generator) < 0.5, 1.0, intensity)
        lots = torch.rand(self.batch, len(self.table), generator=generator)
        own = self.world.part(self.batch)
        rows, intensity, lots = rows[own], intensity[own], lots[own]
        who, worn = (torch.from_numpy(part)[rows] for part in (self.scans.who, self.scans.worn))
        has = self.table[:, worn].T >= 0
        others = self.table[(lots * has).argmax(dim=1), worn]
        posed, rest, other = (self._moved(r) for r in (rows, self.table[who, 0], others))
        amount = intensity.to(posed)[:, None, None]
        code = F.one_hot(worn, EXPRESSION_DIM) * intensity[:, None]
        # The neutral scan has the zero code at any intensity.
        code[:, 0] = 0
        device = self.world.device
        return Draw(rest + amount * (posed - rest), rest, other, self.identities[who].to(device), code.to(device))

    def _moved(self, rows: torch.Tensor) -> torch.Tensor:
        return self.scans.moved(rows, self.world.device)


def train_autoencoder(
    model: ShapeModel, scans: Scans, folder: Path, steps: int, batch: int, world: World, seed: int = 11
) -> ScanEncoder:
    """Train encoders and decoder, with expression codes swapped between people with the same expression."""
    encoder = ScanEncoder(model.config).to(world.device)
    both = world.shared(_Autoencoder(encoder, model.decoder))
    optimiser, scaler = torch.optim.Adam(both.parameters(), lr=1e-3), world.scaler()
    draw = ShapeDraws(scans, batch, world)
    parts = {"encoder": encoder, "decoder": model.decoder, "adam": optimiser, "scaler": scaler}
    for step in Checkpoint(folder / "autoencoder.pt", parts, world).steps(steps, "shape autoencoder"):
        set_rate(optimiser, cosine(step, steps, 1e-3))
        d = draw(step_generator(seed, step))
        with world.autocast():
            *faces, who, worn = both(d.posed, d.rest, d.other)
        rebuilt, rest, swapped = (face.unflatten(1, (-1, 3)) for face in faces)
        whole = d.code.amax(dim=1) > 0.99  # others have it at full intensity
        loss = (
            _error(rebuilt, d.posed)
            + _error(rest, d.rest)
            + (_errors(swapped, d.posed) * whole).mean()
            + 1e-3 * (who.float().square().mean() + worn.float().square().mean())
        )
        descend(loss, optimiser, scaler)
    return encoder.eval().requires_grad_(False)


def train_generators(
    model: ShapeModel,
    encoder: ScanEncoder,
    scans: Scans,
    folder: Path,
    steps: int,
    batch: int,
    world: World,
    seed: int = 12,
) -> ShapeModel:
    """Train both generators against the encoders' codes and a discriminator; return the model's moving average."""
    config = model.config
    critic = MLP((3 * len(encoder.vertices) + config.identity + config.expression, 1024, 512, 1)).to(world.device)
    average = Average(model, 0.999)
    model.decoder.requires_grad_(False)
    generators, shared_critic = world.shared(_Generators(model)), world.shared(critic)
    g_optimiser, d_optimiser = (
        torch.optim.Adam(net.parameters(), lr=5e-4, betas=(0.5, 0.99)) for net in (generators, critic)
    )
    scaler, critic_scaler = world.scaler(), world.scaler()
    draw = ShapeDraws(scans, batch, world)
    parts = {"model": model, "critic": critic, "average": average, "g": g_optimiser, "d": d_optimiser}
    parts |= {"scaler": scaler, "critic scaler": critic_scaler}
    for step in Checkpoint(folder / "shape_gan.pt", parts, world).steps(steps, "shape GAN"):
        for optimiser in (g_optimiser, d_optimiser):
            set_rate(optimiser, cosine(step, steps, 5e-4))
        generator = step_generator(seed, step)
        d = draw(generator)
        own = world.part(batch)
        noise = torch.randn(batch, config.noise, generator=generator)[own].to(world.device)
        claim = torch.cat([d.identity, d.code], dim=1)
        with world.autocast():
            who, worn, still = generators(noise, d.identity, d.code)
            posed, rest = model.decode(who, worn), model.decode(who, still)
            seen = torch.cat([encoder.seen(d.posed), encoder.seen(posed.detach())])
            real, fake = shared_critic(torch.cat([seen, claim.repeat(2, 1)], dim=1)).float().chunk(2)
        d_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        descend(d_loss, d_optimiser, critic_scaler)
        critic.requires_grad_(False)
        with world.autocast():
            judged = critic(torch.cat([encoder.seen(posed), claim], dim=1))
            want_who, want_worn = encoder(d.posed)
        critic.requires_grad_(True)
        loss = (
            _error(rest, d.rest)
            + 2 * _error(posed - rest, d.posed - d.rest)
            + _CODES * (F.mse_loss(who.float(), want_who.float()) + F.mse_loss(worn.float(), want_worn.float()))
            - _ADVERSARY * judged.float().mean()
        )
        descend(loss, g_optimiser, scaler)
        average.update(model)
    return average.module


def _errors(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return each face's error (B,): mean squared distance, mm², plus its root, which keeps the gradient large for
    small errors.
    """
    squared = (made.float() - wanted).square().sum(dim=-1).mean(dim=-1)
    return squared + (squared + 1e-6).sqrt()


def _error(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return _errors(made, wanted).mean()
