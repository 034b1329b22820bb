"""The detail stage of training: samples, both ways of composition, the shipped file, and figures for the model card."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from facekit.conventions import PARTS
from facekit.io.files import atomic_write
from facekit.models.config import DetailConfig
from facekit.models.detail import DetailHome, DetailModel, pack_detail, unpack_detail
from facekit.models.detail_layer import DetailLayer, own_places
from facekit.pipeline import FacePipeline
from facekit.train.detail import explained, train_detail
from facekit.train.detail_data import TileStrain, taught_samples, texel_weight
from facekit.train.detail_teacher import DetailTeacher
from facekit.train.furrows import furrow_field, tile_metric

_SAMPLES, _HELD_OUT = 1600, 160
_SKIN = ("skin", "lips", "lids", "neck")
FIGURES = "detail.json"


def train_stage(pack: Path, work: Path, out: Path, config: DetailConfig) -> None:
    """Train on what the teacher displaces, and write ``detail.npz``; ``detail.json`` in ``work`` holds the figures.

    Both compositions are trained alike and measured on people and codes that neither saw; ``config`` says which is
    shipped.
    """
    pipe = FacePipeline.from_pretrained("default", device="cpu")
    template = pipe.template
    teacher = DetailTeacher(pack, template, config.size)
    metric = torch.from_numpy(tile_metric(template, config.size))
    weight = texel_weight(pack, metric)
    field = torch.from_numpy(furrow_field(teacher.families, config.field))
    home = DetailHome(len(template.verts), template.tile_rect)
    places, trust = own_places(template, home.tile_rect, tuple(PARTS.index(name) for name in _SKIN))
    ways = {name: dataclasses.replace(config, composition=name) for name in ("directional", "scalar")}
    strains = {}
    for name, way in ways.items():
        model = DetailModel(way)
        model.furrows.copy_(field)
        layer = DetailLayer(model, pipe.composer.micro, template, places, trust)
        strains[name] = TileStrain(layer, places, template.faces, template.faces_uvs)
    train = taught_samples(pipe, teacher, strains, _SAMPLES, 31, weight)
    held_out = taught_samples(pipe, teacher, strains, _HELD_OUT, 97, weight)
    figures = {}
    for name, way in ways.items():
        torch.manual_seed(0)
        model = train_detail(way, train[name], field, work / f"detail_{name}.pt")
        arrays = pack_detail(model, home)
        shipped, _ = unpack_detail(arrays)
        figures[name] = explained(shipped, held_out[name])
        if name == config.composition:
            write_detail(arrays, out / "detail.npz")
    with atomic_write(work / FIGURES) as temporary:
        temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def write_detail(arrays: dict[str, torch.Tensor], path: Path) -> None:
    """Write the arrays of :func:`pack_detail`, compressed."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: value.numpy() for name, value in arrays.items()})
