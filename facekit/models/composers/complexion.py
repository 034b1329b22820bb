"""Complexion: skin structure between the scale of the texture network and that of the micro layer.

Structure of real skin, 2 to 16 mm wide, from the training skins, mixed anew for each person; blotches of pigment and
blood; moles. It depends on identity and texture noise, not on expression, so that nothing flickers in a sweep.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekit.color import scaled
from facekit.errors import WeightsError
from facekit.models.ageing import aged
from facekit.traits import age_share

#: Entries of the texture noise that choose skins, their mirroring, blotches, moles. The teacher's own entries come
#: first.
_SKINS, _SIDES, _BLOTCHES, _MOLES = slice(24, 38), slice(38, 52), slice(52, 84), slice(84, 124)
# Those of the blotches that place age spots.
_SPOTS = slice(60, 68)
#: Weights of identity, noise, age and sex in the choice of skins; larger ones mix fewer skins.
_CHOICE, _CHANCE, _OLD, _MALE = 1.6, 1.6, 2.5, 1.5
#: Optical density of blotches at one standard deviation: of melanin and of blood.
_PIGMENT, _BLOOD = 0.046, 0.050
#: Addition to the contrast of structure for the oldest, and the share of the colour of lips that they lose.
_AGED_STRUCTURE, _AGED_LIPS = 0.3, 0.5
#: Factor on the contrast of structure for the most feminine, whose skin has finer pores, and for the most masculine.
_SMOOTH, _ROUGH = 0.66, 1.02
#: Age spots: size of their map, frequency band in waves per tile, threshold in standard deviations without age and its
#: fall with it, and the optical density of melanin.
_SPOT_FIELD, _SPOT_WAVES, _SPOT_LEAST, _SPOT_FALL, _SPOT = 256, (22.0, 48.0), 3.6, 1.75, 0.16
#: Side of the blotch maps, and their frequency band in waves per tile.
_FIELD, _WAVES = 64, (1.5, 9.0)
_ARRAYS = ("structure", "tint", "rows", "old", "male", "fade", "lips", "melanin", "blood", "moles", "mole_corners")
# Optical density of blood and of melanin that the most feminine lips have over the network's, and the share of it that
# the most masculine have: facial contrast is a cue to sex (Russell, *A sex difference in facial contrast*, Perception
# 2009), but everyone's lips are darker and redder than the skin.
_LIPS, _MENS_LIPS = (0.21, 0.065), 0.15


def without_blotches(texture_noise: Tensor) -> Tensor:
    """Return codes (B, 128) without blotches and moles, for people whose texture already has them, for instance from a
    photograph.
    """
    plain = texture_noise.clone()
    plain[:, _BLOTCHES] = 0.0
    plain[:, _MOLES] = 0.0
    return plain


def blotch_fields(count: int, size: int = _FIELD, band: tuple[float, float] = _WAVES, seed: int = 64) -> Tensor:
    """Return fixed noise (count, size, size) in a band of waves per tile, zero mean, unit standard deviation; low
    frequencies dominate.
    """
    noise = torch.randn(count, size, size, generator=torch.Generator().manual_seed(seed))
    waves = size * torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size))
    low, high = band
    band_pass = torch.sigmoid(4 * (waves - low)) * torch.sigmoid(high - waves) / waves.clamp_min(1.0)
    fields = torch.fft.irfft2(torch.fft.rfft2(noise) * band_pass, s=(size, size))
    return fields / fields.std(dim=(1, 2), keepdim=True)


class Complexion(nn.Module):
    """Add a person's skin structure to tiles (B, 3, S, S); S is the size of the arrays.

    All layers are added in optical density, in which pigments are additive.

    Parameters
    ----------
    arrays:
        The content of ``complexion.npz``: ``structure`` (K, S, S) int8, where 127 is a density of ``structure_scale``;
        ``tint`` (3,), its density in red, green and blue; ``rows`` (K, 20), unit vectors of the skins in the identity
        space; ``old``, ``male`` (K,) in [0, 1]; ``fade`` (64, 64) in [0, 1], 0 at the chart's border and on lips;
        ``lips`` (S / 2, S / 2) uint8, their mask; ``melanin``, ``blood`` (3,), densities of the pigments; ``moles`` (M,
        P, P) uint8 and ``mole_corners`` (M, 2), their rows and columns.
    """

    structure: Tensor
    tint: Tensor
    rows: Tensor
    old: Tensor
    male: Tensor
    fields: Tensor
    spots: Tensor
    spot_fade: Tensor
    melanin: Tensor
    blood: Tensor
    lips: Tensor
    moles: Tensor

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        missing = {*_ARRAYS, "structure_scale"} - set(arrays)
        if missing:
            raise WeightsError("the complexion's arrays", f"none named {', '.join(sorted(missing))}", "update facekit")
        kept = {name: arrays[name].float() for name in _ARRAYS if name not in ("fade", "mole_corners")}
        self.size = arrays["structure"].shape[-1]
        kept["structure"] = kept["structure"].flatten(1) * (float(arrays["structure_scale"]) / 127)
        kept["moles"], lips = kept["moles"] / 255, kept["lips"][None, None] / 255
        kept["lips"] = F.interpolate(lips, size=(self.size, self.size), mode="bilinear", align_corners=False)
        kept["fields"] = (blotch_fields(_BLOTCHES.stop - _BLOTCHES.start) * arrays["fade"].float()).flatten(1)
        fade = F.interpolate(arrays["fade"].float()[None, None], (_SPOT_FIELD, _SPOT_FIELD), mode="bilinear")
        kept["spot_fade"] = fade[0, 0].flatten()
        kept["spots"] = blotch_fields(_SPOTS.stop - _SPOTS.start, _SPOT_FIELD, _SPOT_WAVES, 65).flatten(1)
        self.corners: list[tuple[int, int]] = [(int(y), int(x)) for y, x in arrays["mole_corners"].tolist()]
        for name, value in kept.items():
            self.register_buffer(name, value.contiguous(), persistent=False)

    def forward(self, tile: Tensor, identity: Tensor, texture_noise: Tensor, traits: Mapping[str, Tensor]) -> Tensor:
        """Return the tile (B, 3, S, S), sRGB in [0, 1]; differentiable with respect to tile and codes.

        Parameters
        ----------
        tile:
            (B, 3, S, S) sRGB in [0, 1].
        identity, texture_noise:
            (B, 20), (B, 128).
        traits:
            Traits of the identity, from :meth:`facekit.models.composers.micro.MicroLayer.projections`.
        """
        batch, size = len(tile), self.size
        male, dark = (torch.special.ndtr(traits[name]) for name in ("masculinity", "melanin"))
        age, old = age_share(traits["age"]), aged(traits["age"])
        depth = self._structure(identity, texture_noise, age, male, old).view(batch, 1, size, size)
        melanin, blood = self._blotches(texture_noise, traits, age, dark)
        broad = melanin[:, None] * self.melanin[:, None, None] + blood[:, None] * self.blood[:, None, None]
        broad = F.interpolate(broad, size=(size, size), mode="bicubic", align_corners=False)
        density = torch.addcmul(broad, depth, self.tint[:, None, None])
        density = density + self._age_spots(texture_noise, old, dark)[:, None] * self.melanin[:, None, None]
        colour = _LIPS[0] * self.blood + _LIPS[1] * self.melanin
        share = (1 - (1 - _MENS_LIPS) * male) * (1 - _AGED_LIPS * old)
        density = density + share[:, None, None, None] * self.lips * colour[:, None, None]
        density = self._with_moles(density, texture_noise, dark)
        return scaled(tile, -density).clamp(0, 1)

    def _structure(self, identity: Tensor, texture_noise: Tensor, age: Tensor, male: Tensor, old: Tensor) -> Tensor:
        """Return the density (B, S * S) of folds, pores and mottling: a mix of a few skins, each partly mirrored."""
        chance, turned = (texture_noise[:, part][:, : len(self.rows)] for part in (_SKINS, _SIDES))
        wish = _CHOICE * identity @ self.rows.T + _CHANCE * chance
        wish = wish + _OLD * (2 * age - 1)[:, None] * (2 * self.old - 1)
        wish = wish + _MALE * (2 * male - 1)[:, None] * (2 * self.male - 1)
        weights = torch.softmax(wish, -1)
        sides = torch.sigmoid(2 * turned)
        both = torch.stack((weights * sides, weights * (1 - sides)))
        # Averaging details reduces contrast; dividing by the norm of the weights restores it.
        loud = (0.54 + 0.2 * age + 0.5 * age**3 + _AGED_STRUCTURE * old) * (_SMOOTH + (_ROUGH - _SMOOTH) * male)
        loud = loud / both.square().sum(dim=(0, 2)).sqrt().clamp_min(0.25)
        plain, mirrored = (both * loud[:, None]) @ self.structure
        return plain + mirrored.view(-1, self.size, self.size).flip(-1).flatten(1)

    def _blotches(
        self, texture_noise: Tensor, traits: Mapping[str, Tensor], age: Tensor, dark: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return maps of melanin and of blood (B, 64, 64): more in old, mottled and pale skin."""
        amount = (0.6 + 0.4 * torch.special.ndtr(traits["mottling"]) + 0.5 * age) * (1 - 0.4 * dark)
        mix = texture_noise[:, _BLOTCHES]
        half = mix.shape[1] // 2
        maps = [
            strength * amount[:, None] * (m @ f) * half**-0.5
            for strength, m, f in zip((_PIGMENT, _BLOOD), mix.split(half, 1), self.fields.split(half), strict=True)
        ]
        melanin, blood = (m.view(-1, _FIELD, _FIELD) for m in maps)
        # Lack of blood makes skin yellow; reduce it.
        return melanin, torch.where(blood < 0, 0.5 * blood, blood)

    def _age_spots(self, texture_noise: Tensor, old: Tensor, dark: Tensor) -> Tensor:
        """Return the density (B, S, S) of age spots: flat, a few millimetres wide, in old faces."""
        mix = texture_noise[:, _SPOTS] @ self.spots * len(self.spots) ** -0.5
        spots = torch.sigmoid(7 * (mix - (_SPOT_LEAST - _SPOT_FALL * old)[:, None])) * self.spot_fade
        spots = (_SPOT * old * (1 - 0.5 * dark))[:, None] * spots
        side = (self.size, self.size)
        return F.interpolate(spots.view(-1, 1, _SPOT_FIELD, _SPOT_FIELD), side, mode="bilinear")[:, 0]

    def _with_moles(self, density: Tensor, texture_noise: Tensor, dark: Tensor) -> Tensor:
        """Add the moles of each face: two or three of forty."""
        strength = torch.sigmoid(7 * (texture_noise[:, _MOLES] - 1.75))
        for face, mole in (strength > 0.02).nonzero().tolist():
            row, column = self.corners[mole]
            patch = self.moles[mole]
            height, width = patch.shape
            spot = (0.80 * strength[face, mole] * (1 - 0.5 * dark[face])) * patch * self.melanin[:, None, None]
            density[face, :, row : row + height, column : column + width] += spot
        return density
