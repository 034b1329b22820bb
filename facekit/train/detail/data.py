"""Samples that the detail module learns from: identity, strain, and the displacement that belongs to both."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from facekit.conventions import PARTS
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

#: Parts of the head that take detail.
DETAIL_PARTS = tuple(PARTS.index(name) for name in ("skin", "lips", "lids", "neck"))
_BATCH = 8


@dataclass(frozen=True)
class DetailSamples:
    """Samples of N faces.

    Parameters
    ----------
    identity:
        (N, 20) float32.
    strain:
        (N, 128, 128) float16, the strain over its reference on the tile, as :class:`DetailLayer` measures it.
    target:
        (N, S, S) float16, displacement on the tile, mm.
    weight:
        (S, S) float32, weight of each texel: its area on the face, mean 1; 0 where no detail lies.
    """

    identity: torch.Tensor
    strain: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor

    def __len__(self) -> int:
        return len(self.identity)

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Identity (B, 20), strain and displacement (B, 1, S, S) of some samples, float32."""
        target = self.target[index].float()[:, None]
        return self.identity[index], enlarged(self.strain[index], target.shape[-1]), target


def home_layer(pipe: FacePipeline, model: DetailModel) -> DetailLayer:
    """Build a layer of the module on the topology that it is trained on."""
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
    """Draw random people with random expressions, a third of them at rest, as the teacher displaces them.

    ``strains`` names ways to measure strain; the samples come once for each, with the same people.
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
    """(S, S) float32 of :class:`DetailSamples`, from the tile's metric (S, S, 3)."""
    e, f, g = metric.unbind(-1)
    area = (e * g - f * f).clamp_min(0).sqrt() * torch.from_numpy(skin_mask(pack, len(metric))).float()
    return area / area.mean()
