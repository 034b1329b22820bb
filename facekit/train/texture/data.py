"""Texture samples: random codes, and the teacher's tiles for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F

from facekit.conventions import IDENTITY_DIM, TEXTURE_NOISE_DIM
from facekit.train.distributed import ALONE
from facekit.train.loop import step_generator
from facekit.train.shape.data import random_expressions
from facekit.train.skin.layers import SkinLayers
from facekit.train.skin.teacher import TextureTeacher

_COARSE = 64  # smaller tiles are painted at this size, at a sixtieth of the cost of 512²


@dataclass(frozen=True)
class TextureCodes:
    """Codes of N samples: ``noise`` (N, 128), ``identity`` (N, 20), ``expression`` (N, 20)."""

    noise: torch.Tensor
    identity: torch.Tensor
    expression: torch.Tensor

    @classmethod
    def sample(cls, count: int, generator: torch.Generator) -> TextureCodes:
        """Sample standard normal noise and identity; expressions as in the shape samples."""
        return cls(
            noise=torch.randn(count, TEXTURE_NOISE_DIM, generator=generator),
            identity=torch.randn(count, IDENTITY_DIM, generator=generator),
            expression=random_expressions(count, generator),
        )

    def condition(self) -> torch.Tensor:
        """Identity and expression concatenated, (N, 40): the condition of a discriminator."""
        return torch.cat([self.identity, self.expression], dim=1)

    def to(self, device: torch.device) -> TextureCodes:
        """Move all codes."""
        return TextureCodes(*(part.to(device) for part in (self.noise, self.identity, self.expression)))


class TexturePairs(Protocol):
    """Interface of training data for texture networks."""

    def pairs(self, count: int, size: int, generator: torch.Generator) -> tuple[TextureCodes, torch.Tensor]:
        """Return codes and tiles (2 count, 3, size, size) of people with one expression each, then the same with
        another.
        """
        ...


class TextureSamples:
    """Endless supply of codes and teacher tiles, painted on demand.

    The teacher costs a tenth of a training step, so that no sample is used twice and none is stored.

    Parameters
    ----------
    layers:
        Layers that the teacher mixes.
    size:
        Side of the largest tiles.
    device:
        Device of codes and tiles. Codes are drawn on the CPU, so that they are the same on every device.
    """

    def __init__(self, layers: SkinLayers, size: int, device: torch.device = ALONE.device) -> None:
        self.layers, self.size, self.device = layers, size, device
        self._teachers: dict[int, TextureTeacher] = {}

    @torch.no_grad()
    def paint(self, codes: TextureCodes, size: int) -> torch.Tensor:
        """Return tiles (N, 3, size, size) float32 sRGB in [0, 1]."""
        painted = max(size, min(_COARSE, self.size))
        if painted not in self._teachers:
            self._teachers[painted] = TextureTeacher(self.layers, painted).to(self.device)
        codes = codes.to(self.device)
        tiles = self._teachers[painted](codes.identity, codes.expression, codes.noise).clamp(0, 1)
        return F.avg_pool2d(tiles, painted // size) if painted > size else tiles

    def pairs(self, count: int, size: int, generator: torch.Generator) -> tuple[TextureCodes, torch.Tensor]:
        """Return codes and tiles of ``count`` random people with one expression each, then the same people with
        another.
        """
        one = TextureCodes.sample(count, generator)
        other = random_expressions(count, generator)
        expression = torch.cat([one.expression, other])
        codes = TextureCodes(one.noise.repeat(2, 1), one.identity.repeat(2, 1), expression).to(self.device)
        return codes, self.paint(codes, size)


def held_out(count: int, seed: int = 99) -> TextureCodes:
    """Return codes that are not used in training, for measurements."""
    return TextureCodes.sample(count, step_generator(seed, 0))
