"""Beards painted on skin, from a day's growth to cropped dense ones, for training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from facekit.color import linear_to_srgb
from facekit.geometry.charts import step
from facekit.hair import cover_maps
from facekit.latents import FaceLatents
from facekit.pipeline import FacePipeline

#: Height and width in texels of the noise that strands are made of, and of the patches by which borders differ.
_STRAND, _PATCHES = (5, 1), 24
#: Albedo of hair, linear RGB.
_TONES = (
    (0.012, 0.009, 0.008),
    (0.030, 0.020, 0.014),
    (0.075, 0.045, 0.028),
    (0.21, 0.14, 0.09),
    (0.13, 0.055, 0.030),
    (0.28, 0.27, 0.26),
)


def zones(pipe: FacePipeline, size: int) -> dict[str, torch.Tensor]:
    """Return where each style of beard grows, (1, S, S) in [0, 1] over an atlas of ``size`` texels per side."""
    assert pipe.wardrobe is not None
    rest = torch.zeros(1, 3, size, size)
    mesh, found = pipe.template.mesh(pipe.template.verts[None], rest), {}
    mean = pipe.to_model_codes(FaceLatents.sample(0))
    for style in pipe.beard_styles[1:]:
        worn = pipe.dress(mean, mesh.verts, f"bald+{style}")[0]
        assert worn is not None
        found[style] = cover_maps(worn.cards.bearded[:, None], mesh)[0]
    return found


def beard(grown: dict[str, torch.Tensor], rng: np.random.Generator) -> torch.Tensor:
    """Draw a beard to paint on an atlas: (4, S, S) float32, sRGB and opacity.

    ``grown`` is the result of :func:`zones`.
    """
    zone = grown[str(rng.choice(list(grown), p=[0.7, *[0.3 / (len(grown) - 1)] * (len(grown) - 1)]))]
    size = zone.shape[-1]
    density, ragged = float(rng.uniform(0.12, 1.0)), float(rng.uniform(0.05, 0.5))
    patches = _noise(rng, (_PATCHES, _PATCHES), size)
    soft = F.avg_pool2d(zone[None], 9, 1, 4)[0] / zone.amax().clamp_min(1e-6)
    edge = step(soft + ragged * patches * soft.clamp(0, 1), 0.25, 0.6)
    tall, wide = _STRAND
    fine = _noise(rng, (size // tall, size // wide), size)
    fine = (fine + _noise(rng, (size // 2, size // 2), size)) / 2**0.5
    # Sparse hair is single strands with skin between them; dense hair hides it.
    cover = step(density + 0.30 * fine, 0.30 * (1 - density) + 0.05, 1.05 - 0.55 * density)
    colour = torch.tensor(_TONES[rng.integers(len(_TONES))])[:, None, None] * torch.exp(0.35 * fine)
    return torch.cat((linear_to_srgb(colour.clamp(0, 1)), (edge * cover).clamp(0, 1)))


def _noise(rng: np.random.Generator, cells: tuple[int, int], size: int) -> torch.Tensor:
    """Return smooth noise (1, S, S) of unit variance in its cells."""
    field = torch.from_numpy(rng.standard_normal((1, 1, *cells), dtype=np.float32))
    return F.interpolate(field, size=(size, size), mode="bilinear", align_corners=False)[0]
