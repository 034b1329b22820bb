"""The detail stage: samples, both composition modes, and the shipped file.

Means and bases are initialised by least squares; then everything is trained by gradient descent.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facekit.files.atomic import atomic_write
from facekit.metrics.displacement import DisplacementFigures, DisplacementTally
from facekit.models.config import COMPOSITIONS, DetailConfig
from facekit.models.detail import DetailHome, DetailModel, pack_detail
from facekit.models.detail_tile import TileStrain, compose
from facekit.pipeline import FacePipeline
from facekit.train.context import Context
from facekit.train.detail.data import DetailSamples, draw_samples, home_layer, texel_weight
from facekit.train.detail.furrows import furrow_field, tile_metric
from facekit.train.detail.networks import detail_loss, start_maps
from facekit.train.detail.teacher import DetailTeacher
from facekit.train.loop import Average, Checkpoint, cosine, step_generator
from facekit.train.trained import load_generators

STEPS = 2400
_BATCH, _RATE = 12, 2e-3
_SAMPLES, _LEAST_SAMPLES = 1600, 16
_SEED = 31


def run(context: Context) -> None:
    """Train on the teacher's displacement, and write ``detail.npz``.

    Both composition modes are trained alike, for comparison, and kept in ``work``; the configuration selects the
    shipped one.
    """
    config = context.detail_config
    train_compositions(context, load_generators(context), config, COMPOSITIONS)
    with atomic_write(context.out / "detail.npz") as temporary:
        shutil.copyfile(packed_files(context.work)[config.composition], temporary)


def train_compositions(context: Context, pipe: FacePipeline, config: DetailConfig, names: Sequence[str]) -> None:
    """Train one module per composition mode on the same samples; see :func:`packed_files`."""
    template = pipe.template
    teacher = DetailTeacher(context.skin_layers, template, config.size)
    weight = texel_weight(context.pack, torch.from_numpy(tile_metric(template, config.size)))
    field = torch.from_numpy(furrow_field(teacher.families, config.field))
    ways = {name: dataclasses.replace(config, composition=name) for name in names}
    strains = {}
    for name, way in ways.items():
        model = DetailModel(way)
        model.furrows.copy_(field)
        strains[name] = TileStrain.at_home(home_layer(pipe, model), template.faces, template.faces_uvs)
    count = context.scaled(_SAMPLES, _LEAST_SAMPLES)
    samples = draw_samples(pipe, teacher, strains, count, _SEED, weight)
    home = DetailHome(len(template.verts), template.tile_rect)
    for name, way in ways.items():
        path = packed_files(context.work)[name]
        torch.manual_seed(0)
        model = train_detail(way, samples[name], field, path.with_suffix(".pt"), context.scaled(STEPS))
        write_detail(pack_detail(model, home), path)


def train_detail(
    config: DetailConfig, samples: DetailSamples, furrows: torch.Tensor, path: Path, steps: int = STEPS
) -> DetailModel:
    """Train a module, resuming from the checkpoint at ``path`` if there is one.

    ``furrows`` (3, field, field) is the map of directions and reference strains that the samples were made with.
    """
    model = DetailModel(config)
    model.furrows.copy_(furrows)
    average = Average(model, 0.995)
    # Bases are far from unit scale and have their own learning rate, in mm.
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
    """Measure how well a module reproduces the displacement of ``samples``."""
    tally = DisplacementTally(samples.weight)
    for some in torch.arange(len(samples)).split(20):
        identity, strain, target = samples.batch(some)
        tally.add(compose(model, identity, strain), target)
    return tally.figures()


def packed_files(work: Path) -> dict[str, Path]:
    """Return the files in which :func:`run` stores the modules of both composition modes."""
    return {name: work / f"detail_{name}.npz" for name in COMPOSITIONS}


def write_detail(arrays: dict[str, torch.Tensor], path: Path) -> None:
    """Write the arrays of :func:`pack_detail`, compressed."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        named = {name: value.numpy() for name, value in arrays.items()}
        np.savez_compressed(file, **named)  # pyright: ignore[reportArgumentType]
