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
#: The same for the square of the intensity above 1: noses and lips that rise ever further are no longer the person's.
_BEYOND = {"anger": {"mouthUpperUp": -1.20, "noseSneer": -1.00}}


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
    beyond: Tensor
    moves: Tensor

    def __init__(self, template: Template, shapes: Blendshapes) -> None:
        super().__init__()
        rows = [*_ACCENTS.values(), *_BEYOND.values()]
        weights = torch.zeros(len(rows), len(BLENDSHAPES))
        for row, accents in zip(weights, rows, strict=True):
            for name, weight in accents.items():
                for place in (name, f"{name}Left", f"{name}Right"):
                    if place in BLENDSHAPES:
                        row[BLENDSHAPES.index(place)] = weight
        verts = template.verts.expand(len(weights), -1, -1)
        moves = shapes(weights.clamp_min(0), verts) - shapes((-weights).clamp_min(0), verts)
        for name, some in (("columns", _ACCENTS), ("beyond", _BEYOND)):
            self.register_buffer(name, torch.tensor([EXPRESSIONS.index(one) for one in some]), persistent=False)
        self.register_buffer("moves", moves, persistent=False)

    def forward(self, expression: Tensor) -> Tensor:
        """Return displacements (B, V, 3) mm for expression codes (B, 20); differentiable."""
        amounts = expression[:, self.columns], (expression[:, self.beyond] - 1).clamp_min(0).square()
        return torch.einsum("bk,kvc->bvc", torch.cat(amounts, 1), self.moves)
