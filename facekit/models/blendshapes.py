"""Blendshapes: ARKit's 52 shapes on one topology, from weights and a person's neutral face to displacements.

Linear but for what faces are not linear in: eyes turn about their centres; lids close by what *this* person's eye is
open; lips close no further than the jaw has opened them; and pairs of shapes that would fold the skin together have a
shape of their own, weighted with their product, as riggers give a "corrective". Nothing here touches anything: lids,
eyes and lips are kept apart afterwards, by :mod:`facekit.models.lids` and :mod:`facekit.models.lips`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from facekit.conventions import BLENDSHAPES, GAZE_ACROSS, GAZE_UP, PARTS
from facekit.models.blendshape_data import BlendshapeData
from facekit.models.eyes import EYES, Eyeball, gaze_rotation
from facekit.template import Template

_CLOSE, _OPEN, _TONGUE = (BLENDSHAPES.index(name) for name in ("mouthClose", "jawOpen", "tongueOut"))
#: The tongue is what of the mouth tongueOut brings this far forward, mm; and the least occlusion of what is shown.
_TONGUE_OUT, _OPEN_AO = 4.0, 0.6
#: Indices of the blinks, right eye first.
BLINKS = (BLENDSHAPES.index("eyeBlinkRight"), BLENDSHAPES.index("eyeBlinkLeft"))


class Blendshapes(nn.Module):
    """The 52 shapes of a template, for any face of its topology.

    Parameters
    ----------
    data:
        The shapes on this topology; see :mod:`facekit.models.blendshape_data` and, for topologies other than the
        embedded default's, :func:`facekit.assembly.load_blendshapes`.
    template:
        The mean neutral head, against which a person's lids are measured. With eyes or without.
    """

    deltas: torch.Tensor
    pairs: torch.Tensor
    corrected: torch.Tensor
    corrections: torch.Tensor
    to_expressions: torch.Tensor
    jaw_of_expressions: torch.Tensor
    jaw_of_tongue: torch.Tensor
    mean: torch.Tensor
    open_eyes: torch.Tensor
    open_tongue: torch.Tensor

    def __init__(self, data: BlendshapeData, template: Template) -> None:
        super().__init__()
        has_eyes = bool((template.parts == EYES).any())
        self._eyeballs = nn.ModuleList([Eyeball(template, left) for left in (False, True)] if has_eyes else [])
        self.register_buffer("deltas", data.deltas.flatten(1))
        self.register_buffer("pairs", data.pairs)
        used = (data.corrections != 0).any(dim=2).any(dim=0).nonzero()[:, 0]
        self.register_buffer("corrected", used)
        self.register_buffer("corrections", data.corrections[:, used].flatten(1))
        self.register_buffer("to_expressions", data.tables["blendshapes", "expressions"].weights)
        jaw = data.tables["expressions", "blendshapes"].weights[:, _OPEN].clone()
        self.register_buffer("jaw_of_expressions", jaw)
        self.register_buffer("jaw_of_tongue", data.jaw_of_tongue)
        for side, (row, column, weight) in enumerate(data.blinks):
            for name, value in (("row", row), ("column", column), ("weight", weight)):
                self.register_buffer(f"blink_{name}_{side}", value)
        self.register_buffer("mean", template.verts)
        # What a turned eye or a tongue that is out shows was hidden when the occlusion was measured.
        tongue = (template.parts == PARTS.index("mouth")) & (data.deltas[_TONGUE, :, 2] > _TONGUE_OUT)
        for name, hidden in (("eyes", template.parts == EYES), ("tongue", tongue)):
            self.register_buffer(f"open_{name}", torch.where(hidden, template.ao.clamp_min(_OPEN_AO), template.ao))

    def forward(
        self, weights: torch.Tensor, neutral: torch.Tensor, expression: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Displacements (B, V, 3) mm; differentiable with respect to all arguments.

        Parameters
        ----------
        weights:
            (B, 52) float32, in the order of :data:`facekit.conventions.BLENDSHAPES`, meant for [0, 1].
        neutral:
            (B or 1, V, 3) float32 mm, the same people's faces without blendshapes: neutral, or in ``expression``, whose
            lids are those that a blink closes.
        expression:
            (B, 20) float32, the expression that is worn besides, which may open the jaw, too; None for none.
        """
        linear = self.effective(weights, expression)
        moved = (linear @ self.deltas).unflatten(1, (-1, 3))
        if len(self.pairs):
            product = linear[:, self.pairs[:, 0]] * linear[:, self.pairs[:, 1]]
            moved = moved.index_add(1, self.corrected, (product @ self.corrections).unflatten(1, (-1, 3)))
        moved = moved + self.lids(weights, neutral)
        if len(self._eyeballs):
            turns = self.turns(weights)
            for side, eye in enumerate(self.eyes):
                moved = moved.index_add(1, eye.ball, eye.turned(neutral, turns[:, side]))
        return moved

    @property
    def eyes(self) -> tuple[Eyeball, ...]:
        """The right and the left eyeball; none for a template without."""
        return tuple(cast(Eyeball, eye) for eye in self._eyeballs)

    def effective(self, weights: torch.Tensor, expression: torch.Tensor | None = None) -> torch.Tensor:
        """Weights (B, 52) with which shapes and pairs are taken: mouthClose no larger than the jaw is open."""
        jaw = weights[:, _OPEN] + self.jaw_of_tongue * weights[:, _TONGUE]
        if expression is not None:
            jaw = jaw + expression @ self.jaw_of_expressions
        close = weights[:, _CLOSE]
        closing = torch.where(close <= jaw, close, jaw)  # at rest, where both are 0, it is the shape's own
        return torch.cat((weights[:, :_CLOSE], closing[:, None], weights[:, _CLOSE + 1 :]), dim=1)

    def turns(self, weights: torch.Tensor) -> torch.Tensor:
        """Rotations (B, 2, 3, 3) of the right and the left eye at these weights (B, 52)."""
        both = []
        for side, toward in (("Right", -1.0), ("Left", 1.0)):
            look = {way: weights[:, BLENDSHAPES.index(f"eyeLook{way}{side}")] for way in ("In", "Out", "Up", "Down")}
            across = toward * GAZE_ACROSS * (look["Out"] - look["In"])
            both.append(gaze_rotation(across, GAZE_UP * (look["Up"] - look["Down"])))
        return torch.stack(both, dim=1)

    def expressions(self, weights: torch.Tensor) -> torch.Tensor:
        """Project weights (B, 52) onto the 20 expressions, (B, 20), for the skin's changes of colour."""
        return (weights @ self.to_expressions).clamp(0, 1.5)

    def ao(self, weights: torch.Tensor) -> torch.Tensor:
        """Ambient occlusion (V,) of faces with these weights (B, 52), one for all of the batch.

        The template's, but for what moves into the light: eyeballs, and the tongue as far as it is out.
        """
        tongue = weights[:, _TONGUE].detach().amax().clamp(0, 1)
        return torch.lerp(self.open_eyes, torch.maximum(self.open_eyes, self.open_tongue), tongue)

    def blink(self, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return row, column and weight (n,) of a side's matrix, which reads off posed lids how far they are apart.

        Side 0 is the right side, 1 the left.
        """
        return tuple(getattr(self, f"blink_{name}_{side}") for name in ("row", "column", "weight"))

    def lids(self, weights: torch.Tensor, neutral: torch.Tensor) -> torch.Tensor:
        """Correction with which this person's lids meet, added to that of the mean head; linear in the neutral face."""
        own = neutral - self.mean
        added = own.new_zeros(len(weights), *own.shape[1:])
        for side, blink in enumerate(BLINKS):
            row, column, weight = self.blink(side)
            follow = own.index_select(1, column)[..., 1:] * weight[:, None] * weights[:, blink, None, None]
            added = added.index_add(1, row, torch.nn.functional.pad(follow, (1, 0)))
        return added


def wanted(weights: torch.Tensor) -> bool:
    """Return True if weights (B, 52) are not all zero, or need gradients."""
    return weights.requires_grad or bool(weights.any())
