"""The shape stage: train the autoencoder, then both conditional generators, then all together.

Two differences from 3DFaceCAM's training: one identity code drives everything, and during training the decoder outputs
coordinates in an orthonormal shape basis (see :mod:`facekit.train.shape.data`), which is folded into its last layer on
export.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from facekit.conventions import IDENTITY_DIM, SHAPE_NOISE_DIM
from facekit.errors import FacekitError
from facekit.models.shape import ShapeModel
from facekit.train import export
from facekit.train.context import Context
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator
from facekit.train.shape.data import ShapeBasis, ShapeTeacher
from facekit.train.shape.networks import ShapeDiscriminator, ShapeEncoder, coordinate_model, decode, fold_basis

AUTOENCODER_STEPS, GENERATOR_STEPS = 8000, 12000
#: Checkpoint of the autoencoder, which the model card measures.
AUTOENCODER_FILE = "autoencoder.pt"


def run(context: Context) -> None:
    """Train the shape networks and write ``shape.safetensors``."""
    torch.manual_seed(0)
    config = context.shape_config
    basis = ShapeBasis.load(context.shape_basis, context.template.parts)
    model = coordinate_model(config, basis)
    encoder = train_autoencoder(model, basis, context.work, context.scaled(AUTOENCODER_STEPS))
    model = train_generators(model, encoder, basis, context.work, context.scaled(GENERATOR_STEPS))
    export.silence_neutral(
        model.get_parameter("generator_expression.fc0.0.weight"), config.noise + config.identity, axis=1
    )
    export.write_weights(fold_basis(model, config, basis), context.out / "shape.safetensors")


def load_autoencoder(context: Context, basis: ShapeBasis) -> tuple[ShapeModel, ShapeEncoder]:
    """Load the trained decoder, in coordinates, and its encoders, from their checkpoint."""
    path = context.work / AUTOENCODER_FILE
    if not path.is_file():
        raise FacekitError(f"the autoencoder's checkpoint {path}", "none", "run the stage shape")
    model, encoder = coordinate_model(context.shape_config, basis), ShapeEncoder(context.shape_config, basis)
    state = torch.load(path, weights_only=True)
    encoder.load_state_dict(state["encoder"])
    model.decoder.load_state_dict(state["decoder"])
    return model, encoder


def train_autoencoder(
    model: ShapeModel, basis: ShapeBasis, folder: Path, steps: int = AUTOENCODER_STEPS, batch: int = 192, seed: int = 1
) -> ShapeEncoder:
    """Train encoders and decoder on random people and expressions, with expressions swapped between people.

    ``model`` is in coordinates: its decoder's last layer has K outputs (see :func:`coordinate_model`).
    """
    teacher, encoder = ShapeTeacher(basis), ShapeEncoder(model.config, basis)
    optimiser = torch.optim.Adam([*encoder.parameters(), *model.decoder.parameters()], lr=1e-3)
    checkpoint = Checkpoint(
        folder / AUTOENCODER_FILE, {"encoder": encoder, "decoder": model.decoder, "adam": optimiser}
    )
    for step in checkpoint.steps(steps, "shape autoencoder"):
        set_rate(optimiser, cosine(step, steps, 1e-3))
        s = teacher.sample(batch, step_generator(seed, step))
        person, pose = s["shape_identity"], s["shape_expression"]
        code_person, code_pose = encoder(person + pose)
        other_person, _ = encoder(person.roll(1, 0) + pose)  # another face with the same expression
        _, neutral_pose = encoder(person)
        rebuilt = decode(model, code_person, code_pose)
        swapped = decode(model, other_person, code_pose)
        neutral = decode(model, code_person, neutral_pose)
        loss = (
            weighted_error(rebuilt, person + pose)
            + weighted_error(swapped, person.roll(1, 0) + pose)
            + weighted_error(neutral, person)
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
    steps: int = GENERATOR_STEPS,
    batch: int = 192,
    seed: int = 2,
) -> ShapeModel:
    """Train both generators against the encoders' codes and a discriminator; the decoder joins in the second half.

    Identity determines the first 20 modes, noise the next 5, by reconstruction; finer modes are learned from the
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

        # Error that the codes can explain: finer modes are projected out of the reconstruction.
        free = ((neutral - person) @ to_modes)[:, known:] @ basis.identity[known:]
        loss = (
            weighted_error(neutral - free.detach(), person)
            + 2 * weighted_error(posed - neutral, pose)
            - 0.02 * critic(neutral / scale, condition).mean()
        )
        if not joint:  # while the decoder is frozen, its encoders' codes are the targets
            want_person, want_pose = encoder(person + pose)
            loss = loss + 0.1 * (F.mse_loss(code_person, want_person) + F.mse_loss(code_pose, want_pose))
        g_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        g_optimiser.step()
        average.update(model)
    return average.module


def weighted_error(shape: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean squared error over the vertices, mm² (the basis is orthonormal in that metric).

    The square root of each face's error is added, which keeps the gradient large for small errors.
    """
    squared = (shape - target).square().sum(dim=1)
    return squared.mean() + (squared + 1e-6).sqrt().mean()
