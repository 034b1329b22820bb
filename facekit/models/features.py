"""Features: what makes a head a person's own, beyond what the identity code says.

The shape networks take 20 numbers, and their people differ mostly in a few ways: a long face, a broad one. Real heads
differ in many ways that have nothing to do with each other: the nose's bridge and its tip, the sockets of the eyes,
cheeks, chin, the left side and the right.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekit.conventions import SHAPE_NOISE_DIM
from facekit.metrics.anthropometry import masculine_direction
from facekit.models.modes import IdentityModes
from facekit.models.spread import Spread
from facekit.template import Template

#: Modes that the identity code has already: size and proportions of the whole head. Those after them are features.
_KNOWN = 10
#: Standard deviation of known modes and of features, in those of the head model, and the share of a displacement that
#: reaches eyeballs, lids and lips as it is, which their contact bears.
_PROPORTIONS, _FEATURES, _PLAIN = 0.3, 1.6, 0.4
#: Waves of a mode's weight per unit of the noise, in radians: large enough that weights of people have nothing to do
#: with each other, small enough that a person changes gradually into another.
_WAVES, _SEED = 3.0, 77


class Features(nn.Module):
    """Displace neutral heads by the head model's modes, with weights that depend on shape noise alone.

    Each weight is a sine of a projection of the noise (as random Fourier features are, Rahimi and Recht, NIPS 2007):
    the mean head stays, weights are bounded, and no two modes go together. Nothing of it makes heads more masculine or
    less, which identity says.

    Parameters
    ----------
    template:
        Template with landmarks.
    modes:
        Head model on its topology.
    spread:
        What keeps displacements smooth around eyes and mouth.
    """

    deltas: Tensor
    waves: Tensor

    def __init__(self, template: Template, modes: IdentityModes, spread: Spread) -> None:
        super().__init__()
        waves = torch.randn(len(modes), SHAPE_NOISE_DIM, generator=torch.Generator().manual_seed(_SEED))
        amount = torch.full((len(modes),), _FEATURES)
        amount[:_KNOWN] = _PROPORTIONS
        deltas, marks = modes.deltas.to(template.verts), template.landmarks
        known = (of[..., marks, :].cpu().double().numpy() for of in (template.verts, deltas))
        male = F.normalize(torch.from_numpy(masculine_direction(*known)).to(deltas), dim=0)
        deltas = deltas - male[:, None, None] * torch.einsum("m,mvc->vc", male, deltas)
        deltas = amount.to(deltas)[:, None, None] * (_PLAIN * deltas + (1 - _PLAIN) * spread.carried(deltas))
        self.register_buffer("deltas", deltas, persistent=False)
        self.register_buffer("waves", _WAVES * waves / waves.norm(dim=1, keepdim=True), persistent=False)

    def forward(self, shape_noise: Tensor) -> Tensor:
        """Return displacements (B, V, 3) mm of people with shape noise (B, 5); differentiable."""
        weights = math.sqrt(2) * torch.sin(shape_noise @ self.waves.t())
        return (weights @ self.deltas.flatten(1)).unflatten(1, (-1, 3))
