"""The detail stage of training: samples, both ways of composition, and the shipped file."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import torch

from facekit.files.atomic import atomic_write
from facekit.models.config import COMPOSITIONS, DetailConfig
from facekit.models.detail import DetailHome, DetailModel, pack_detail
from facekit.models.detail_layer import DetailLayer, tile_uvs_of
from facekit.pipeline import FacePipeline
from facekit.train.detail.data import TileStrain, taught_samples, texel_weight
from facekit.train.detail.figures import SKIN
from facekit.train.detail.fit import train_detail
from facekit.train.detail.furrows import furrow_field, tile_metric
from facekit.train.detail.teacher import DetailTeacher

_SAMPLES = 1600


def train_stage(pack: Path, work: Path, out: Path, config: DetailConfig) -> None:
    """Train on what the teacher displaces, and write ``detail.npz``.

    Both compositions are trained alike, for comparison, and kept in ``work``; ``config`` says which is shipped.
    """
    pipe = FacePipeline.from_pretrained("default", device="cpu")
    template = pipe.template
    teacher = DetailTeacher(pack, template, config.size)
    weight = texel_weight(pack, torch.from_numpy(tile_metric(template, config.size)))
    field = torch.from_numpy(furrow_field(teacher.families, config.field))
    home = DetailHome(len(template.verts), template.tile_rect)
    places, trust = tile_uvs_of(template, home.tile_rect, SKIN)
    ways = {name: dataclasses.replace(config, composition=name) for name in COMPOSITIONS}
    strains = {}
    for name, way in ways.items():
        model = DetailModel(way)
        model.furrows.copy_(field)
        layer = DetailLayer(model, pipe.composer.micro, template, places, trust)
        strains[name] = TileStrain(layer, places, template.faces, template.faces_uvs)
    samples = taught_samples(pipe, teacher, strains, _SAMPLES, 31, weight)
    for name, path in packed_files(work).items():
        torch.manual_seed(0)
        model = train_detail(ways[name], samples[name], field, path.with_suffix(".pt"))
        write_detail(pack_detail(model, home), path)
    with atomic_write(out / "detail.npz") as temporary:  # last: the manifest is written right after
        shutil.copyfile(packed_files(work)[config.composition], temporary)


def packed_files(work: Path) -> dict[str, Path]:
    """Where :func:`train_stage` keeps the modules of both ways of composition."""
    return {name: work / f"detail_{name}.npz" for name in COMPOSITIONS}


def write_detail(arrays: dict[str, torch.Tensor], path: Path) -> None:
    """Write the arrays of :func:`pack_detail`, compressed."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: value.numpy() for name, value in arrays.items()})
