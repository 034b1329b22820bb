"""Composers: complete the texture network's face tile to the whole atlas. One signature, one class per model family.

* :mod:`~facekit.models.composers.default`: the embedded model's atlas with eyes, teeth, scalp and the micro layer;
* :mod:`~facekit.models.composers.published`: 3DFaceCAM's tile on upstream's mesh, with skin extended beyond its border;
* :mod:`~facekit.models.composers.eyes`, ``skin``, ``micro``: their components.
"""

from __future__ import annotations

from typing import Protocol

import torch

from facekit.errors import InputError, WeightsError
from facekit.models.composers.default import DefaultComposer
from facekit.models.composers.published import PublishedComposer

__all__ = ["COMPOSERS", "Composer", "DefaultComposer", "PublishedComposer", "composer_class"]


class Composer(Protocol):
    """Interface of composers."""

    @property
    def size(self) -> int:
        """Side of the atlas in texels."""
        ...

    def with_mode(self, mode: str) -> Composer:
        """Return the composer in another of its modes."""
        ...

    def to(self, device: torch.device) -> Composer:
        """Move it to a device."""
        ...

    def __call__(self, tile: torch.Tensor, identity: torch.Tensor, texture_noise: torch.Tensor) -> torch.Tensor:
        """Return atlases (B, 3, size, size) sRGB from tiles (B, 3, S, S) sRGB in [0, 1] and codes (B, 20), (B, 128).

        Differentiable with respect to all three; expressions enter through the tile alone, so that nothing else
        flickers in a sweep.
        """
        ...


#: Composer classes by the name in a model's record, ``config.composer``.
COMPOSERS: dict[str, type[DefaultComposer] | type[PublishedComposer]] = {
    "default": DefaultComposer,
    "published": PublishedComposer,
}


def composer_class(kind: str, mode: str) -> type[DefaultComposer] | type[PublishedComposer]:
    """Return the class of a composer that has this mode.

    Raises
    ------
    WeightsError
        If the kind is not a key of :data:`COMPOSERS`.
    InputError
        If the mode is not one of its ``MODES``.
    """
    if kind not in COMPOSERS:
        raise WeightsError(f"a composer out of {', '.join(COMPOSERS)}", repr(kind), "update facekit")
    modes = COMPOSERS[kind].MODES
    if mode not in modes:
        raise InputError(f"compose out of {', '.join(modes)}", repr(mode), "choose one of these")
    return COMPOSERS[kind]
