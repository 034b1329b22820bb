"""FaceDecoder: the differentiable forward pass, from codes to meshes, one method per arrow."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facekit.assembly import load_blendshapes, load_detail, load_wardrobe
from facekit.conventions import EXPRESSIONS, PARTS
from facekit.detail import FaceDetail, check_detail
from facekit.errors import InputError
from facekit.hair import Hair
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.models.blendshapes import Blendshapes, wanted
from facekit.models.composers import Composer, DefaultComposer
from facekit.models.detail_layer import DetailLayer
from facekit.models.folds import Unfolding
from facekit.models.hair import Wardrobe
from facekit.models.hair_choice import choose_hair, choose_lashes
from facekit.models.lids import LidContact
from facekit.models.lips import LipContact
from facekit.models.shape import ShapeModel
from facekit.models.shutting import following, sealed
from facekit.models.sides import SIDED, mirrored
from facekit.models.texture import TextureModel
from facekit.models.walls import MouthWall
from facekit.person import Person
from facekit.plainly import plainly
from facekit.template import Template

if TYPE_CHECKING:
    from facekit.motion.head import Neck

# Textures and detail are made a few at a time: more does not run faster on a CPU and costs memory.
_TEXTURE_CHUNK, _DETAIL_CHUNK, _HAIR_CHUNK = 4, 16, 8
# Expressions that turn lips over at the mouth's corners, from this weight on.
_FOLDING, _FOLDED = [EXPRESSIONS.index(name) for name in ("lip_funneler", "anger")], 0.25
# What blendshapes move by this much, mm, is kept apart as they have it, whatever the expression did before.
_STILL = 1.0


class FaceDecoder:
    """The parts of one model, on one device, and the way through them.

    Parameters
    ----------
    template, shape, texture, composer:
        See :mod:`facekit.assembly`, which loads them.
    detail:
        File of a detail module of your own; None for the one that comes with the package.
    """

    def __init__(
        self,
        template: Template,
        shape: ShapeModel,
        texture: TextureModel,
        composer: Composer,
        detail: Path | None = None,
    ) -> None:
        self.template, self.shape, self.texture, self.composer = template, shape, texture, composer
        self.detail = detail
        #: The one person that is made, whatever the identity codes say; None for anybody.
        self.person: Person | None = None
        #: Whether textures are generated in half precision: faster on CUDA, and off by less than a step of 8 bits.
        self.half = template.verts.is_cuda

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return self.template.verts.device

    @plainly
    def decode(
        self, latents: FaceLatents, *, texture: bool = True, detail: bool | str = True, detail_strength: float = 1.0
    ) -> FaceMesh:
        """Make meshes, differentiable with respect to every code: vertices, texture and displacement.

        The forward pass that the pipeline's call wraps. Gradients flow to those fields of ``latents`` that require
        them; the networks' own weights are frozen. What
        ``backward`` needs stays in memory until then: about 0.15 GB per face.

        Parameters
        ----------
        latents:
            Codes of B faces, on any device.
        texture:
            Whether to make the texture, which takes most of the time.
        detail, detail_strength:
            As of the pipeline's call.

        Returns
        -------
        FaceMesh
            On the pipeline's device; ``texture`` and ``displacement`` are None where they were not asked for.
        """
        codes = self.to_model_codes(latents.to(self.device))
        return self._assemble(codes, texture, detail, detail_strength)[0]

    def _assemble(
        self, codes: FaceLatents, texture: bool, detail: bool | str, strength: float
    ) -> tuple[FaceMesh, FaceDetail | None]:
        """Go through the arrows for codes in the model's own order."""
        strength = check_detail(detail, strength)
        verts = self.decode_shape(codes)
        atlas = None
        if texture:
            atlas = self.skin(codes)
        displacement, parts = self.displace(codes, verts, detail, strength)
        return dataclasses.replace(self.mesh(codes, verts, atlas), displacement=displacement), parts

    # -- the arrows -------------------------------------------------------------------------------------------------

    def mesh(self, latents: FaceLatents, verts: torch.Tensor, texture: torch.Tensor | None = None) -> FaceMesh:
        """Meshes of vertices (B, V, 3) that were made of these codes; turned eyes and tongues are lit."""
        mesh = self.template.mesh(verts, texture)
        if not wanted(latents.blendshapes):
            return mesh
        return dataclasses.replace(mesh, ao=self.blendshapes.ao(latents.blendshapes))

    def to_model_codes(self, latents: FaceLatents) -> FaceLatents:
        """Put expressions into the order of the model's own code: see :attr:`mirrored_pairs`.

        Of a pipeline with a person the other codes become that person's.
        """
        if self.person is not None:
            latents = self.person.wearing(latents)
        if not self.mirrored_pairs:
            return latents
        return dataclasses.replace(latents, expression=self._in_other_order(latents.expression))

    def _in_other_order(self, expression: torch.Tensor) -> torch.Tensor:
        """Codes (B, 20) from facekit's order to the model's, or back."""
        if not self.mirrored_pairs:
            return expression
        names = {a: b for pair in self.mirrored_pairs for a, b in (pair, pair[::-1])}
        return expression[:, [EXPRESSIONS.index(names.get(name, name)) for name in EXPRESSIONS]]

    @functools.cached_property
    def mirrored_pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of expressions that carry each other's names in this model's code.

        ``*_left`` is the subject's left in facekit. FaceScape's names do not say whose left they mean, so it is
        measured once, on the mean face. Faces are made, and morph targets named, with this corrected;
        :meth:`decode_shape` and :meth:`decode_texture` take the model's code as it is.
        """
        mean = FaceLatents.sample(0, expression="neutral", intensity=0.0, truncation=0.0)
        names = ("neutral", *(name for pair in SIDED for name in pair))
        posed = FaceLatents.cat([mean, *(mean.with_expression(name) for name in names[1:])]).to(self.device)
        with torch.no_grad():
            verts = dict(zip(names, self.decode_shape(posed), strict=True))
        moved = {name: value - verts["neutral"] for name, value in verts.items()}
        return tuple(pair for pair in SIDED if mirrored(moved[pair[0]], moved[pair[1]], self.template))

    @plainly
    def decode_shape(self, latents: FaceLatents) -> torch.Tensor:
        """Vertices (B, V, 3) float32 mm.

        Expression and blendshapes add up. Blendshapes then turn no skin over, and where the model has eyeballs and a
        whole mouth, they keep lips from passing through each other, and lids from sinking into the eyes, further than
        the expression has them, and the mouth's wall stays behind the skin under the lip.
        """
        latents = latents.to(self.device)
        worn = self._regressed(latents)
        if self.contact is not None:
            shut = _shut(latents)
            if wanted(shut):
                worn = sealed(worn, shut, self.blendshapes)
            worn = self.contact[0](worn)
            worn = self._unfolded(latents, worn)
        if not wanted(latents.blendshapes):
            return worn if self.wall is None or not wanted(latents.expression) else self.wall(worn)
        neutral = self._regressed(latents.at_rest())
        shapes = self.blendshapes
        verts = worn + shapes(latents.blendshapes, neutral, self._in_other_order(latents.expression))
        if self.contact is None:
            return self.unfolding(verts, neutral, worn)
        _, lips, lids = self.contact
        # An expression alone is as its network has it: what contact would do to it is no blendshape's doing, and is
        # left out where blendshapes move nothing. Where they do, leaving it out would push surfaces together again.
        still = (1 - (verts - worn).norm(dim=-1, keepdim=True) / _STILL).clamp(0, 1)
        alone = worn[:1] if bool((worn == worn[:1]).all()) else worn  # mostly all faces wear the same expression
        pushed, before = lips(torch.cat((verts, alone))).split((len(verts), len(alone)))
        apart = lids(pushed, shapes.turns(latents.blendshapes)) - still * (lids(before, None) - alone)
        apart = self.unfolding(apart, neutral, worn)
        return apart if self.wall is None else self.wall(apart)

    def _regressed(self, latents: FaceLatents) -> torch.Tensor:
        """Vertices as the shape networks have them; of a person what the networks add to the face at rest."""
        posed = self._displaced(latents)
        if self.person is None:
            return self.template.verts + posed
        if not wanted(latents.expression):
            return self.person.neutral.expand(len(latents), -1, -1)
        rest = self._displaced(latents.at_rest())
        worn = self.person.neutral + posed - rest
        shut = _shut(latents)
        if self.contact is not None and wanted(shut):
            others = self.person.neutral - self.template.verts - rest
            worn = worn + following(others, shut, self.blendshapes)
        return worn

    def _unfolded(self, latents: FaceLatents, worn: torch.Tensor) -> torch.Tensor:
        """Vertices (B, V, 3) of faces that wear an expression, without the folds of those that fold."""
        rows = (latents.expression.detach()[:, _FOLDING] > _FOLDED).any(dim=1).nonzero()[:, 0]
        if not len(rows):
            return worn
        neutral = self._regressed(latents.at_rest()).expand_as(worn)
        return worn.index_copy(0, rows, self.unfolding(worn[rows], neutral[rows]))

    def _displaced(self, latents: FaceLatents) -> torch.Tensor:
        return self.shape(latents.shape_noise, latents.identity, latents.style, latents.expression)

    @functools.cached_property
    def contact(self) -> tuple[LidContact, LipContact, LidContact] | None:
        """What expressions keep apart, and then blendshapes; None for a model without eyeballs, as the published."""
        if not bool((self.template.parts == PARTS.index("eyes")).any()):
            return None
        with torch.inference_mode(False):  # what is kept serves callers that want gradients, too
            template = self.template.to("cpu")
            outer, lips, lids = LidContact(template, outer=True), LipContact(template), LidContact(template)
            return outer.to(self.device), lips.to(self.device), lids.to(self.device)

    @functools.cached_property
    def wall(self) -> MouthWall | None:
        """What keeps the mouth's wall behind the skin; None for a model without a whole mouth, as the published."""
        if self.contact is None:
            return None
        with torch.inference_mode(False):
            return MouthWall(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def unfolding(self) -> Unfolding:
        """What turns skin back that blendshapes together would turn over."""
        with torch.inference_mode(False):
            return Unfolding(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def blendshapes(self) -> Blendshapes:
        """ARKit's 52 shapes on this model's topology, loaded when they are first asked for."""
        with torch.inference_mode(False):
            return load_blendshapes(self.template)

    @plainly
    def skin(self, latents: FaceLatents) -> torch.Tensor:
        """The whole atlas (B, 3, H, W), sRGB in [0, 1]: of the codes, or the person's own, which does not flush."""
        if self.person is not None and self.person.atlas is not None:
            return self.person.atlas.expand(len(latents), -1, -1, -1)
        latents = latents.to(self.device)
        return torch.cat([self.compose(self.decode_texture(c), c) for c in latents.split(_TEXTURE_CHUNK)])

    @plainly
    def decode_texture(self, latents: FaceLatents) -> torch.Tensor:
        """The generator's raw face tile (B, 3, S, S), sRGB, before clamping and composition.

        Skin flushes and blanches with the expression, and with blendshapes as far as expressions can say them.
        """
        latents = latents.to(self.device)
        expression = latents.expression
        if wanted(latents.blendshapes):
            expression = expression + self._in_other_order(self.blendshapes.expressions(latents.blendshapes))
        codes = zip(
            *(c.split(_TEXTURE_CHUNK) for c in (latents.texture_noise, latents.identity, expression)), strict=True
        )
        with torch.autocast(self.device.type, torch.float16, enabled=self.half):
            return torch.cat([self.texture(*code).float() for code in codes])

    @plainly
    def compose(self, tile: torch.Tensor, latents: FaceLatents) -> torch.Tensor:
        """The whole atlas (B, 3, H, W), sRGB in [0, 1], from the tile: skin around the face, eyes, micro detail."""
        return self.composer(tile.clamp(0, 1), latents.identity, latents.texture_noise)

    @plainly
    def displace(
        self, latents: FaceLatents, verts: torch.Tensor, detail: bool | str = True, strength: float = 1.0
    ) -> tuple[torch.Tensor | None, FaceDetail | None]:
        """Displacement (B, 1, H, W) mm of faces with these vertices, and its parts; None and None for ``detail=False``.

        The expression has a part in it through the vertices alone, which are compared with those of the zero code.
        """
        strength = check_detail(detail, strength)
        if detail is False:
            return None, None
        rest = self.decode_shape(latents.at_rest())
        maps, parts = [], []
        for k in range(0, len(latents), _DETAIL_CHUNK):
            some = slice(k, k + _DETAIL_CHUNK)
            codes = (latents.identity[some], latents.texture_noise[some])
            displacement, part = self.detail_layer(*codes, rest[some], verts[some], detail, strength)
            maps.append(displacement)
            parts.append(part)
        return torch.cat(maps), FaceDetail.cat(parts)

    @functools.cached_property
    def wardrobe(self) -> Wardrobe | None:
        """Hair and lashes for this model's heads, loaded when they are first asked for; None where there are none."""
        with torch.inference_mode(False):
            return load_wardrobe(self.template)

    @torch.no_grad()
    def dress(self, latents: FaceLatents, verts: torch.Tensor, hair: str | None = "auto") -> tuple[Hair | None, ...]:
        """Hair and lashes of faces with these codes and vertices (B, V, 3); empty where nobody gets any.

        Parameters
        ----------
        hair:
            A style's name, "bald" for lashes alone, None for nothing; "auto" for what the identity says, or the person
            wears, and nothing for a model that has no hair of its own.
        """
        if hair == "auto" and self.person is not None:
            hair = self.person.hair
        if hair is None or (hair == "auto" and self.wardrobe is None):
            return ()
        wardrobe, composer = self.wardrobe, self.composer
        if wardrobe is None or not isinstance(composer, DefaultComposer):
            raise InputError("a model with hair", f"one without, and hair={hair!r}", 'use "default", or hair=None')
        latents = latents.to(self.device)
        traits = composer.micro.projections(latents.identity)
        count = len(latents)
        styles = [hair] * count if hair != "auto" else choose_hair(traits, wardrobe.styles)
        cards = [wardrobe.cards(*both) for both in zip(styles, choose_lashes(traits, wardrobe.lashes), strict=True)]
        colours, rest = composer.micro.hair_colour(latents.identity), self.decode_shape(latents.at_rest())
        if self.person is not None and self.person.hair_colour is not None:
            colours = self.person.hair_colour.to(colours).expand(count, 3)
        places: list[torch.Tensor | None] = [None] * count
        for one in {id(c): c for c in cards}.values():
            mine = torch.tensor([k for k in range(count) if cards[k] is one], device=self.device)
            for some in mine.split(_HAIR_CHUNK):
                for k, place in zip(some.tolist(), wardrobe.wear(one, rest[some], verts[some]), strict=True):
                    places[k] = place
        return tuple(Hair(c, p, t) for c, p, t in zip(cards, places, colours, strict=True) if p is not None)

    def turned_hair(self, hair: tuple[Hair | None, ...], neck: Neck, head: torch.Tensor) -> tuple[Hair | None, ...]:
        """Hair of faces whose heads are held at angles (B, 3), degrees, as their vertices are."""
        wardrobe = self.wardrobe
        if wardrobe is None:
            return hair
        return tuple(
            None
            if h is None
            else h.moved(neck.turned(h.verts[None], k[None], wardrobe.held(h.cards, neck.share[:, None])[:, 0])[0])
            for h, k in zip(hair, head, strict=True)
        )

    @functools.cached_property
    def detail_layer(self) -> DetailLayer:
        """The detail module on this model's topology, loaded when it is first asked for."""
        with torch.inference_mode(False):
            return load_detail(self.template, self.composer.size, self.detail)


def _shut(latents: FaceLatents) -> torch.Tensor:
    """How far expressions close the eyes, (B, 1) in [0, 1]."""
    return latents.expression[:, EXPRESSIONS.index("eye_closed"), None].clamp(0, 1)
