"""Composers: from the texture network's face tile to the whole atlas. One signature, one class a model family.

* :mod:`~facekit.models.composers.default`: the embedded model's atlas with eyes, teeth, scalp and the micro layer;
* :mod:`~facekit.models.composers.published`: 3DFaceCAM's tile on upstream's mesh, skin carried on over its border;
* :mod:`~facekit.models.composers.eyes`, ``skin``, ``micro``: what they are made of.
"""

from __future__ import annotations

from typing import Protocol

import torch

from facekit.errors import InputError, WeightsError
from facekit.models.composers.default import DefaultComposer
from facekit.models.composers.published import PublishedComposer

__all__ = ["COMPOSERS", "Composer", "DefaultComposer", "PublishedComposer", "composer_class"]


class Composer(Protocol):
    """A module that completes the tile."""

    @property
    def size(self) -> int:
        """Side of the atlas in texels."""
        ...

    def with_mode(self, mode: str) -> Composer:
        """Return the same composer in another of its modes."""
        ...

    def to(self, device: torch.device) -> Composer:
        """Move it to a device."""
        ...

    def __call__(self, tile: torch.Tensor, identity: torch.Tensor, texture_noise: torch.Tensor) -> torch.Tensor:
        """Return atlases (B, 3, size, size) sRGB of tiles (B, 3, S, S) sRGB in [0, 1] and codes (B, 20), (B, 128).

        Differentiable with respect to all three; an expression has a part in it through the tile alone, so that
        nothing else flickers in a sweep.
        """
        ...


#: By the name that a model's record has in ``config.composer``.
COMPOSERS: dict[str, type[DefaultComposer] | type[PublishedComposer]] = {
    "default": DefaultComposer,
    "published": PublishedComposer,
}


def composer_class(kind: str, mode: str) -> type[DefaultComposer] | type[PublishedComposer]:
    """Return the class of a kind of composer, if it has this mode.

    Raises
    ------
    WeightsError
        For a kind that is no key of :data:`COMPOSERS`.
    InputError
        For a mode that is none of its ``MODES``.
    """
    if kind not in COMPOSERS:
        raise WeightsError(f"a composer out of {', '.join(COMPOSERS)}", repr(kind), "update facekit")
    modes = COMPOSERS[kind].MODES
    if mode not in modes:
        raise InputError(f"compose out of {', '.join(modes)}", repr(mode), "choose one of these")
    return COMPOSERS[kind]
