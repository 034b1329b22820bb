"""Micro layer: detail finer than the texture network's output, added at the atlas's resolution.

Pores and skin grain, fine freckles, stubble, close-cropped scalp hair, and crisp strands in the network's brows. It
depends on identity and texture noise, and on expression only through the position of the brows in the tile: nothing
flickers in a sweep.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.errors import WeightsError
from facekit.geometry.charts import step
from facekit.models.brows import darkness, forehead
from facekit.traits import TRAITS, age_share

HAIR_SRGB = (
    (28, 22, 20), (54, 37, 27), (92, 62, 42), (152, 114, 76), (124, 62, 32), (122, 115, 108), (196, 190, 182),
)  # fmt: skip
"""Black, dark brown, brown, blond, red, grey, white."""

TILE, ATLAS = 512, 768
# Entries of the texture noise that choose the growth pattern of brows, and the sharpness of the choice.
BROW_NOISE, _GROWTH = slice(124, 128), 5.0
PATTERN = 384
PORE_DEPTH = 2.0
"""Millimetres that the skin lies deeper where its grain takes all light: pores come out 0.04 to 0.1 mm deep."""
SCALP_COVER = 0.62
"""Share of the skin that the scalp's hair hides where it is densest."""
# Darkness relative to the forehead at which a texel of the brows counts as hair, and share of it that turns grey with
# the hair: brows keep dark hairs among grey ones.
_BROW_DARK, _BROW_GREY = 0.35, 0.4


def hair_weights(p: dict[str, Tensor]) -> Tensor:
    """Return mixing weights (B, 7) of ``HAIR_SRGB`` from traits `p`, see :meth:`MicroLayer.projections`; rows sum to 1.

    Dark skin comes with dark hair; with light skin the code chooses between black, brown, blond and red. Half of all
    people are half grey or white at 58; a quarter are white at 75.
    """
    fair = 1 - torch.sigmoid(9 * (torch.special.ndtr(p["melanin"]) - 0.32))
    age, shade = age_share(p["age"]), p["hair_colour"] * (0.35 + 0.65 * fair)
    logits = [2.5 - 3.2 * fair - 1.5 * shade, 1.2 - 1.5 * fair - 0.3 * shade, 0.4 + 0 * fair,
              -3.0 + 3.6 * fair + 1.6 * shade, -4.6 + 3.4 * fair + 2.2 * p["hair_red"],
              -5.5 + 11.0 * torch.sigmoid(9 * (age - 0.56 - 0.08 * p["mottling"])),
              -6.0 + 13.0 * torch.sigmoid(8 * (age - 0.80 - 0.15 * p["hue"]))]  # fmt: skip
    return torch.softmax(1.6 * torch.stack(logits, -1), -1)


def stubble_strength(p: dict[str, Tensor]) -> Tensor:
    """Return the beard shadow (B,) in [0, 1]: nearly 0 for women, but for the most androgynous, and half of the men."""
    male = torch.special.ndtr(p["masculinity"])
    return torch.sigmoid(3.2 * p["stubble"] + 9 * (male - 0.72)) * torch.sigmoid(24 * (male - 0.45))


def freckle_density(p: dict[str, Tensor]) -> Tensor:
    """Return the freckle density (B,) from 0 (none) to about 1.4 (pale and very freckled)."""
    return torch.special.ndtr(p["freckles"]) * (1.4 - 1.2 * torch.special.ndtr(p["melanin"]))


def grain_patterns(count: int, size: int = PATTERN) -> Tensor:
    """Return fixed tileable skin grain (count, size, size), zero mean and unit standard deviation.

    Every pattern is band-passed noise at its own scale; half of them are sharpened into pores (dark pits on smooth
    skin).
    """
    noise = torch.randn(count, size, size, generator=torch.Generator().manual_seed(768))
    radius = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size))
    patterns = []
    for i, field in enumerate(noise):
        centre = 0.13 + 0.14 * i / (count - 1)
        band = torch.exp(-0.5 * ((radius - centre) / 0.07) ** 2)
        grain = torch.fft.irfft2(torch.fft.rfft2(field) * band, s=(size, size))
        grain = grain / grain.std()
        if i % 2:
            grain = -F.softplus(3 * (grain - 0.6))
        grain = grain - grain.mean()
        patterns.append(grain / grain.std())
    return torch.stack(patterns)


