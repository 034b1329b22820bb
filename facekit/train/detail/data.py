"""Training samples of the detail module: identity, strain, and the corresponding displacement."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from facekit.latents import FaceLatents
from facekit.models.composers import DefaultComposer
from facekit.models.detail import DetailModel
from facekit.models.detail_layer import DetailLayer, tile_uvs_of
from facekit.models.detail_tile import TileStrain, enlarged
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.train.detail.teacher import DetailTeacher, skin_mask
from facekit.train.loop import step_generator
from facekit.train.shape.data import random_expressions

#: Parts of the head with detail.
DETAIL_PARTS = ("skin", "lips", "lids", "neck")
_BATCH = 8


@dataclass(frozen=True)
class DetailSamples:
    """Samples of N faces.

    Parameters
    ----------
    identity:
        (N, 20) float32.
    strain:
        (N, 128, 128) float16: normalised strain on the tile, as measured by :class:`DetailLayer`.
    target:
        (N, S, S) float16: displacement on the tile, mm.
    weight:
        (S, S) float32: weight of each texel, its area on the face, with mean 1; 0 where there is no detail.
    """

    identity: torch.Tensor
    strain: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor

    def __len__(self) -> int:
        return len(self.identity)

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return identity (B, 20), strain and displacement (B, 1, S, S) of some samples, float32."""
        target = self.target[index].float()[:, None]
        return self.identity[index], enlarged(self.strain[index], target.shape[-1]), target


def home_layer(pipe: FacePipeline, model: DetailModel) -> DetailLayer:
    """Create a layer of the module for the topology that it is trained on."""
    tile_uvs, trust = tile_uvs_of(pipe.template, pipe.template.tile_rect, DETAIL_PARTS)
    composer = cast(DefaultComposer, pipe.composer)
    return DetailLayer(model, composer.micro, pipe.template, tile_uvs, trust, composer.size)


@torch.inference_mode()
def draw_samples(
    pipe: FacePipeline,
    teacher: DetailTeacher,
    strains: dict[str, TileStrain],
    count: int,
    seed: int,
    weight: torch.Tensor,
) -> dict[str, DetailSamples]:
    """Sample random people with random expressions, a third of them neutral, with the teacher's displacement.

    ``strains`` are named measures of strain; samples of the same people are returned for each.
    """
    identities, targets = [], []
    measured: dict[str, list[torch.Tensor]] = {name: [] for name in strains}
    for start in progress(range(0, count, _BATCH), desc="detail samples"):
        generator = step_generator(seed, start)
        size = min(_BATCH, count - start)
        people = FaceLatents.cat([FaceLatents.sample(1_000_000 * seed + start + k) for k in range(size)])
        code = random_expressions(size, generator)
        code[torch.rand(size, generator=generator) < 0.25] = 0
        rest = pipe.decode_shape(people.with_expression("neutral", 0.0))
        posed = pipe.decode_shape(dataclasses.replace(people, expression=code))
        identities.append(people.identity)
        targets.append(teacher(people.identity, rest, posed)[:, 0].half())
        for name, measure in strains.items():
            measured[name].append(measure(rest, posed))
    identity, target = torch.cat(identities).clone(), torch.cat(targets).clone()
    return {name: DetailSamples(identity, torch.cat(s).clone(), target, weight) for name, s in measured.items()}


def texel_weight(pack: Path, metric: torch.Tensor) -> torch.Tensor:
    """Return the weight (S, S) float32 of :class:`DetailSamples` from the tile's metric (S, S, 3)."""
    e, f, g = metric.unbind(-1)
    area = (e * g - f * f).clamp_min(0).sqrt() * torch.from_numpy(skin_mask(pack, len(metric))).float()
    return area / area.mean()
