"""The controls stage: texture networks with and without identity condition, for ``facekit evaluate generation``.

Both are trained alike, with the sizes, schedule and samples of the shipped network; one lacks the identity code, in
training and inference. A fraction of the schedule compares them with each other, not with the shipped network.
"""

from __future__ import annotations

import dataclasses

import torch

from facekit.assembly import pick_device
from facekit.evaluate.skins import BLIND, SIGHTED, TILE, SkinControls
from facekit.train import export
from facekit.train.context import Context
from facekit.train.distributed import World
from facekit.train.texture.data import TextureCodes, TexturePairs, TextureSamples, held_out
from facekit.train.texture.networks import start_texture
from facekit.train.texture.stage import SCHEDULE, train_texture

#: Number of the teacher's skins that are kept: a reference, and as many again to measure its own spread.
_PAINTED, _AT_ONCE = 120, 20


class BlindPairs:
    """Samples whose codes have no identity."""

    def __init__(self, samples: TexturePairs) -> None:
        self.samples = samples

    def pairs(self, count: int, size: int, generator: torch.Generator) -> tuple[TextureCodes, torch.Tensor]:
        """See :class:`facekit.train.texture.data.TexturePairs`."""
        codes, tiles = self.samples.pairs(count, size, generator)
        return dataclasses.replace(codes, identity=torch.zeros_like(codes.identity)), tiles


def run(context: Context) -> None:
    """Train both networks, each as long as the texture stage, and keep skins of the teacher."""
    folder = context.work / "controls"
    folder.mkdir(parents=True, exist_ok=True)
    schedule = tuple(dataclasses.replace(phase, steps=context.scaled(phase.steps)) for phase in SCHEDULE)
    world = World(device=pick_device(None))
    samples = TextureSamples(context.skin_layers, context.texture_config.sizes[-1], world.device)
    painted = torch.cat([samples.paint(some, TILE) for some in _neutral(_PAINTED)]).cpu()
    SkinControls(folder, painted, sum(phase.steps for phase in schedule), context.steps_scale).save()
    for name, pairs in ((BLIND, BlindPairs(samples)), (SIGHTED, samples)):
        torch.manual_seed(0)
        own = folder / name.removesuffix(".safetensors")
        own.mkdir(exist_ok=True)
        model = train_texture(start_texture(context.texture_config).to(world.device), pairs, own, schedule, world=world)
        export.write_weights(model.cpu(), folder / name)


def _neutral(count: int) -> list[TextureCodes]:
    """Return held-out codes without expression, in parts."""
    codes = held_out(count)
    parts = (codes.noise, codes.identity, torch.zeros_like(codes.expression))
    return [TextureCodes(*some) for some in zip(*(part.split(_AT_ONCE) for part in parts), strict=True)]
