"""The adapt stage: adapt the installed default to changed recipes, and keep its people.

Training from scratch would give other people, as details that the codes do not determine are up to the discriminator.
Here the installed networks teach the neutral faces, and the recipes their motion.
"""

from __future__ import annotations

import torch

from facekit.latents import FaceLatents
from facekit.models.shape import ShapeModel
from facekit.pipeline import FacePipeline
from facekit.train import export
from facekit.train.context import Context
from facekit.train.loop import Average, Checkpoint, cosine, descend, set_rate, step_generator
from facekit.train.shape.data import ShapeBasis, ShapeTeacher
from facekit.train.shape.networks import coordinate_model, decode, fold_basis
from facekit.train.shape.stage import weighted_error

STEPS, _RATE, _BATCH, _SEED = 12000, 4e-4, 192, 3
#: Number of people to determine whether the installed default has resting lids already.
_TOLD_ON = 256


def run(context: Context) -> None:
    """Train from the installed default's ``shape.safetensors`` and write this run's."""
    torch.manual_seed(0)
    installed = FacePipeline.from_pretrained("default", device="cpu")
    basis = ShapeBasis.load(context.shape_basis, context.template.parts)
    before = in_coordinates(installed.shape, basis).requires_grad_(False)
    model = adapted(before, basis, context)
    export.silence_neutral(
        model.get_parameter("generator_expression.fc0.0.weight"), model.config.noise + model.config.identity, axis=1
    )
    export.write_weights(fold_basis(model, installed.shape.config, basis), context.out / "shape.safetensors")


def in_coordinates(model: ShapeModel, basis: ShapeBasis) -> ShapeModel:
    """Return the model with a decoder that outputs coordinates (B, K), undoing :func:`fold_basis`."""
    tensors = {name: value.float() for name, value in model.state_dict().items()}
    # The basis is orthonormal in the metric of vertex weights: its transpose with these weights is its pseudo-inverse.
    inverse = basis.vectors * (basis.vertex_weights / len(basis.vertex_weights)).repeat_interleave(3)
    last = f"decoder.fc{model.decoder.depth - 1}.0"
    for name in ("weight", "bias"):
        tensors[f"{last}.{name}"] = inverse @ tensors[f"{last}.{name}"]
    short = coordinate_model(model.config, basis)
    short.load_state_dict(tensors)
    return short


def adapted(before: ShapeModel, basis: ShapeBasis, context: Context) -> ShapeModel:
    """Train a copy of a model in coordinates; return its moving average."""
    teacher = ShapeTeacher(basis)
    missing = 1 - round(resting_share(before, teacher))
    average = Average(before, 0.999)
    model = in_training(before)
    optimiser = torch.optim.Adam(model.parameters(), lr=_RATE, betas=(0.5, 0.99))
    checkpoint = Checkpoint(context.work / "adapt.pt", {"model": model, "average": average, "adam": optimiser})
    steps = context.scaled(STEPS)
    for step in checkpoint.steps(steps, "shape adapt"):
        set_rate(optimiser, cosine(step, steps, _RATE))
        s = teacher.sample(_BATCH, step_generator(_SEED, step))
        person = torch.cat([s["noise"], s["identity"]], dim=1)
        still = torch.cat([s["noise"], s["style"], torch.zeros_like(s["expression"])], dim=1)
        moving = torch.cat([s["noise"], s["style"], s["expression"]], dim=1)
        # Lids close by their own opening, which the codes determine except for the finest modes.
        modes = teacher.modes(s["identity"], s["noise"])
        with torch.no_grad():
            rest = decode(before, before.generator_identity(person), before.generator_expression(still))
            wanted = rest + missing * teacher.resting_lids(modes)
        code = model.generator_identity(person)
        neutral = decode(model, code, model.generator_expression(still))
        posed = decode(model, code, model.generator_expression(moving))
        pose = teacher.pose(modes, s["expression"], s["style"])
        loss = 2 * weighted_error(neutral, wanted) + 2 * weighted_error(posed - neutral, pose)
        descend(loss, model, optimiser, average)
    return average.module


def in_training(model: ShapeModel) -> ShapeModel:
    """Return a trainable copy."""
    return Average(model, 0.0).module.requires_grad_(True).train()


@torch.no_grad()
def resting_share(model: ShapeModel, teacher: ShapeTeacher) -> float:
    """Return the fraction of the resting lids in a model in coordinates: 0, or 1 if it was trained with them."""
    people = FaceLatents.sample(0, _TOLD_ON).at_rest()
    modes = teacher.modes(people.identity, people.shape_noise)
    code = model.generator_identity(torch.cat([people.shape_noise, people.identity], dim=1))
    still = model.generator_expression(torch.cat([people.shape_noise, people.style, people.expression], dim=1))
    made = decode(model, code, still)
    rest = teacher.resting_lids(modes)
    return float(((made - modes @ teacher.basis.identity) * rest).sum() / rest.square().sum())
