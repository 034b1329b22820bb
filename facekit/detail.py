"""FaceDetail: the parts that a face's displacement is composed of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from facekit.checks import as_slice, finite
from facekit.errors import InputError
from facekit.files.pickling import compact_state

#: What a pipeline's ``detail`` may be: all of it, what a person has at rest, what the expression adds, none.
DETAIL_MODES: tuple[bool | str, ...] = (True, "static", "dynamic", False)

_MAPS = ("static", "compressed", "stretched", "compress", "stretch", "tension")


@dataclass(frozen=True)
class FaceDetail:
    """The parts of a displacement (SD-DeTail of HiFace, Chai et al., ICCV 2023).

    The displacement is ``strength * (static + UV(compress) * compressed + UV(stretch) * stretched)``. The three maps
    belong to the person; only the weights move with the expression.

    Parameters
    ----------
    static:
        (B, 1, H, W) float32 mm, with the micro layer's pores.
    compressed, stretched:
        (B, 1, h, w) float32 mm, in the same UV at a lower resolution: what is added where skin is wholly compressed or
        stretched.
    compress, stretch:
        (B, V) float32 in [0, 1], how far each vertex is.
    tension:
        (B, V) float32, what the weights were computed from: above 0 compressed, below 0 stretched, 0 at rest.
    strength:
        Factor on all of it.
    """

    static: torch.Tensor
    compressed: torch.Tensor
    stretched: torch.Tensor
    compress: torch.Tensor
    stretch: torch.Tensor
    tension: torch.Tensor
    strength: float = 1.0

    def __len__(self) -> int:
        return self.tension.shape[0]

    def __getitem__(self, index: int | slice) -> FaceDetail:
        picked = as_slice(index, len(self), "face")
        return dataclasses.replace(self, **{name: getattr(self, name)[picked] for name in _MAPS})

    @classmethod
    def cat(cls, parts: list[FaceDetail]) -> FaceDetail:
        """Join several batches of one strength."""
        if len(parts) == 1:
            return parts[0]
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in _MAPS}
        return dataclasses.replace(parts[0], **joined)

    def to(self, device: str | torch.device) -> FaceDetail:
        """Copy to another device."""
        return dataclasses.replace(self, **{name: getattr(self, name).to(device) for name in _MAPS})

    def __getstate__(self) -> dict[str, Any]:
        return compact_state(self)


def check_detail(detail: bool | str, strength: float) -> float:
    """Return the strength as a float, after a check of what a call's ``detail`` and ``detail_strength`` ask for.

    Raises
    ------
    InputError
        For another mode than those of :data:`DETAIL_MODES`, or a strength that is negative or not finite.
    """
    if type(detail) not in (bool, str) or detail not in DETAIL_MODES:
        raise InputError('detail True, "static", "dynamic" or False', repr(detail), "choose one of them")
    strength = finite(strength, "detail_strength", "1 is as learned")
    if strength < 0:
        raise InputError("detail_strength as a finite number of 0 or more", f"{strength:g}", "1 is as learned")
    return strength