class MicroLayer(nn.Module):
    """Add micro detail to tiles (B, 3, 512, 512), upsampled to the atlas's face part (B, 3, 768, 768).

    Parameters
    ----------
    arrays:
        The content of ``micro.npz``: ``directions`` (20, 20); ``amplitude`` (96, 96); ``layers`` (5, 768, 768) uint8,
        three levels of fine freckles, stubble and scalp hair; ``strands`` (L, rows, 768) uint8 around 128, a layer per
        growth pattern of brows; ``strand_zone`` (rows, 768) uint8; ``strand_top``, the first atlas row of both.
    """

    axes: Tensor
    layers: Tensor
    strands: Tensor
    brow_zone: Tensor
    patterns: Tensor
    amplitude: Tensor
    hair_density: Tensor

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        missing = {"directions", "amplitude", "layers", "strands", "strand_zone", "strand_top"} - set(arrays)
        if missing:
            raise WeightsError(
                "the micro layer's arrays", f"none named {', '.join(sorted(missing))}", "reinstall facekit"
            )
        layers, strands = arrays["layers"].float() / 255, (arrays["strands"].float() - 128) / 48
        zone, self.top = arrays["strand_zone"].float() / 255, int(arrays["strand_top"])
        axes, amplitude = arrays["directions"].float(), arrays["amplitude"].float()
        patterns = grain_patterns(8)
        amplitude = F.interpolate(amplitude[None, None], size=(ATLAS, ATLAS), mode="bilinear", align_corners=False)
        for name, value in {
            "axes": axes,
            "layers": layers.flatten(1),
            "strands": (strands * zone).flatten(1),
            "brow_zone": zone,
            "patterns": patterns.flatten(1),
            "amplitude": amplitude[0, 0],
            "hair_density": _density(torch.tensor(HAIR_SRGB) / 255),
        }.items():
            self.register_buffer(name, value.contiguous(), persistent=False)

    def projections(self, identity: Tensor) -> dict[str, Tensor]:
        """Project the networks' identity codes (B, 20) to one value (B,) per name in :data:`facekit.traits.TRAITS`:
        standard normal, but for age and masculinity, see :func:`facekit.traits.to_networks`.
        """
        return dict(zip(TRAITS, (identity @ self.axes.T).unbind(-1), strict=True))

    def hair_strength(self, identity: Tensor) -> Tensor:
        """Return the density (B,) in [0, 1] of close-cropped scalp hair, 0 (shaved) for half of the identities.

        Multiplied by ``SCALP_COVER`` it is the weight of ``hair_colour`` over the skin on the cranium.
        """
        return step(self.projections(identity)["hair_strength"], 0.0, 1.1)

    def hair_colour(self, identity: Tensor) -> Tensor:
        """Return the colour (B, 3) of scalp hair, brows and beard, sRGB in [0, 1]."""
        density = hair_weights(self.projections(identity)) @ self.hair_density
        return 1.055 * torch.exp(-density / 2.4) - 0.055

    def _strand_gate(self, tile: Tensor) -> Tensor:
        """Return the darkness (B, rows, 768) in [0, 0.5] of the strand rows' texels relative to the forehead."""
        rows = self.strands.shape[1] // ATLAS
        low, high = self.top * TILE // ATLAS, (self.top + rows) * TILE // ATLAS
        dark = darkness(tile[:, :, low:high], forehead(tile)[:, :, None, None])
        dark = (F.avg_pool2d(dark, 3, 1, 1) - 0.10).clamp(0, 0.5)
        return F.interpolate(dark, size=(rows, ATLAS), mode="bilinear", align_corners=False)[:, 0]

    def _strands(self, texture_noise: Tensor) -> Tensor:
        """Return the strands (B, rows * 768) of each person's brow growth pattern."""
        weights = torch.softmax(_GROWTH * texture_noise[:, BROW_NOISE], -1)
        return (weights / weights.norm(dim=1, keepdim=True)) @ self.strands

    def _grain(self, identity: Tensor, texture_noise: Tensor) -> Tensor:
        """Return skin grain (B, 2, PATTERN, 2, PATTERN), to be multiplied by the amplitude: stronger on old skin."""
        mix = texture_noise[:, 16:24]
        mix = mix / mix.norm(dim=1, keepdim=True).clamp_min(1e-3)
        repeats = ATLAS // PATTERN
        old = 0.76 + 0.36 * age_share(self.projections(identity)["age"])
        grain = (mix @ self.patterns * old[:, None]).view(-1, 1, PATTERN, 1, PATTERN)
        return grain * self.amplitude.view(1, repeats, PATTERN, repeats, PATTERN)

    def relief(self, identity: Tensor, texture_noise: Tensor) -> Tensor:
        """Return the displacement (B, 1, 768, 768) in mm of the grain: dark texels are pores (as in *mesoscopic
        augmentation*, Beeler et al., SIGGRAPH 2010: dark is deep).
        """
        return (PORE_DEPTH * self._grain(identity, texture_noise)).view(-1, 1, ATLAS, ATLAS)

    def forward(self, tile: Tensor, identity: Tensor, texture_noise: Tensor) -> Tensor:
        """Add micro detail to a face tile.

        tile: (B, 3, 512, 512) float32 sRGB in [0, 1]. identity: (B, 20). texture_noise: (B, 128). Returns
        (B, 3, 768, 768) float32 sRGB in [0, 1]. Differentiable with respect to all three.
        """
        batch = len(tile)
        p = self.projections(identity)
        gain = 1.0 + self._grain(identity, texture_noise).view(batch, ATLAS, ATLAS)
        steps = identity.new_tensor([0.70, 0.9, 1.1])
        freckles = 0.13 * torch.sigmoid(12 * (freckle_density(p)[:, None] - steps))
        gain -= (freckles @ self.layers[:3]).view(batch, ATLAS, ATLAS)
        rows = slice(self.top, self.top + self.strands.shape[1] // ATLAS)
        gate = self._strand_gate(tile)
        gain[:, rows] -= gate * self._strands(texture_noise).view(batch, -1, ATLAS)
        hairs = torch.stack([stubble_strength(p), self.hair_strength(identity)], 1)
        cover = (hairs @ self.layers[3:]).view(batch, ATLAS, ATLAS)
        gain *= 1 - cover
        hair = self.hair_colour(identity)
        # `antialias` only selects the separable resampler: the same filter for upsampling, several times faster.
        # Bilinear, because bicubic alone would take the whole time budget and the grain hides the difference.
        out = F.interpolate(tile, size=(ATLAS, ATLAS), mode="bilinear", align_corners=False, antialias=True)
        # The network's brows stay dark when the hair turns grey.
        share = _BROW_GREY * hair_weights(p)[:, -2:].sum(1)
        grey = share[:, None, None] * self.brow_zone * (gate / _BROW_DARK).clamp_max(1.0)
        out[:, :, rows] += grey[:, None] * (hair[:, :, None, None] - out[:, :, rows])
        return out.mul_(gain[:, None]).addcmul_(hair[:, :, None, None], cover[:, None]).clamp_(0, 1)


def _density(srgb: Tensor) -> Tensor:
    """Return the optical density D for which ``1.055 exp(-D / 2.4) - 0.055`` is the colour."""
    return -2.4 * torch.log((srgb + 0.055) / 1.055)
