"""Training of the shape networks: autoencoder, then both conditional GANs, then all together.

The structure is 3DFaceCAM's (Rai et al., WACV 2023, section 3.1): two encoders and a decoder disentangle identity and
expression; generators learn the encoders' codes under a discriminator. Two things differ from upstream: one identity
code drives everything, and the decoder works in coordinates of an orthonormal shape basis while it is trained (see
:mod:`facekit.train.shape.data`); the basis is folded into its last layer when the weights are exported.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from facekit.conventions import IDENTITY_DIM, SHAPE_NOISE_DIM
from facekit.models.config import ShapeConfig
from facekit.models.shape import MLP, ShapeModel
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator
from facekit.train.shape.data import ShapeBasis, ShapeTeacher

_SEEN_VERTICES = 400  # the encoders look at this many vertices: enough to see every mode and shape


class ShapeEncoder(nn.Module):
    """A mesh to its identity and expression codes.

    Looks at a fixed, evenly spread choice of vertices (their displacement from the template, in cm).
    """

    def __init__(self, config: ShapeConfig, basis: ShapeBasis) -> None:
        super().__init__()
        verts = basis.vectors.shape[1] // 3
        seen = torch.linspace(0, verts - 1, _SEEN_VERTICES).long()
        self.register_buffer("look", basis.vectors.unflatten(1, (-1, 3))[:, seen].flatten(1) / 10, persistent=False)
        inputs = 3 * _SEEN_VERTICES
        self.identity = MLP((inputs, 512, 256, config.identity_latent))
        self.expression = MLP((inputs, 512, 256, config.expression_latent))

    def forward(self, coordinates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes (B, 100) and (B, 30) of shapes given as basis coordinates (B, K)."""
        seen = coordinates @ self.look
        return self.identity(seen), self.expression(seen)


class ShapeDiscriminator(nn.Module):
    """Tells generated shapes from sampled ones, given the codes they are said to have (hinge loss)."""

    def __init__(self, coordinates: int, condition: int) -> None:
        super().__init__()
        self.net = MLP((coordinates + condition, 512, 256, 1))

    def forward(self, shape: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([shape, condition], dim=1))


