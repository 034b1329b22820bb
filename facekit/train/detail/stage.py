"""The detail stage: samples, both ways of composition, and the shipped file.

Means and bases start by least squares; everything together is then trained by gradient descent.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import torch

from facekit.evaluate.detail import DisplacementFigures, DisplacementTally
from facekit.files.atomic import atomic_write
from facekit.models.config import COMPOSITIONS, DetailConfig
from facekit.models.detail import DetailHome, DetailModel, pack_detail
from facekit.train.context import Context
from facekit.train.detail.data import DetailSamples, TileStrain, draw_samples, home_layer, texel_weight
from facekit.train.detail.furrows import furrow_field, tile_metric
from facekit.train.detail.networks import compose, detail_loss, start_maps
from facekit.train.detail.teacher import DetailTeacher
from facekit.train.loop import Average, Checkpoint, cosine, step_generator
from facekit.train.trained import load_generators

STEPS = 2400
_BATCH, _RATE = 12, 2e-3
_SAMPLES, _LEAST_SAMPLES = 1600, 16
_SEED = 31


def run(context: Context) -> None:
    """Train on the teacher's displacement, and write ``detail.npz``.

    Both compositions are trained alike, for comparison, and kept in ``work``; the configuration says which is shipped.
    """
    config, pipe = context.detail_config, load_generators(context)
    template = pipe.template
    teacher = DetailTeacher(context.skin_layers, template, config.size)
    weight = texel_weight(context.pack, torch.from_numpy(tile_metric(template, config.size)))
    field = torch.from_numpy(furrow_field(teacher.families, config.field))
    ways = {name: dataclasses.replace(config, composition=name) for name in COMPOSITIONS}
    strains = {}
    for name, way in ways.items():
        model = DetailModel(way)
        model.furrows.copy_(field)
        strains[name] = TileStrain.at_home(home_layer(pipe, model), template)
    count = context.scaled(_SAMPLES, _LEAST_SAMPLES)
    samples = draw_samples(pipe, teacher, strains, count, _SEED, weight)
    home = DetailHome(len(template.verts), template.tile_rect)
    for name, path in packed_files(context.work).items():
        torch.manual_seed(0)
        model = train_detail(ways[name], samples[name], field, path.with_suffix(".pt"), context.scaled(STEPS))
        write_detail(pack_detail(model, home), path)
    with atomic_write(context.out / "detail.npz") as temporary:
        shutil.copyfile(packed_files(context.work)[config.composition], temporary)


def train_detail(
    config: DetailConfig, samples: DetailSamples, furrows: torch.Tensor, path: Path, steps: int = STEPS
) -> DetailModel:
    """Train a module; goes on from the checkpoint at ``path`` where there is one.

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
        index = torch.randint(0, len(samples), (_BATCH,), generator=step_generator(_SEED, step))
        identity, strain, target = samples.batch(index)
        loss = detail_loss(compose(model, identity, strain), target, samples.weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.update(model)
    average.module.load_state_dict({**average.module.state_dict(), "furrows": furrows})
    return average.module


@torch.no_grad()
def explained(model: DetailModel, samples: DetailSamples) -> DisplacementFigures:
    """Measure how well a module meets the displacement of ``samples``."""
    tally = DisplacementTally(samples.weight)
    for some in torch.arange(len(samples)).split(20):
        identity, strain, target = samples.batch(some)
        tally.add(compose(model, identity, strain), target)
    return tally.figures()


def packed_files(work: Path) -> dict[str, Path]:
    """Files in which :func:`run` keeps the modules of both ways of composition."""
    return {name: work / f"detail_{name}.npz" for name in COMPOSITIONS}


def write_detail(arrays: dict[str, torch.Tensor], path: Path) -> None:
    """Write the arrays of :func:`pack_detail`, compressed."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        named = {name: value.numpy() for name, value in arrays.items()}
        np.savez_compressed(file, **named)  # pyright: ignore[reportArgumentType]
