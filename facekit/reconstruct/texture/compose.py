"""compose_texture(): make the whole atlas from pictures of a head with known shape and pose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.checks import one_of, whole
from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.conventions import EXPRESSION_DIM, SHAPE_NOISE_DIM
from facekit.errors import InputError
from facekit.geometry.charts import rect_box
from facekit.latents import FaceLatents
from facekit.models.composers import DefaultComposer
from facekit.models.composers.complexion import without_blotches
from facekit.reconstruct import TEXTURES
from facekit.reconstruct.texture import eyes, mask
from facekit.reconstruct.texture.complete import FLOOR, Fused, complete, fuse, membrane, without_stains
from facekit.reconstruct.texture.delight import COARSE, Delit, delight, trait_direction
from facekit.reconstruct.texture.grid import TileGrid, atlas_masks
from facekit.reconstruct.texture.lighting import Terms
from facekit.reconstruct.texture.neck import neck_colour, with_neck
from facekit.reconstruct.texture.segment import network, segmented
from facekit.reconstruct.texture.views import Texels, View
from facekit.render import Camera, Lights
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: "gan" is the network's own texture, "photo" uses the pictures' texels alone, "blend" both.
_LITTLE, _DARK = 0.25, 0.15
#: Loss of weight of skin that the expression in a picture folds.
_FOLDED = 0.95
#: Offset of the trait of stubble, in standard deviations, where the network completes skin.
_STUBBLE = 0.8


@dataclass(frozen=True)
class TextureResult:
    """Texture from pictures.

    Parameters
    ----------
    albedo:
        (1, 3, S, S) float32 sRGB: the whole atlas, as in :attr:`facekit.FaceOutput.texture`.
    codes:
        Latents (B = 1) with the closest texture of the network; only ``identity``, ``style`` and ``texture_noise``
        matter.
    lights:
        Lights of each picture in its camera's frame.
    seen:
        (1, 1, S, S) float32 in [0, 1]: texels that come from pictures.
    notes:
        Warnings for the user.
    """

    albedo: torch.Tensor
    codes: FaceLatents
    lights: list[Lights]
    seen: torch.Tensor
    notes: list[str]


@dataclass(frozen=True)
class PictureStudy:
    """Light, codes and skin masks of pictures; :meth:`texture` makes an atlas from them in any mode.

    Parameters
    ----------
    pipe:
        The model.
    views:
        The head in each picture.
    found:
        Estimated codes and lights.
    grid:
        Texels of the coarse tile.
    skins:
        (P,) in [0, 1] per picture, over the grid's texels: skin mask.
    folds:
        (V, K) in [0, 1] per vertex: how much the expression in each picture folds the skin.
    neck:
        (3,) linear: albedo of the neck in the pictures that have colour, None if it is not seen.
    """

    pipe: FacePipeline
    views: list[View]
    found: Delit
    grid: TileGrid
    skins: list[torch.Tensor]
    folds: torch.Tensor
    neck: torch.Tensor | None

    @classmethod
    @with_torch_defaults
    def of(
        cls,
        pictures: Sequence[torch.Tensor],
        verts: torch.Tensor,
        cameras: Camera | Sequence[Camera],
        pipe: FacePipeline,
        neutral: torch.Tensor | None = None,
    ) -> PictureStudy:
        """Estimate light, codes and skin masks; see :func:`compose_texture` for the arguments."""
        count = len(pictures)
        if not count or len(verts) != count or len(cameras) != count:
            got = f"{count} pictures, {len(verts)} shapes, {len(cameras)} cameras"
            raise InputError("one or more pictures, with a shape and a camera for each", got, "match their numbers")
        if verts.shape[1:] != pipe.template.verts.shape:
            got = f"{tuple(verts.shape)}"
            raise InputError(f"vertices (K, {len(pipe.template.verts)}, 3)", got, "pose this model's head")
        # Gradients are needed for light and codes; a caller's inference mode would forbid them.
        with torch.inference_mode(False):
            views = [_view(*one, pipe) for one in zip(pictures, verts, (cameras[k] for k in range(count)), strict=True)]
            grid = TileGrid.of(pipe.template, COARSE)
            region = mask.region(pipe, grid)
            with torch.enable_grad():
                found = delight(pipe, views, grid, masks=[region] * count)
            with torch.no_grad():
                drawn, skins, necks = _coarse_tile(pipe, grid, found), [], []
                spread = grid.gather(mask.spread_of_skins(pipe.texture, COARSE))
                for view, light in zip(views, found.lights, strict=True):
                    seen = view.texels(grid)
                    terms = light.terms(seen.geometry)
                    photo = _albedo(view, terms, seen, drawn)
                    skin = mask.skin_mask(grid, photo, drawn, seen, spread)
                    skins.append(mask.in_one_piece(grid, region * mask.shrunk(grid, skin * seen.bare)))
                    if not view.grey:
                        necks.append((photo, seen.shaven * terms.told(seen.colour)))
                neck = neck_colour(grid, pipe.template, necks)
            folds = verts.new_zeros(verts.shape[1], count)
            if neutral is not None:
                with torch.no_grad():
                    layer = pipe.detail_layer
                    folds = layer.weights(layer.strain(neutral[None].detach(), verts.detach()))[0].T
        return cls(pipe, views, found, grid, skins, folds, neck)

    @with_torch_defaults
    @torch.no_grad()
    def texture(self, mode: str = "blend", size: int = 1024) -> TextureResult:
        """Make the atlas; see :func:`compose_texture`."""
        one_of(mode, TEXTURES, "a texture mode")
        size = whole(size, "size", 256, 4096)
        pipe, found = self.pipe, self.found
        identity = _shaven(pipe, found.identity)
        codes = FaceLatents(
            identity=identity,
            expression=torch.zeros(1, EXPRESSION_DIM),
            shape_noise=torch.zeros(1, SHAPE_NOISE_DIM),
            texture_noise=without_blotches(found.texture_noise),
            style=identity.clone(),
        )
        drawn = pipe.compose(pipe.decode_texture(codes), codes)
        if size != drawn.shape[-1]:
            drawn = F.interpolate(drawn, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
        tile = rect_box(pipe.template.tile_rect, size, size)
        grid = _tile_grid(pipe, size)
        linear = srgb_to_linear(drawn[0, :, tile[0], tile[1]])
        fused = self._fused(grid, linear)
        atlas = drawn
        if mode != "gan":
            made = (
                membrane(grid, fused)
                if mode == "photo"
                else complete(grid, without_stains(grid, fused, linear), linear)
            )
            atlas = drawn.clone()
            atlas[0, :, tile[0], tile[1]] = linear_to_srgb(made)
            skin, teeth = atlas_masks(pipe.template, size)
            atlas = _back_toned(skin, atlas, drawn, tile)
            if isinstance(pipe.composer, DefaultComposer):
                if self.neck is not None:
                    atlas = with_neck(pipe.composer.neck.cover, atlas, self.neck)
                coloured = [pair for pair in zip(self.views, found.lights, strict=True) if not pair[0].grey]
                iris = eyes.iris_colour(pipe, coloured, found.identity)
                atlas = eyes.with_iris(pipe.composer, atlas, iris)
                atlas = eyes.with_teeth(teeth, atlas, eyes.teeth_tone(pipe, coloured))
        seen = torch.zeros(1, 1, size, size)
        seen[0, :, tile[0], tile[1]] = grid.spread(fused.weight[None])
        return TextureResult(atlas, codes, [light.lights() for light in found.lights], seen, self._notes(grid, fused))

    def _fused(self, grid: TileGrid, drawn: torch.Tensor) -> Fused:
        """Return the pictures' albedo, given the network's tile (3, S, S), linear."""
        albedos, weights, spans, beards = [], [], [], []
        folds, own = grid.bake(self.folds).clamp(0, 1), grid.gather(drawn)
        for view, light, skin, fold in zip(self.views, self.found.lights, self.skins, folds, strict=True):
            seen = view.texels(grid)
            fine = F.interpolate(self.grid.spread(skin[None])[None], size=(grid.size, grid.size), mode="bilinear")[0]
            terms = light.terms(seen.geometry)
            albedos.append(_albedo(view, terms, seen, own))
            # What the expression folds is furrows and their shade, which the face at rest does not have.
            weights.append(seen.weight * terms.told(seen.colour) * grid.gather(fine)[0] * (1 - _FOLDED * fold))
            spans.append(seen.span)
            beards.append(seen.bearded)
        return fuse(albedos, weights, spans, beards)

    def _notes(self, grid: TileGrid, fused: Fused) -> list[str]:
        notes = []
        if not self.found.whites:
            notes.append("No white of an eye is seen: how dark the skin is and how bright the light is a guess.")
        region = mask.region(self.pipe, grid)
        share = float((fused.weight * region).sum() / region.sum().clamp_min(1))
        if share < _LITTLE:
            notes.append(f"Only {share:.0%} of the face is seen well: the rest is made up.")
        if max(float(light.level().mean()) for light in self.found.lights) < _DARK:
            notes.append("The pictures are dark: colours are uncertain.")
        return notes


def compose_texture(
    pictures: Sequence[torch.Tensor],
    verts: torch.Tensor,
    cameras: Camera | Sequence[Camera],
    neutral: torch.Tensor | None,
    pipe: FacePipeline,
    *,
    mode: str = "blend",
    size: int = 1024,
) -> TextureResult:
    """Make a person's atlas from pictures.

    Parameters
    ----------
    pictures:
        K pictures (H, W, 3), sRGB, float32 in [0, 1] or uint8, of any size.
    verts:
        (K, V, 3) float32 mm: the head posed as in each picture.
    cameras:
        One per picture.
    neutral:
        (V, 3) float32 mm: the neutral head; None if unknown. Skin that an expression folds counts less.
    mode:
        One of :data:`facekit.reconstruct.TEXTURES`.
    size:
        Texels along a side of the atlas.

    Raises
    ------
    InputError
        If numbers or shapes do not match, the mode is unknown, or a head lies outside of its picture.
    """
    one_of(mode, TEXTURES, "a texture mode")
    return PictureStudy.of(pictures, verts, cameras, pipe, neutral).texture(mode, size)


@torch.no_grad()
def prepare_texture(pipe: FacePipeline, size: int) -> None:
    """Make what all textures of a model share, which is cached; for threads beside what comes before them."""
    _ = pipe.detail_layer, mask.spread_of_skins(pipe.texture, COARSE)
    _ = _tile_grid(pipe, size), atlas_masks(pipe.template, size)


def _tile_grid(pipe: FacePipeline, size: int) -> TileGrid:
    """Return the grid of the tile in an atlas of ``size`` texels per side."""
    rows, _ = rect_box(pipe.template.tile_rect, size, size)
    return TileGrid.of(pipe.template, rows.stop - rows.start)


def _view(picture: torch.Tensor, verts: torch.Tensor, camera: Camera, pipe: FacePipeline) -> View:
    if picture.ndim != 3 or picture.shape[2] != 3 or not (picture.is_floating_point() or picture.dtype == torch.uint8):
        got = f"{tuple(picture.shape)} {picture.dtype}"
        raise InputError("pictures (H, W, 3), float in [0, 1] or uint8", got, "see facekit.files.images.to_float")
    with torch.no_grad():
        view = View.of(picture.detach(), verts.detach().float(), camera, pipe.template)
        bare, bearded = segmented(network(), view, pipe.template).split(1)
        return dataclasses.replace(view, bare=bare, bearded=bearded)


def _albedo(view: View, terms: Terms, seen: Texels, drawn: torch.Tensor) -> torch.Tensor:
    """Return a picture's linear albedo (3, P); without colour, in the hues of the network's (3, P)."""
    return terms.invert(terms.coloured(seen.colour, drawn) if view.grey else seen.colour)


def _shaven(pipe: FacePipeline, identity: torch.Tensor) -> torch.Tensor:
    """Return codes (1, 20) with less stubble than was found: shade under the jaw looks like it."""
    stubble = trait_direction(pipe, "stubble")
    return identity if stubble is None else identity - _STUBBLE * stubble


def _coarse_tile(pipe: FacePipeline, grid: TileGrid, found: Delit) -> torch.Tensor:
    """Return the network's linear albedo (3, P) at the grid's texels."""
    rest = torch.zeros(1, EXPRESSION_DIM)
    tile = pipe.texture.coarse(found.texture_noise, found.identity, rest, grid.size)[0]
    return srgb_to_linear(grid.gather(tile).clamp(0, 1))


def _back_toned(
    skin: torch.Tensor, atlas: torch.Tensor, drawn: torch.Tensor, tile: tuple[slice, slice]
) -> torch.Tensor:
    """Match the back of the head, skin (1, 1, S, S) outside of the tile, to the tone at the tile's edge."""
    back = skin.clone()
    back[..., tile[0], tile[1]] = 0.0
    ends = [srgb_to_linear(_edges(picture[0, :, tile[0], tile[1]])) + FLOOR for picture in (atlas, drawn)]
    toned = linear_to_srgb((srgb_to_linear(drawn) * (ends[0] / ends[1])[:, None, None]).clamp(0, 1))
    return torch.lerp(atlas, toned, back)


def _edges(tile: torch.Tensor) -> torch.Tensor:
    """Return the mean colour (3,) of a tile's outermost texels."""
    return torch.cat((tile[:, 0], tile[:, -1], tile[:, :, 0], tile[:, :, -1]), 1).mean(1)
