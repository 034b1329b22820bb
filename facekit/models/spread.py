"""Spread: heads that differ as much as people do, which regression to the mean has taken from the shape networks."""

from __future__ import annotations

import torch
from torch import nn

from facekit.geometry.charts import step
from facekit.template import Template

#: Factor on a person's deviation from the mean head: in the face, and on skull, ears and neck.
_FACE, _HEAD = 1.4, 1.05
#: Distance from the face's centre over which one becomes the other, mm.
_FADE = (75.0, 130.0)


class Spread(nn.Module):
    """Increase of the deviation of neutral heads from the mean head.

    The networks' heads differ less than heads drawn from the modes that they were trained on: by a sixth at the jaw, a
    quarter around the eyes and at the brows. A recogniser takes too many of them for one person.

    Parameters
    ----------
    template:
        Template with landmarks.
    centre:
        (V, 3) mm: displacement of the head in the middle, which stays.
    """

    centre: torch.Tensor
    gain: torch.Tensor

    def __init__(self, template: Template, centre: torch.Tensor) -> None:
        super().__init__()
        middle = template.verts[template.landmarks[17:]].mean(dim=0)
        far = step((template.verts - middle).norm(dim=1), *_FADE)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("gain", (_FACE - 1 + (_HEAD - _FACE) * far)[:, None], persistent=False)

    def forward(self, rest: torch.Tensor) -> torch.Tensor:
        """Return what is to be added (B, V, 3) to displacements of neutral heads (B, V, 3), mm; differentiable."""
        return self.gain * (rest - self.centre)
