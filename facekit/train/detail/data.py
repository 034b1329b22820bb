"""Samples that the detail module learns from: who, how strained, and the displacement that belongs to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from facekit.conventions import IDENTITY_DIM
from facekit.geometry.uv import bake, rasterize_uv
from facekit.latents import FaceLatents
from facekit.models.detail_layer import DetailLayer
from facekit.pipeline import FacePipeline
from facekit.train.detail.teacher import DetailTeacher
from facekit.train.loop import step_generator
from facekit.train.shape.data import random_expressions

_STRAINS = 128  # side of the strain maps: strain is smooth
_BATCH = 8


@dataclass(frozen=True)
class DetailSamples:
    """N faces.

    Parameters
    ----------
    identity:
        (N, 20) float32.
    strain:
        (N, 128, 128) float16, the strain over its reference on the tile, as :class:`DetailLayer` measures it.
    target:
        (N, S, S) float16, displacement on the tile, mm.
    weight:
        (S, S) float32, how much each texel counts: its area on the face, mean 1; 0 where no detail lies.
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
        strain = self.strain[index].float()[:, None]
        strain = F.interpolate(strain, size=target.shape[-2:], mode="bilinear", align_corners=False)
        return self.identity[index], strain, target


class TileStrain:
    """Strain over its reference on the tile, of faces that a layer's topology has."""

    def __init__(self, layer: DetailLayer, places: torch.Tensor, faces: torch.Tensor, faces_uvs: torch.Tensor) -> None:
        self.layer, self.faces = layer, faces
        self.ids, self.weights = rasterize_uv(places, faces_uvs, _STRAINS)

    def __call__(self, rest: torch.Tensor, posed: torch.Tensor) -> torch.Tensor:
        """(B, 128, 128) float16."""
        strain = self.layer.strain(rest, posed) / self.layer.reference
        return bake(strain[..., None], self.faces, self.ids, self.weights)[:, 0].half()


@torch.inference_mode()
def taught_samples(
    pipe: FacePipeline,
    teacher: DetailTeacher,
    strains: dict[str, TileStrain],
    count: int,
    seed: int,
    weight: torch.Tensor,
) -> dict[str, DetailSamples]:
    """Random people with random expressions, a third of them at rest, as the teacher displaces them.

    ``strains`` names ways to measure strain; the samples come once for each, with the same people.
    """
    from facekit.progress import progress

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
    assert identity.shape == (count, IDENTITY_DIM)
    return {name: DetailSamples(identity, torch.cat(s).clone(), target, weight) for name, s in measured.items()}


def texel_weight(pack: Path, metric: torch.Tensor) -> torch.Tensor:
    """(S, S) float32 of :class:`DetailSamples`, from the tile's metric (S, S, 3)."""
    from facekit.train.detail.teacher import skin_mask

    e, f, g = metric.unbind(-1)
    area = (e * g - f * f).clamp_min(0).sqrt() * torch.from_numpy(skin_mask(pack, len(metric))).float()
    return area / area.mean()