def train_autoencoder(
    model: ShapeModel, basis: ShapeBasis, folder: Path, steps: int = 8000, batch: int = 192, seed: int = 1
) -> ShapeEncoder:
    """Encoders and decoder on random people and expressions, with expressions swapped between people.

    ``model`` is in coordinates: its decoder's last layer puts out K numbers (see :func:`coordinate_model`).
    """
    teacher, encoder = ShapeTeacher(basis), ShapeEncoder(model.config, basis)
    optimiser = torch.optim.Adam([*encoder.parameters(), *model.decoder.parameters()], lr=1e-3)
    checkpoint = Checkpoint(
        folder / "autoencoder.pt", {"encoder": encoder, "decoder": model.decoder, "adam": optimiser}
    )
    for step in checkpoint.steps(steps, "shape autoencoder"):
        set_rate(optimiser, cosine(step, steps, 1e-3))
        s = teacher.sample(batch, step_generator(seed, step))
        person, pose = s["shape_identity"], s["shape_expression"]
        code_person, code_pose = encoder(person + pose)
        other_person, _ = encoder(person.roll(1, 0) + pose)  # another face that makes the same expression
        _, neutral_pose = encoder(person)
        rebuilt = decode(model, code_person, code_pose)
        swapped = decode(model, other_person, code_pose)
        neutral = decode(model, code_person, neutral_pose)
        loss = (
            _error(rebuilt, person + pose)
            + _error(swapped, person.roll(1, 0) + pose)
            + _error(neutral, person)
            + 1e-3 * (code_person.square().mean() + code_pose.square().mean())
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return encoder.eval().requires_grad_(False)


def train_generators(
    model: ShapeModel,
    encoder: ShapeEncoder,
    basis: ShapeBasis,
    folder: Path,
    steps: int = 12000,
    batch: int = 192,
    seed: int = 2,
) -> ShapeModel:
    """Both generators against the encoders' codes and a discriminator; the decoder joins for the second half.

    Identity decides the first 20 modes, noise the next 5, by reconstruction; the finer modes follow the
    discriminator. Returns the moving average of the model, still in coordinates.
    """
    teacher = ShapeTeacher(basis)
    scale = basis.identity.std(dim=0).clamp_min(1e-3)
    known = IDENTITY_DIM + SHAPE_NOISE_DIM
    to_modes = torch.linalg.pinv(basis.identity.double()).float()
    critic = ShapeDiscriminator(basis.identity.shape[1], known)
    average = Average(model, 0.998)
    g_optimiser = torch.optim.Adam(model.parameters(), lr=5e-4, betas=(0.5, 0.99))
    d_optimiser = torch.optim.Adam(critic.parameters(), lr=5e-4, betas=(0.5, 0.99))
    parts = {"model": model, "critic": critic, "average": average, "g": g_optimiser, "d": d_optimiser}
    checkpoint = Checkpoint(folder / "shape_gan.pt", parts)
    for step in checkpoint.steps(steps, "shape GAN"):
        joint = step >= steps // 2
        model.decoder.requires_grad_(joint)
        for optimiser in (g_optimiser, d_optimiser):
            set_rate(optimiser, cosine(step, steps, 5e-4))
        s = teacher.sample(batch, step_generator(seed, step))
        person, pose = s["shape_identity"], s["shape_expression"]
        condition = torch.cat([s["identity"], s["noise"]], dim=1)
        code_person = model.generator_identity(torch.cat([s["noise"], s["identity"]], dim=1))
        code_pose = model.generator_expression(torch.cat([s["noise"], s["style"], s["expression"]], dim=1))
        zero_pose = model.generator_expression(
            torch.cat([s["noise"], s["style"], torch.zeros_like(s["expression"])], dim=1)
        )
        neutral, posed = decode(model, code_person, zero_pose), decode(model, code_person, code_pose)

        real, fake = critic(person / scale, condition), critic(neutral.detach() / scale, condition)
        d_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        d_optimiser.zero_grad(set_to_none=True)
        d_loss.backward()
        d_optimiser.step()

        # The error that the codes can explain: fine modes beyond them are projected out of the reconstruction.
        free = ((neutral - person) @ to_modes)[:, known:] @ basis.identity[known:]
        loss = (
            _error(neutral - free.detach(), person)
            + 2 * _error(posed - neutral, pose)
            - 0.02 * critic(neutral / scale, condition).mean()
        )
        if not joint:  # while the decoder stands still, its encoders' codes show the way
            want_person, want_pose = encoder(person + pose)
            loss = loss + 0.1 * (F.mse_loss(code_person, want_person) + F.mse_loss(code_pose, want_pose))
        g_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        g_optimiser.step()
        average.update(model)
    return average.module


def coordinate_model(config: ShapeConfig, basis: ShapeBasis) -> ShapeModel:
    """The model with a decoder that puts out the K basis coordinates in place of 3V displacements."""
    model = ShapeModel(dataclasses.replace(config, vertices=1))
    model.decoder = MLP((config.identity_latent + config.expression_latent, *config.decoder_widths, len(basis.vectors)))
    return model


def fold_basis(model: ShapeModel, config: ShapeConfig, basis: ShapeBasis) -> ShapeModel:
    """The full model: the basis multiplied into the decoder's last layer, (3V, hidden)."""
    tensors = dict(model.state_dict())
    last = f"decoder.fc{len(config.decoder_widths)}.0"
    tensors[f"{last}.weight"] = basis.vectors.T @ tensors[f"{last}.weight"]
    tensors[f"{last}.bias"] = basis.vectors.T @ tensors[f"{last}.bias"]
    full = ShapeModel(config)
    full.load_state_dict(tensors)
    return full


def decode(model: ShapeModel, code_person: torch.Tensor, code_pose: torch.Tensor) -> torch.Tensor:
    """Coordinates (B, K) from the two codes, by a model of :func:`coordinate_model`."""
    return model.decoder(torch.cat([code_person, code_pose], dim=1))


def _error(shape: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Weighted mean squared error over the vertices, mm² (the basis is orthonormal in that metric).

    The square root of each face's error is added: it keeps the pull up where the error is small already.
    """
    squared = (shape - target).square().sum(dim=1)
    return squared.mean() + (squared + 1e-6).sqrt().mean()
