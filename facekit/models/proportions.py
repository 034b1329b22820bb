"""Proportions of the mean woman and the mean man, as photographs have them.

The shape networks know how the sexes differ from measures of skulls and soft parts, one by one. Together that made
women's faces small around large eyes, with noses turned up, men's the reverse, and noses of both broad and short.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from facekit.metrics.anthropometry import slopes
from facekit.models.features import borne, facial, with_nostrils
from facekit.models.modes import IdentityModes
from facekit.template import Template
from facekit.traits import TRAITS, trait_axes

#: Lengths on the landmarks in percent of the distance between the pupils: what everyone's change by, and how much more
#: men's change than women's. The differences between ours and those of the 102 photographs of the London Set (DeBruine
#: and Jones 2017) by MediaPipe's points, adults up to 54 years; ``benchmarks/proportions.py`` shows what is left.
_CHANGES = {
    "width of the cheeks": (3.5, -7.9),
    "width of the jaw": (1.8, -3.9),
    "chin below the pupils": (1.3, -11.3),
    "mouth below the pupils": (-1.8, -10.0),
    "base of the nose below the pupils": (1.5, -9.8),
    "width of the nose": (-2.6, -5.2),
    "width between the nostrils' middles": (-1.5, -0.6),
    "width of the mouth": (0.7, -4.5),
    "wings of the nose above its base": (0.6, -2.2),
    "tip of the nose above its base": (0.0, 1.2),
}
#: Ridge of the least squares: lengths may be missed by about this, %, where it spares the modes much.
_SLACK = 0.1
#: By how much eyes of women are opened further than those of androgynous people, and those of men less: mm, the upper
#: lid and the lower one.
_WIDER = (0.40, 0.20)


class Proportions(nn.Module):
    """Displacement of people's neutral heads by their masculinity, for the embedded default.

    It is the least combination of the head model's modes that changes the lengths as wanted.

    Parameters
    ----------
    template:
        Template with landmarks and eyes.
    modes:
        Head model on its topology.
    """

    moves: Tensor
    axis: Tensor

    def __init__(self, template: Template, modes: IdentityModes) -> None:
        super().__init__()
        mean, deltas = (of[..., template.landmarks, :].double().numpy() for of in (template.verts, modes.deltas))
        change = slopes(mean, deltas, lengths)
        wanted = np.array(list(_CHANGES.values())) * (1.0, 0.5)
        weights = change.T @ np.linalg.solve(change @ change.T + _SLACK**2 * np.eye(len(change)), wanted)
        moves = torch.einsum("mk,mvc->kvc", torch.from_numpy(weights).float(), modes.deltas)
        moves = facial(template)[:, None] * borne(template, moves)
        self.register_buffer("moves", with_nostrils(template, moves), persistent=False)
        self.register_buffer("axis", trait_axes()[TRAITS.index("masculinity")].clone(), persistent=False)

    def forward(self, identity: Tensor) -> Tensor:
        """Return displacements (B, V, 3) mm for identity codes (B, 20) of the networks; differentiable."""
        return self.moves[0] + self._male(identity)[:, None, None] * self.moves[1]

    def wider(self, identity: Tensor) -> Tensor:
        """Return by how much the upper and the lower lid open further at rest, (B, 2) mm; differentiable."""
        return -self._male(identity)[:, None] * identity.new_tensor(_WIDER)

    def _male(self, identity: Tensor) -> Tensor:
        """Return masculinity (B,) in [-1, 1]."""
        return 2 * torch.special.ndtr(identity @ self.axis) - 1


def lengths(marks: np.ndarray) -> np.ndarray:
    """Return the lengths of landmarks (68, 3) of a neutral head in percent of the distance between the pupils, in the
    order of the table above.
    """
    right, left = marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)
    pupils, height = np.linalg.norm(left - right), (right[1] + left[1]) / 2
    y, base = marks[:, 1], marks[33, 1]

    def between(a: int, b: int) -> float:
        return float(np.linalg.norm(marks[a] - marks[b]))

    found = (
        between(1, 15), between(4, 12), height - y[8], height - (y[62] + y[66]) / 2, height - base, between(31, 35),
        between(32, 34), between(48, 54), (y[31] + y[35]) / 2 - base, y[30] - base,
    )  # fmt: skip
    return 100 * np.array(found) / pupils
