"""ShapeDecoder: the half of the forward pass that makes vertices."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch

from facekit.assembly import load_blendshapes, load_modes
from facekit.conventions import EXPRESSIONS, PARTS
from facekit.geometry.lists import alike
from facekit.latents import FaceLatents
from facekit.models.accents import Accents
from facekit.models.ageing import Ageing
from facekit.models.blendshapes import BLINKS, Blendshapes, wanted
from facekit.models.eye_corners import EyeCorners
from facekit.models.features import Features
from facekit.models.folds import Unfolding
from facekit.models.lids import LidContact
from facekit.models.lips import LipContact
from facekit.models.proportions import Proportions
from facekit.models.resting_lids import RestingLids, rims
from facekit.models.shape import ShapeModel
from facekit.models.shutting import following, sealed
from facekit.models.sides import SIDED, mirrored
from facekit.models.sockets import Sockets
from facekit.models.walls import MouthWall
from facekit.person import Person
from facekit.template import Template
from facekit.torch_defaults import with_torch_defaults
from facekit.traits import to_networks

# Expressions whose lips fold over at the mouth corners, from this weight on.
_FOLDING, _FOLDED = [EXPRESSIONS.index(name) for name in ("lip_funneler", "anger")], 0.25
# Latents that the shape networks take.
_SHAPED = ("identity", "style", "shape_noise", "expression")
# Vertices that blendshapes move by this much, mm, or more have full contact handling, whatever the expression did.
_STILL = 1.0


class ShapeDecoder:
    """Template, shape networks, and what corrects their output.

    Parameters
    ----------
    template, shape:
        See :mod:`facekit.assembly`, which loads them.
    has_traits:
        Whether identity codes have the default's traits (:mod:`facekit.traits`), age among them.
    """

    def __init__(self, template: Template, shape: ShapeModel, has_traits: bool) -> None:
        self.template, self.shape, self.has_traits = template, shape, has_traits
        #: Person to make instead of the identity codes; None for any.
        self.person: Person | None = None

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return self.template.verts.device

    def to_model_codes(self, latents: FaceLatents) -> FaceLatents:
        """Convert expressions to the model's own code (:attr:`mirrored_pairs`), and people's traits to those
        of the default's networks (:func:`facekit.traits.to_networks`).

        In a pipeline with a person, all but the expressions is replaced by that person's model codes.
        """
        if self.person is not None:
            latents = self.person.wearing(latents)
        elif self.has_traits:
            identity, style = to_networks(latents.identity), to_networks(latents.style)
            latents = dataclasses.replace(latents, identity=identity, style=style)
        if not self.mirrored_pairs:
            return latents
        return dataclasses.replace(latents, expression=self._in_other_order(latents.expression))

    def _in_other_order(self, expression: torch.Tensor) -> torch.Tensor:
        """Convert codes (B, 20) from facekit's order to the model's, or back."""
        if not self.mirrored_pairs:
            return expression
        names = {a: b for pair in self.mirrored_pairs for a, b in (pair, pair[::-1])}
        return expression[:, [EXPRESSIONS.index(names.get(name, name)) for name in EXPRESSIONS]]

    @functools.cached_property
    def mirrored_pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of expressions whose names are swapped in this model's code.

        ``*_left`` is the subject's left in facekit. FaceScape's names do not say whose left they mean, so it is
        measured once on the mean face. Faces and morph targets are corrected for this; :meth:`decode_shape` and
        :meth:`decode_texture` take the model's own code.
        """
        mean = FaceLatents.sample(0, expression="neutral", intensity=0.0, truncation=0.0)
        names = ("neutral", *(name for pair in SIDED for name in pair))
        posed = FaceLatents.cat([mean, *(mean.with_expression(name) for name in names[1:])]).to(self.device)
        with torch.no_grad():
            verts = dict(zip(names, self.decode_shape(posed), strict=True))
        moved = {name: value - verts["neutral"] for name, value in verts.items()}
        return tuple(pair for pair in SIDED if mirrored(moved[pair[0]], moved[pair[1]], self.template))

    @with_torch_defaults
    def decode_shape(self, latents: FaceLatents) -> torch.Tensor:
        """Return vertices (B, V, 3) float32 in mm.

        Displacements of expression and blendshapes are summed. Fold-overs caused by blendshapes are then removed, and
        if the model has eyeballs and a full mouth, lips are kept from intersecting each other, and lids from sinking
        into the eyes, further than with the expression alone; the oral vestibule's wall stays behind the skin.
        """
        latents = latents.to(self.device)
        own = _once(latents)
        worn = self._regressed(own)
        rest = functools.cache(lambda: self._regressed(_once(own.at_rest())))
        if self.contact is not None:
            shut = _shut(own)
            if wanted(shut):
                worn = sealed(worn, shut.expand(-1, 2), self.blendshapes)
            worn = self.contact[0](worn)
            worn = self._unfolded(own, worn, rest)
        if not wanted(latents.blendshapes):
            worn = worn if self.wall is None or not wanted(own.expression) else self.wall(worn)
            return worn if len(worn) == len(latents) else worn.repeat(len(latents), 1, 1)
        neutral, shapes = rest(), self.blendshapes
        verts = worn + shapes(latents.blendshapes, worn, self._in_other_order(latents.expression))
        if self.contact is None:
            return self.unfolding(verts, neutral, worn)
        _, lips, lids = self.contact
        # Expressions without blendshapes keep the network's output: contact is only resolved where blendshapes move
        # vertices. Elsewhere the correction fades out, as a hard limit would push surfaces together again.
        still = (1 - (verts - worn).norm(dim=-1, keepdim=True) / _STILL).clamp(0, 1)
        verts = sealed(verts, latents.blendshapes[:, BLINKS].clamp(0, 1), shapes)
        pushed, before = lips(torch.cat((verts, worn))).split((len(verts), len(worn)))
        apart = lids(pushed) - still * (lids(before) - worn)
        apart = self.unfolding(apart, neutral, worn)
        return apart if self.wall is None else self.wall(apart)

    @with_torch_defaults
    def decode_neutral(self, latents: FaceLatents) -> torch.Tensor:
        """Return the neutral faces (B or 1, V, 3) float32 in mm of these people; one if all are the same person."""
        return self.decode_shape(_once(latents.at_rest()))

    def _regressed(self, latents: FaceLatents) -> torch.Tensor:
        """Return vertices of the shape networks; for a person, the neutral face plus the networks' displacement."""
        if self.person is not None and not wanted(latents.expression):
            return self.person.neutral.expand(len(latents), -1, -1)
        posed, shut, template = self._displaced(latents), _shut(latents), self.template.verts
        if self.person is None and not self.has_traits:
            return template + posed
        rest = self._displaced(latents.at_rest()) if wanted(latents.expression) else posed
        neutral, worn, others = template + rest, template + posed, torch.zeros_like(rest)
        wider: torch.Tensor | None = None
        if self.eye_corners is not None:
            apart = self.eye_corners(neutral)
            neutral, worn = neutral + apart, worn + apart
        if self.person is None:
            others = self._others(latents, neutral)
            neutral, worn = neutral + others, worn + others
            if self.features is not None and self.proportions is not None:
                wider = self.features.wider(latents.shape_noise) + self.proportions.wider(latents.identity)
        if self.resting_lids is not None:
            worn = self.resting_lids(neutral, worn, wider)
        if self.person is not None:
            # What the person's neutral face has over the networks'.
            others = self.person.neutral - (
                neutral if self.resting_lids is None else self.resting_lids(neutral, neutral)
            )
            worn = worn + others
        return worn + following(others, shut, self.blendshapes) if self.contact is not None and wanted(shut) else worn

    def _others(self, latents: FaceLatents, neutral: torch.Tensor) -> torch.Tensor:
        """Return what is added to the default's ``neutral`` faces (B, V, 3) mm."""
        if self.ageing is None:
            return torch.zeros_like(neutral)
        others = self.ageing(latents.identity)
        if self.features is not None:
            others = others + self.features(latents.shape_noise)
        if self.proportions is not None:
            others = others + self.proportions(latents.identity)
        if self.resting_wall is not None:
            # Deep folds of age must not sink through the mouth's walls.
            others = others + (self.resting_wall(neutral + others) - (neutral + others))
        if self.sockets is not None:
            others = others + self.sockets(neutral + others)
        return others

    def _unfolded(self, latents: FaceLatents, worn: torch.Tensor, rest: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return vertices (B, V, 3) without the fold-overs of some expressions; ``rest`` makes the neutral faces."""
        rows = (latents.expression.detach()[:, _FOLDING] > _FOLDED).any(dim=1).nonzero()[:, 0]
        if not len(rows):
            return worn
        return worn.index_copy(0, rows, self.unfolding(worn[rows], rest().expand_as(worn)[rows]))

    def _displaced(self, latents: FaceLatents) -> torch.Tensor:
        moved = self.shape(latents.shape_noise, latents.identity, latents.style, latents.expression)
        if not wanted(latents.expression) or self.accents is None:  # made at the first expression
            return moved
        return moved + self.accents(latents.expression)

    @functools.cached_property
    def contact(self) -> tuple[LidContact, LipContact, LidContact] | None:
        """Contact handling for expressions and then for blendshapes; None for models without eyeballs, such as the
        published one.
        """
        if not bool((self.template.parts == PARTS.index("eyes")).any()):
            return None
        with torch.inference_mode(False):  # cached tensors must also work for callers that need gradients
            template = self.template.to("cpu")
            outer, lips, lids = LidContact(template, outer=True), LipContact(template), LidContact(template)
            return outer.to(self.device), lips.to(self.device), lids.to(self.device)

    @functools.cached_property
    def accents(self) -> Accents | None:
        """Accents of expressions over the networks'; None for other models and topologies than the default's."""
        if not self.has_traits or self.contact is None:
            return None
        with torch.inference_mode(False), torch.no_grad():
            return Accents(self.template.to("cpu"), self.blendshapes).to(self.device)

    @functools.cached_property
    def resting_lids(self) -> RestingLids | None:
        """Lets lids rest as people's do; None for other models than the default, and for a rig that shuts no eyes."""
        if not self.has_traits or self.contact is None:
            return None
        if not all(len(rim) for side in (0, 1) for rim in rims(self.blendshapes, side)):
            return None
        with torch.inference_mode(False):
            return RestingLids(self.template.to("cpu"), self.blendshapes).to(self.device)

    @functools.cached_property
    def eye_corners(self) -> EyeCorners | None:
        """Moves the corners of eyes apart; None for other models than the default."""
        if not self.has_traits or self.contact is None:
            return None
        with torch.inference_mode(False):
            return EyeCorners(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def sockets(self) -> Sockets | None:
        """Draws the sockets' walls to the eyeballs; None for other models than the default."""
        if not self.has_traits or self.template.openings is None:
            return None
        with torch.inference_mode(False):
            return Sockets(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def features(self) -> Features | None:
        """Features of people's own; None for other models and topologies than the default's."""
        if not self.has_traits or load_modes().deltas.shape[1] != len(self.template.verts):
            return None
        with torch.inference_mode(False), torch.no_grad():
            return Features(self.template.to("cpu"), load_modes()).to(self.device)

    @functools.cached_property
    def proportions(self) -> Proportions | None:
        """Proportions of women and men; None where :attr:`features` is."""
        if self.features is None:
            return None
        with torch.inference_mode(False), torch.no_grad():
            return Proportions(self.template.to("cpu"), load_modes()).to(self.device)

    @functools.cached_property
    def ageing(self) -> Ageing | None:
        """Change of heads with age; None for models whose identity codes have no age, such as the published one."""
        if not self.has_traits:
            return None
        with torch.inference_mode(False):
            return Ageing(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def wall(self) -> MouthWall | None:
        """Keeps the oral vestibule's wall behind the skin; None for a model without a full mouth, as the published."""
        if self.contact is None:
            return None
        with torch.inference_mode(False):
            return MouthWall(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def resting_wall(self) -> MouthWall | None:
        """The same for all of the vestibule at rest."""
        if self.contact is None:
            return None
        with torch.inference_mode(False):
            return MouthWall(self.template.to("cpu"), whole=True).to(self.device)

    @functools.cached_property
    def unfolding(self) -> Unfolding:
        """Removes fold-overs of skin caused by several blendshapes."""
        with torch.inference_mode(False):
            return Unfolding(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def blendshapes(self) -> Blendshapes:
        """ARKit's 52 blendshapes on this model's topology, loaded on first use."""
        with torch.inference_mode(False):
            return load_blendshapes(self.template)


def _once(latents: FaceLatents) -> FaceLatents:
    """Return the first face of latents that differ in blendshapes only, as frames of a motion do; otherwise all.

    Latents with gradients are never reduced: each face has a graph of its own.
    """
    return latents[:1] if alike(*(getattr(latents, name) for name in _SHAPED)) else latents


def _shut(latents: FaceLatents) -> torch.Tensor:
    """Return how far expressions close the eyes, (B, 1) in [0, 1]."""
    return latents.expression[:, EXPRESSIONS.index("eye_closed"), None].clamp(0, 1)
