"""Train networks of the published sizes on FaceScape's scans, for holders of its licence.

Run it as ``python -m facekit.train --data facescape FOLDER``, on several devices as ``torchrun --nproc-per-node 4 -m
facekit.train --data facescape FOLDER``. It writes ``shape.safetensors``, ``texture.safetensors`` and
``identities.npz``, which :func:`dressed` loads into the published model, with its topology, UV layout and composer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facekit.errors import InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.files.readers import load_arrays, load_into, load_tensors
from facekit.models.config import PUBLISHED_SHAPE, PUBLISHED_TEXTURE, ShapeConfig, TextureConfig
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.pipeline import FacePipeline
from facekit.train import export
from facekit.train.distributed import joined
from facekit.train.scans.data import Scans, ScanTextures, pack
from facekit.train.scans.shape import AUTOENCODER_STEPS, BATCH, GENERATOR_STEPS, train_autoencoder, train_generators
from facekit.train.texture.stage import Phase, train_texture

#: Networks that can be trained.
STAGES = ("shape", "texture")
#: Schedule of the texture network; a day on one current GPU.
SCHEDULE: tuple[Phase, ...] = (
    Phase(8, 8_000, 64, 3.0e-2, 0.0),
    Phase(16, 8_000, 64, 3.0e-2, 0.0),
    Phase(32, 10_000, 64, 2.0e-2, 0.0),
    Phase(64, 12_000, 32, 1.5e-2, 0.005),
    Phase(128, 16_000, 32, 1.0e-2, 0.005),
    Phase(256, 20_000, 16, 0.7e-2, 0.005),
    Phase(512, 30_000, 16, 0.5e-2, 0.005),
)
_LEAST_WIDTH = 4


def run(
    folder: Path,
    work: Path,
    out: Path,
    steps_scale: float = 1.0,
    width_scale: float = 1.0,
    stages: Sequence[str] = STAGES,
    precision: str | None = None,
    batch: int = BATCH,
    schedule: tuple[Phase, ...] = SCHEDULE,
) -> None:
    """Train, alone or with the other processes of torchrun; each loop resumes from its checkpoint.

    Parameters
    ----------
    folder:
        Folder with FaceScape's people; see :mod:`facekit.data.facescape`.
    work, out:
        Folders of packed scans and checkpoints, and of the trained networks.
    steps_scale, width_scale:
        Fractions of the full training and of the published sizes, for trials.
    precision:
        "mixed" or "full"; None for mixed on CUDA.
    batch, schedule:
        Batch size of shapes, and schedule of textures, over all processes together.
    """
    with joined(precision) as world:
        torch.manual_seed(0)
        texture_config = _narrow_texture(width_scale, schedule)
        scans = pack(expanded(folder), work, texture_config.sizes[-1], world)
        if world.first:
            out.mkdir(parents=True, exist_ok=True)
            _save_arrays(
                out / "identities.npz", identities=scans.identities().numpy(), subjects=np.array(scans.subjects)
            )
            _save_arrays(out / "mean.npz", verts=scans.mean, faces=scans.faces)
        if "shape" in stages:
            config = _narrow_shape(scans, width_scale)
            model = ShapeModel(config).to(world.device)
            steps = [max(1, round(steps_scale * full)) for full in (AUTOENCODER_STEPS, GENERATOR_STEPS)]
            encoder = train_autoencoder(model, scans, work, steps[0], batch, world)
            shape = train_generators(model, encoder, scans, work, steps[1], batch, world)
            if world.first:
                export.write_weights(shape.cpu(), out / "shape.safetensors")
        if "texture" in stages:
            phases = tuple(dataclasses.replace(p, steps=max(1, round(steps_scale * p.steps))) for p in schedule)
            model = TextureModel(texture_config).to(world.device)
            data, noises = ScanTextures(scans, world.device), texture_config.noise
            texture = train_texture(model, data, work, phases, seed=13, noises=noises, world=world)
            if world.first:
                export.write_weights(texture.cpu(), out / "texture.safetensors")
        world.wait()


def dressed(folder: str | Path, model: str = "3dfacecam") -> FacePipeline:
    """Load the published model with the networks and codes that :func:`run` wrote to ``folder``, on the CPU.

    Raises
    ------
    InputError
        If the networks have another topology.
    """
    folder, pipe = expanded(folder), FacePipeline.from_pretrained(model, device="cpu")
    shape, texture = (load_tensors(folder / f"{name}.safetensors") for name in STAGES)
    vertices = len(shape["decoder.fc2.0.bias"]) // 3
    if vertices != len(pipe.template.verts):
        raise InputError(f"{len(pipe.template.verts)} vertices, as {model} has", f"{vertices}", "train on its topology")
    pipe.template = dataclasses.replace(pipe.template, verts=load_arrays(folder / "mean.npz")["verts"])
    load_into(pipe.shape, shape, "shape.safetensors")
    load_into(pipe.texture, texture, "texture.safetensors")
    pipe.identities = load_arrays(folder / "identities.npz")["identities"]
    return pipe


def _narrow_shape(scans: Scans, share: float) -> ShapeConfig:
    full = PUBLISHED_SHAPE
    return dataclasses.replace(
        full,
        vertices=scans.verts.shape[1],
        decoder_widths=_widths(full.decoder_widths, share),
        generator_widths=_widths(full.generator_widths, share),
    )


def _narrow_texture(share: float, schedule: tuple[Phase, ...]) -> TextureConfig:
    """Return the published sizes scaled in width, and no larger than the schedule's resolution."""
    channels = _widths(PUBLISHED_TEXTURE.channels, share)
    kept = PUBLISHED_TEXTURE.sizes.index(schedule[-1].size) + 1
    return dataclasses.replace(PUBLISHED_TEXTURE, channels=channels[:kept])


def _widths(full: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(max(_LEAST_WIDTH, round(width * share)) for width in full)


def _save_arrays(path: Path, **arrays: np.ndarray) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
