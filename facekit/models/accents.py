"""Accents: what expressions of the embedded default have over what its shape networks learnt.

People read the networks' anger as disgust as often as not, since eyes are narrow in both: angry eyes glare, and lips
are pressed (Ekman and Friesen, *Unmasking the Face*, 1975). A stretched mouth that is wide, too, looks angry.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.models.blendshapes import Blendshapes
from facekit.template import Template

#: Weights of blendshapes, both sides' alike, that an expression gets at intensity 1; negative ones are taken away.
_ACCENTS = {
    "anger": {"eyeWide": 0.35, "browDown": -0.15, "mouthPress": 0.30, "mouthRollLower": 0.20},
    "mouth_stretch": {"mouthStretch": -0.40},
}


class Accents(nn.Module):
    """Adds blendshapes to expressions, as they are on the mean head.

    Parameters
    ----------
    template:
        The default's template.
    shapes:
        The rig on it.
    """

    columns: Tensor
    moves: Tensor

    def __init__(self, template: Template, shapes: Blendshapes) -> None:
        super().__init__()
        weights = torch.zeros(len(_ACCENTS), len(BLENDSHAPES))
        for row, accents in zip(weights, _ACCENTS.values(), strict=True):
            for name, weight in accents.items():
                for place in (name, f"{name}Left", f"{name}Right"):
                    if place in BLENDSHAPES:
                        row[BLENDSHAPES.index(place)] = weight
        verts = template.verts.expand(len(weights), -1, -1)
        moves = shapes(weights.clamp_min(0), verts) - shapes((-weights).clamp_min(0), verts)
        self.register_buffer("columns", torch.tensor([EXPRESSIONS.index(name) for name in _ACCENTS]), persistent=False)
        self.register_buffer("moves", moves, persistent=False)

    def forward(self, expression: Tensor) -> Tensor:
        """Return displacements (B, V, 3) mm for expression codes (B, 20); differentiable."""
        return torch.einsum("bk,kvc->bvc", expression[:, self.columns], self.moves)
