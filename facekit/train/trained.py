"""Load models from a training run's folder, independent of the package's own model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from facekit.files.readers import load_arrays, load_into, load_tensors
from facekit.models.blendshape_data import unpack
from facekit.models.blendshapes import Blendshapes
from facekit.models.composers import DefaultComposer
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.models.detail import unpack_detail
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.pipeline import FacePipeline
from facekit.train.context import Context
from facekit.train.detail.data import home_layer
from facekit.train.export import ROLES

_Config = TypeVar("_Config", ShapeConfig, TextureConfig)
_Network = TypeVar("_Network", bound=nn.Module)


def load_shape(context: Context) -> ShapeModel:
    """Load this run's shape network on the CPU, for stages before the texture's."""
    return _network(ShapeModel, context.shape_config, context.out / ROLES["shape"])


def load_generators(context: Context) -> FacePipeline:
    """Create a pipeline from this run's networks and pictures on the CPU; rig and detail are not this run's."""
    out = context.out
    files = {role: out / ROLES[role] for role in ("base", "parts", "iris", "complexion", "micro")}
    shape = load_shape(context)
    texture = _network(TextureModel, context.texture_config, out / ROLES["texture"])
    # As in FacePipeline, so that figures are the same.
    texture = texture.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    composer = DefaultComposer.load(files, context.template)
    return FacePipeline(context.template, shape, texture, composer, "default")


def load_pipeline(context: Context) -> FacePipeline:
    """Create the whole pipeline from this run's files, including rig and detail module, on the CPU."""
    pipe = load_generators(context)
    pipe.blendshapes = Blendshapes(unpack(load_arrays(context.out / ROLES["blendshapes"])), context.template)
    pipe.detail_layer = home_layer(pipe, unpack_detail(load_arrays(context.out / ROLES["detail"]))[0])
    return pipe


def _network(network: Callable[[_Config], _Network], config: _Config, path: Path) -> _Network:
    with torch.device("meta"):  # on the meta device: it takes the file's tensors
        module = network(config)
    load_into(module, load_tensors(path), path.name)
    return module
