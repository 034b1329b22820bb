"""FaceDecoder: the differentiable forward pass from codes to meshes, one method per step."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facekit.assembly import load_detail, load_wardrobe
from facekit.detail import FaceDetail, check_detail
from facekit.errors import InputError
from facekit.hair import Hair
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.models.blendshapes import wanted
from facekit.models.composers import Composer, DefaultComposer
from facekit.models.detail_layer import DetailLayer
from facekit.models.facial_hair import SHAVEN
from facekit.models.grooming import Grooming
from facekit.models.hair import Outfit, Wardrobe
from facekit.models.hair_choice import choose_beards, choose_hair, choose_lashes
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.shape_decoder import ShapeDecoder
from facekit.template import Template
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from facekit.motion.head import Neck

# Number of faces whose textures, detail and hair are made at once: more is not faster on a CPU and costs memory.
_TEXTURE_CHUNK, _DETAIL_CHUNK, _HAIR_CHUNK = 4, 16, 8


class FaceDecoder(ShapeDecoder):
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
        super().__init__(template, shape, isinstance(composer, DefaultComposer))
        self.texture, self.composer = texture, composer
        self.detail = detail
        #: True to generate textures in half precision: faster on CUDA, with an error below one 8-bit step.
        self.half = template.verts.is_cuda

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
        grooming = self.grooming(latents)
        colours = composer.micro.hair_colour(latents.identity)
        rest = self.decode_neutral(latents) if rest is None else rest
        if self.person is not None and self.person.hair_colour is not None:
            colours = self.person.hair_colour.to(colours).expand(count, 3)
        places: list[torch.Tensor | None] = [None] * count
        for one in {id(c): c for c in cards}.values():
            mine = torch.tensor([k for k in range(count) if cards[k] is one], device=self.device)
            for some in mine.split(_HAIR_CHUNK):
                worn = wardrobe.wear(one, rest if len(rest) == 1 else rest[some], verts[some], grooming[some])
                for k, place in zip(some.tolist(), worn, strict=True):
                    places[k] = place
        return tuple(Hair(c, p, t) for c, p, t in zip(cards, places, colours, strict=True) if p is not None)

    def grooming(self, latents: FaceLatents) -> Grooming:
        """Return how people with these model codes wear their hair, for models with hair."""
        assert self.wardrobe is not None and isinstance(self.composer, DefaultComposer)
        shape, traits = self.composer.brows, self.composer.micro.projections(latents.identity)
        form = shape.form(latents.identity, latents.texture_noise, traits)
        brows = self.wardrobe.facial.brows_of(shape, form, latents.texture_noise)
        return Grooming.of(brows, latents.texture_noise) if self.person is None else Grooming.plain(brows)

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
