"""The controls stage: a texture network without identity condition, for ``facekit evaluate generation``.

Sizes, schedule and samples are those of the shipped network; only the identity code is missing, in training and
inference.
"""

from __future__ import annotations

import dataclasses

import torch

from facekit.train import export
from facekit.train.context import Context
from facekit.train.texture.data import TextureCodes, TexturePairs, TextureSamples
from facekit.train.texture.networks import start_texture
from facekit.train.texture.stage import SCHEDULE, train_texture

#: Name of the file in ``controls`` in the work folder.
FILE = "texture_blind.safetensors"


class BlindPairs:
    """Samples whose codes have no identity."""

    def __init__(self, samples: TexturePairs) -> None:
        self.samples = samples

    def pairs(self, count: int, size: int, generator: torch.Generator) -> tuple[TextureCodes, torch.Tensor]:
        """See :class:`facekit.train.texture.data.TexturePairs`."""
        codes, tiles = self.samples.pairs(count, size, generator)
        return dataclasses.replace(codes, identity=torch.zeros_like(codes.identity)), tiles


def run(context: Context) -> None:
    """Train the network; it takes as long as the texture stage."""
    torch.manual_seed(0)
    config, folder = context.texture_config, context.work / "controls"
    folder.mkdir(parents=True, exist_ok=True)
    schedule = tuple(dataclasses.replace(phase, steps=context.scaled(phase.steps)) for phase in SCHEDULE)
    pairs = BlindPairs(TextureSamples(context.skin_layers, config.sizes[-1]))
    model = train_texture(start_texture(config), pairs, folder, schedule)
    export.write_weights(model, folder / FILE)
