"""PersonComposer: one person's atlas from photographs, living with the texture network's expressions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from facekit.errors import InputError
from facekit.models.composers.default import DefaultComposer
from facekit.models.composers.published import PublishedComposer

#: How far an expression may change colours, as factors; and what is added to both so that black may, too.
_RANGE, _FLOOR = (0.75, 1.33), 0.04
#: Expressions flush and blanch softly: their change is carried over at this share of the resolution.
_COARSE = 4


class PersonComposer(nn.Module):
    """A composer whose person at rest has a given atlas; expressions change it as they change the model's own.

    Takes the place of a pipeline's composer: ``pipe.composer = PersonComposer(pipe.composer, …)`` on a copy of it, with
    faces of the codes that the atlas was found with.

    Parameters
    ----------
    base:
        The model's own composer.
    albedo:
        (1, 3, S, S) float32 sRGB, the person's atlas at rest.
    rest:
        (1, 3, S', S') float32 sRGB, what the base makes of the person's codes at rest.
    """

    albedo: torch.Tensor
    rest: torch.Tensor
    MODES = ("blend",)

    def __init__(self, base: DefaultComposer | PublishedComposer, albedo: torch.Tensor, rest: torch.Tensor) -> None:
        super().__init__()
        for name, atlas in (("albedo", albedo), ("rest", rest)):
            if atlas.ndim != 4 or atlas.shape[:2] != (1, 3) or atlas.shape[2] != atlas.shape[3]:
                raise InputError(f"{name} (1, 3, S, S)", f"{tuple(atlas.shape)}", "pass one square atlas")
        self.base = base
        self.register_buffer("albedo", albedo, persistent=False)
        self.register_buffer("rest", F.avg_pool2d(rest, _COARSE), persistent=False)

    @property
    def size(self) -> int:
        """Side of the atlas in texels."""
        return self.albedo.shape[-1]

    def with_mode(self, mode: str) -> PersonComposer:
        """Return the composer itself: it has one mode."""
        if mode not in self.MODES:
            raise InputError(f"compose out of {', '.join(self.MODES)}", repr(mode), "choose one of these")
        return self

    def forward(self, tile: torch.Tensor, identity: torch.Tensor, texture_noise: torch.Tensor) -> torch.Tensor:
        """Return atlases (B, 3, S, S), sRGB in [0, 1]; see :class:`facekit.models.composers.Composer`."""
        now = F.avg_pool2d(self.base(tile, identity, texture_noise), _COARSE)
        change = ((now + _FLOOR) / (self.rest + _FLOOR)).clamp(*_RANGE)
        if bool((change - 1).abs().amax() < 1e-4):
            return self.albedo.expand(len(tile), -1, -1, -1).clone()
        change = F.interpolate(change, size=self.albedo.shape[2:], mode="bilinear", align_corners=False)
        return (self.albedo * change).clamp(0, 1)
