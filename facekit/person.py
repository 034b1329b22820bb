"""Person: an individual head in a model's topology, from a scan or photographs, that no latent code represents."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from facekit.errors import InputError
from facekit.latents import FaceLatents


@dataclass(frozen=True)
class Person:
    """Neutral shape and skin of one person, for :meth:`facekit.FacePipeline.with_person`.

    Parameters
    ----------
    neutral:
        (V, 3) float32 mm: the neutral face in the model's topology, aligned with the model's mean head.
    codes:
        Latents (B = 1) that determine the style of expressions, detail and pores.
    atlas:
        (1, 3, H, W) float32 sRGB in [0, 1]: skin, eyes and teeth in the model's UV layout; None for the codes' own
        texture.
    hair:
        Default hair style; None for neither hair nor lashes.
    hair_colour:
        (3,) float32 sRGB in [0, 1]; None for the codes' own colour.

    Raises
    ------
    InputError
        If shapes are wrong, or numbers are not finite.
    """

    neutral: torch.Tensor
    codes: FaceLatents
    atlas: torch.Tensor | None = None
    hair: str | None = None
    hair_colour: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.neutral.ndim != 2 or self.neutral.shape[1] != 3 or not bool(self.neutral.isfinite().all()):
            raise InputError("a person's neutral (V, 3), finite", f"{tuple(self.neutral.shape)}", "give millimetres")
        if len(self.codes) != 1:
            raise InputError("codes of one face", f"{len(self.codes)}", "pick one with latents[i]")
        atlas = self.atlas
        if atlas is not None and (atlas.ndim != 4 or atlas.shape[:2] != (1, 3)):
            raise InputError("an atlas (1, 3, H, W)", f"{tuple(atlas.shape)}", "give one picture, sRGB in [0, 1]")

    def wearing(self, latents: FaceLatents) -> FaceLatents:
        """Return this person's codes with the expressions and blendshapes of ``latents`` (B)."""
        own = self.codes.to(latents.device).repeat(len(latents))
        return dataclasses.replace(own, expression=latents.expression, blendshapes=latents.blendshapes)

    def to(self, device: str | torch.device) -> Person:
        """Return a copy on another device."""
        atlas, colour = (None if t is None else t.to(device) for t in (self.atlas, self.hair_colour))
        return Person(self.neutral.to(device), self.codes.to(device), atlas, self.hair, colour)
