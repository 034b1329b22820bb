"""FaceDetail: the components of a face's displacement."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from facekit.checks import as_slice, finite
from facekit.errors import InputError
from facekit.files.pickling import compact_state

#: Values of a pipeline's ``detail``: all, the neutral face's only, the expression's only, none.
DETAIL_MODES: tuple[bool | str, ...] = (True, "static", "dynamic", False)

_MAPS = ("static", "compressed", "stretched", "compress", "stretch", "tension")


@dataclass(frozen=True)
class FaceDetail:
    """Components of a displacement (SD-DeTail of HiFace, Chai et al., ICCV 2023).

    The displacement is ``strength * (static + UV(compress) * compressed + UV(stretch) * stretched)``. The three maps
    depend on the person; only the weights change with the expression.

    Parameters
    ----------
    static:
        (B, 1, H, W) float32 mm, including the micro layer's pores.
    compressed, stretched:
        (B, 1, h, w) float32 mm, in the same UV layout at a lower resolution: displacement of fully compressed or
        stretched skin.
    compress, stretch:
        (B, V) float32 in [0, 1]: weights per vertex.
    tension:
        (B, V) float32: strain that the weights are computed from: positive is compressed, negative stretched.
    strength:
        Factor on the sum.
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

    def __repr__(self) -> str:
        """Summarise the maps in one line, without the tensors."""
        high, wide = self.static.shape[2:]
        return f"FaceDetail({len(self)} of {high} x {wide} texels, strength {self.strength:g})"

    def __getitem__(self, index: int | slice) -> FaceDetail:
        picked = as_slice(index, len(self), "face")
        return dataclasses.replace(self, **{name: getattr(self, name)[picked] for name in _MAPS})

    @classmethod
    def cat(cls, parts: list[FaceDetail]) -> FaceDetail:
        """Concatenate several batches of the same strength."""
        if len(parts) == 1:
            return parts[0]
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in _MAPS}
        return dataclasses.replace(parts[0], **joined)

    def to(self, device: str | torch.device) -> FaceDetail:
        """Return a copy on another device."""
        return dataclasses.replace(self, **{name: getattr(self, name).to(device) for name in _MAPS})

    def __getstate__(self) -> dict[str, Any]:
        return compact_state(self)


def check_detail(detail: bool | str, strength: float) -> float:
    """Check a call's ``detail`` and ``detail_strength``; return the strength as a float.

    Raises
    ------
    InputError
        If the mode is not in :data:`DETAIL_MODES`, or the strength is negative or not finite.
    """
    if type(detail) not in (bool, str) or detail not in DETAIL_MODES:
        raise InputError('detail True, "static", "dynamic" or False', repr(detail), "choose one of them")
    strength = finite(strength, "detail_strength", "1 is the learned strength")
    if strength < 0:
        raise InputError(
            "detail_strength as a finite number of 0 or more", f"{strength:g}", "1 is the learned strength"
        )
    return strength
