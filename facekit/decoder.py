"""FaceDecoder: the differentiable forward pass from codes to meshes, one method per step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facekit.assembly import load_blendshapes, load_detail, load_wardrobe
from facekit.conventions import EXPRESSIONS, PARTS
from facekit.detail import FaceDetail, check_detail
from facekit.errors import InputError
from facekit.geometry.lists import alike
from facekit.hair import Hair
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.models.blendshapes import Blendshapes, wanted
from facekit.models.composers import Composer, DefaultComposer
from facekit.models.detail_layer import DetailLayer
from facekit.models.facial_hair import SHAVEN, Brows
from facekit.models.folds import Unfolding
from facekit.models.hair import Outfit, Wardrobe
from facekit.models.hair_choice import choose_beards, choose_hair, choose_lashes
from facekit.models.lids import LidContact, raised_lids
from facekit.models.lips import LipContact
from facekit.models.shape import ShapeModel
from facekit.models.shutting import following, sealed
from facekit.models.sides import SIDED, mirrored
from facekit.models.texture import TextureModel
from facekit.models.walls import MouthWall
from facekit.person import Person
from facekit.template import Template
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from facekit.motion.head import Neck

# Number of faces whose textures, detail and hair are made at once: more is not faster on a CPU and costs memory.
_TEXTURE_CHUNK, _DETAIL_CHUNK, _HAIR_CHUNK = 4, 16, 8
# Expressions whose lips fold over at the mouth corners, from this weight on.
_FOLDING, _FOLDED = [EXPRESSIONS.index(name) for name in ("lip_funneler", "anger")], 0.25
# Latents that the shape networks take.
_SHAPED = ("identity", "style", "shape_noise", "expression")
# Vertices that blendshapes move by this much, mm, or more have full contact handling, whatever the expression did.
_STILL = 1.0


class FaceDecoder:
    """Parts of one model on one device, and its forward pass.

    Parameters
    ----------
    template, shape, texture, composer:
        See :mod:`facekit.assembly`, which loads them.
    detail:
        File of a detail module that you trained; None for the packaged one.
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
        #: Person to make instead of the identity codes; None for any.
        self.person: Person | None = None
        #: True to generate textures in half precision: faster on CUDA, with an error below one 8-bit step.
        self.half = template.verts.is_cuda

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return self.template.verts.device

    @with_torch_defaults
    def decode(
        self, latents: FaceLatents, *, texture: bool = True, detail: bool | str = True, detail_strength: float = 1.0
    ) -> FaceMesh:
        """Make meshes, differentiable with respect to every code: vertices, texture and displacement.

        The forward pass that the pipeline's call wraps. Gradients flow to those fields of ``latents`` that require
        them; the networks' weights are frozen. The graph takes about 0.15 GB of memory per face.

        Parameters
        ----------
        latents:
            Latents of B faces, on any device.
        texture:
            Whether to make the texture, which takes most of the time.
        detail, detail_strength:
            As in the pipeline's call.

        Returns
        -------
        FaceMesh
            Meshes on the pipeline's device; ``texture`` and ``displacement`` are None if not requested.
        """
        codes = self.to_model_codes(latents.to(self.device))
        return self._assemble(codes, texture, detail, detail_strength)[0]

    def _assemble(
        self,
        codes: FaceLatents,
        texture: bool,
        detail: bool | str,
        strength: float,
        rest: torch.Tensor | None = None,
    ) -> tuple[FaceMesh, FaceDetail | None]:
        """Run all steps for codes in the model's own order."""
        strength = check_detail(detail, strength)
        verts = self.decode_shape(codes)
        atlas = None
        if texture:
            atlas = self.skin(codes)
        displacement, parts = self.displace(codes, verts, detail, strength, rest)
        return dataclasses.replace(self.mesh(codes, verts, atlas), displacement=displacement), parts

    # -- the steps --------------------------------------------------------------------------------------------------

    def mesh(self, latents: FaceLatents, verts: torch.Tensor, texture: torch.Tensor | None = None) -> FaceMesh:
        """Return meshes with vertices (B, V, 3) made from these latents, with occlusion of rotated eyes and tongues."""
        mesh = self.template.mesh(verts, texture)
        if not wanted(latents.blendshapes):
            return mesh
        return dataclasses.replace(mesh, ao=self.blendshapes.ao(latents.blendshapes))

    def to_model_codes(self, latents: FaceLatents) -> FaceLatents:
        """Convert expressions to the model's own code: see :attr:`mirrored_pairs`.

        In a pipeline with a person, the other codes are replaced by that person's.
        """
        if self.person is not None:
            latents = self.person.wearing(latents)
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
                worn = sealed(worn, shut, self.blendshapes)
            worn = self.contact[0](worn)
            worn = self._unfolded(own, worn, rest)
        if not wanted(latents.blendshapes):
            worn = worn if self.wall is None or not wanted(own.expression) else self.wall(worn)
            return worn if len(worn) == len(latents) else worn.repeat(len(latents), 1, 1)
        neutral, shapes = rest(), self.blendshapes
        verts = worn + shapes(latents.blendshapes, neutral, self._in_other_order(latents.expression))
        if self.contact is None:
            return self.unfolding(verts, neutral, worn)
        _, lips, lids = self.contact
        # Expressions without blendshapes keep the network's output: contact is only resolved where blendshapes move
        # vertices. Elsewhere the correction fades out, as a hard limit would push surfaces together again.
        still = (1 - (verts - worn).norm(dim=-1, keepdim=True) / _STILL).clamp(0, 1)
        pushed, before = lips(torch.cat((verts, worn))).split((len(verts), len(worn)))
        apart = lids(pushed, shapes.turns(latents.blendshapes)) - still * (lids(before, None) - worn)
        apart = self.unfolding(apart, neutral, worn)
        return apart if self.wall is None else self.wall(apart)

    @with_torch_defaults
    def decode_neutral(self, latents: FaceLatents) -> torch.Tensor:
        """Return the neutral faces (B or 1, V, 3) float32 in mm of these people; one if all are the same person."""
        return self.decode_shape(_once(latents.at_rest()))

    def _regressed(self, latents: FaceLatents) -> torch.Tensor:
        """Return vertices of the shape networks; for a person, the neutral face plus the networks' displacement."""
        posed = self._displaced(latents)
        if self.person is None:
            return self.template.verts + posed + self.raised * (1 - _shut(latents))[..., None]
        if not wanted(latents.expression):
            return self.person.neutral.expand(len(latents), -1, -1)
        rest = self._displaced(latents.at_rest())
        worn = self.person.neutral + posed - rest
        shut = _shut(latents)
        if self.contact is not None and wanted(shut):
            others = self.person.neutral - self.template.verts - rest
            worn = worn + following(others, shut, self.blendshapes)
        return worn

    def _unfolded(self, latents: FaceLatents, worn: torch.Tensor, rest: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return vertices (B, V, 3) without the fold-overs of some expressions; ``rest`` makes the neutral faces."""
        rows = (latents.expression.detach()[:, _FOLDING] > _FOLDED).any(dim=1).nonzero()[:, 0]
        if not len(rows):
            return worn
        return worn.index_copy(0, rows, self.unfolding(worn[rows], rest().expand_as(worn)[rows]))

    def _displaced(self, latents: FaceLatents) -> torch.Tensor:
        return self.shape(latents.shape_noise, latents.identity, latents.style, latents.expression)

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
    def raised(self) -> torch.Tensor:
        """Displacement (V, 3) in mm of resting lids that the networks lack; zero for models without eyeballs."""
        with torch.inference_mode(False):
            return raised_lids(self.template.to("cpu")).to(self.device)

    @functools.cached_property
    def wall(self) -> MouthWall | None:
        """Keeps the oral vestibule's wall behind the skin; None for a model without a full mouth, as the published."""
        if self.contact is None:
            return None
        with torch.inference_mode(False):
            return MouthWall(self.template.to("cpu")).to(self.device)

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

    @with_torch_defaults
    def skin(self, latents: FaceLatents) -> torch.Tensor:
        """Return the whole atlas (B, 3, H, W), sRGB in [0, 1]: from the codes, or the person's own, which does not
        change colour.
        """
        if self.person is not None and self.person.atlas is not None:
            return self.person.atlas.expand(len(latents), -1, -1, -1)
        latents = latents.to(self.device)
        return torch.cat([self.compose(self.decode_texture(c), c) for c in latents.split(_TEXTURE_CHUNK)])

    @with_torch_defaults
    def decode_texture(self, latents: FaceLatents) -> torch.Tensor:
        """Return the generator's raw face tile (B, 3, S, S), sRGB, before clamping and composition.

        Skin colour changes with the expression, and with blendshapes after conversion to expressions.
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

    @with_torch_defaults
    def compose(self, tile: torch.Tensor, latents: FaceLatents) -> torch.Tensor:
        """Compose the whole atlas (B, 3, H, W), sRGB in [0, 1], from the tile: skin around the face, eyes, micro
        detail.
        """
        return self.composer(tile.clamp(0, 1), latents.identity, latents.texture_noise)

    @with_torch_defaults
    def displace(
        self,
        latents: FaceLatents,
        verts: torch.Tensor,
        detail: bool | str = True,
        strength: float = 1.0,
        rest: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor | None, FaceDetail | None]:
        """Return displacement (B, 1, H, W) in mm for faces with these vertices, and its components; None twice for
        ``detail=False``.

        Expressions enter through the vertices alone, which are compared with ``rest``, the result of
        :meth:`decode_neutral`; None to compute it.
        """
        strength = check_detail(detail, strength)
        if detail is False:
            return None, None
        rest = self.decode_neutral(latents) if rest is None else rest
        maps, parts = [], []
        for k in range(0, len(latents), _DETAIL_CHUNK):
            some = slice(k, k + _DETAIL_CHUNK)
            codes = (latents.identity[some], latents.texture_noise[some])
            neutral = rest if len(rest) == 1 else rest[some]
            displacement, part = self.detail_layer(*codes, neutral, verts[some], detail, strength)
            maps.append(displacement)
            parts.append(part)
        return torch.cat(maps), FaceDetail.cat(parts)

    @functools.cached_property
    def wardrobe(self) -> Wardrobe | None:
        """Hair for this model's heads, loaded on first use; None if the model has none."""
        with torch.inference_mode(False):
            return load_wardrobe(self.template)

    @torch.no_grad()
    def dress(
        self, latents: FaceLatents, verts: torch.Tensor, hair: str | None = "auto", rest: torch.Tensor | None = None
    ) -> tuple[Hair | None, ...]:
        """Return hair, beard, brows and lashes of faces with these codes and vertices (B, V, 3); empty if none.

        Parameters
        ----------
        hair:
            A style's name, "bald" for no hair on the scalp, None for nothing; "auto" for the identity's or the person's
            style, or nothing for a model without hair. A beard may follow after a plus sign: "short01+goatee",
            "auto+shaven"; by default it is the identity's.
        rest:
            Result of :meth:`decode_neutral`; None to compute it.
        """
        style, _, beard = (hair or "").partition("+")
        if style == "auto" and self.person is not None:
            style, _, own = (self.person.hair or "").partition("+")
            beard = beard or own
        if not style or (style == "auto" and self.wardrobe is None):
            return ()
        wardrobe, composer = self.wardrobe, self.composer
        if wardrobe is None or not isinstance(composer, DefaultComposer):
            raise InputError("a model with hair", f"one without, and hair={hair!r}", 'use "default", or hair=None')
        latents = latents.to(self.device)
        traits = composer.micro.projections(latents.identity)
        count = len(latents)
        styles = [style] * count if style != "auto" else choose_hair(traits, wardrobe.styles)
        # A photograph's skin has its own brows and beard.
        drawn = self.person is None or self.person.atlas is None
        own = choose_beards(traits) if drawn else [SHAVEN] * count
        beards, lashes = [beard] * count if beard else own, choose_lashes(traits, wardrobe.lashes)
        cards = [wardrobe.cards(Outfit(*names, drawn)) for names in zip(styles, lashes, beards, strict=True)]
        brows = self.brows(latents)
        colours = composer.micro.hair_colour(latents.identity)
        rest = self.decode_neutral(latents) if rest is None else rest
        if self.person is not None and self.person.hair_colour is not None:
            colours = self.person.hair_colour.to(colours).expand(count, 3)
        places: list[torch.Tensor | None] = [None] * count
        for one in {id(c): c for c in cards}.values():
            mine = torch.tensor([k for k in range(count) if cards[k] is one], device=self.device)
            for some in mine.split(_HAIR_CHUNK):
                worn = wardrobe.wear(one, rest if len(rest) == 1 else rest[some], verts[some], brows[some])
                for k, place in zip(some.tolist(), worn, strict=True):
                    places[k] = place
        return tuple(Hair(c, p, t) for c, p, t in zip(cards, places, colours, strict=True) if p is not None)

    def brows(self, latents: FaceLatents) -> Brows:
        """Return the brows of people with these model codes, for models with hair."""
        assert self.wardrobe is not None and isinstance(self.composer, DefaultComposer)
        traits = self.composer.micro.projections(latents.identity)
        return self.wardrobe.facial.brows_of(latents.identity, latents.texture_noise, traits)

    def turned_hair(self, hair: tuple[Hair | None, ...], neck: Neck, head: torch.Tensor) -> tuple[Hair | None, ...]:
        """Rotate hair with the heads, at angles (B, 3) in degrees, like the vertices."""
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
        """Detail module on this model's topology, loaded on first use."""
        with torch.inference_mode(False):
            return load_detail(self.template, self.composer.size, self.detail)


def _once(latents: FaceLatents) -> FaceLatents:
    """Return the first face of latents that differ in blendshapes only, as frames of a motion do; otherwise all.

    Latents with gradients are never reduced: each face has a graph of its own.
    """
    return latents[:1] if alike(*(getattr(latents, name) for name in _SHAPED)) else latents


def _shut(latents: FaceLatents) -> torch.Tensor:
    """Return how far expressions close the eyes, (B, 1) in [0, 1]."""
    return latents.expression[:, EXPRESSIONS.index("eye_closed"), None].clamp(0, 1)
