"""compose_texture: from pictures of a head whose shape and pose are known to its whole atlas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.checks import one_of, whole
from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.conventions import EXPRESSION_DIM
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.plainly import plainly
from facekit.models.composers import DefaultComposer
from facekit.reconstruct.texture import complete, eyes, mask
from facekit.reconstruct.texture.delight import COARSE, Delit, delight
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.views import View
from facekit.render import Camera, Lights

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: "gan" is the network's own texture, "photo" the pictures' texels and nothing else, "blend" both.
MODES = ("blend", "photo", "gan")


@dataclass(frozen=True)
class TextureResult:
    """What pictures tell about a head's colours.

    Parameters
    ----------
    albedo:
        (1, 3, S, S) float32 sRGB, the whole atlas, as :attr:`facekit.FaceOutput.texture` has it.
    identity, texture_noise:
        (1, 20) and (1, 128) float32: codes of the texture network, whose atlas comes nearest.
    lights:
        Of each picture, around its camera.
    seen:
        (1, 1, S, S) float32 in [0, 1]: which texels come out of pictures.
    notes:
        Warnings, in sentences.
    """

    albedo: torch.Tensor
    identity: torch.Tensor
    texture_noise: torch.Tensor
    lights: list[Lights]
    seen: torch.Tensor
    notes: list[str]

    @property
    def codes(self) -> dict[str, torch.Tensor]:
        """The texture's latents, by their names in :class:`facekit.FaceLatents`."""
        return {"identity": self.identity, "texture_noise": self.texture_noise}


@plainly
def compose_texture(
    pictures: Sequence[torch.Tensor],
    verts: torch.Tensor,
    cameras: Camera | Sequence[Camera],
    neutral: torch.Tensor,
    pipe: FacePipeline,
    *,
    mode: str = "blend",
    size: int = 1024,
) -> TextureResult:
    """Make the atlas of a person out of pictures.

    Parameters
    ----------
    pictures:
        K pictures (H, W, 3) float32, sRGB in [0, 1], of any sizes.
    verts:
        (K, V, 3) float32 mm, the head posed as in each.
    cameras:
        One a picture.
    neutral:
        (V, 3) float32 mm, the person at rest.
    mode:
        Out of :data:`MODES`.
    size:
        Texels along a side of the atlas, a multiple of 256.

    Raises
    ------
    InputError
        For numbers or shapes that do not fit together, another mode, and a head that lies outside of its picture.
    """
    one_of(mode, MODES, "a texture mode")
    size = whole(size, "size", 256, 4096)
    views = _views(pictures, verts, cameras, pipe)
    coarse = TileGrid.of(pipe.template, COARSE)
    with torch.enable_grad(), torch.inference_mode(False):
        found, skins = _found(pipe, views, coarse)
    with torch.no_grad():
        return _composed(pipe, views, coarse, found, skins, mode, size)


def _views(
    pictures: Sequence[torch.Tensor], verts: torch.Tensor, cameras: Camera | Sequence[Camera], pipe: FacePipeline
) -> list[View]:
    count = len(pictures)
    if not count or len(verts) != count or len(cameras) != count:
        got = f"{count} pictures, {len(verts)} shapes, {len(cameras)} cameras"
        raise InputError("one or more pictures, a shape and a camera for each", got, "match their numbers")
    if verts.shape[1:] != pipe.template.verts.shape:
        raise InputError(f"vertices (K, {len(pipe.template.verts)}, 3)", f"{tuple(verts.shape)}", "pose this model's head")
    views = []
    for k, picture in enumerate(pictures):
        if picture.ndim != 3 or picture.shape[2] != 3 or not picture.is_floating_point():
            raise InputError("pictures (H, W, 3), float", f"{tuple(picture.shape)} {picture.dtype}", "see facekit.files.images")
        views.append(View.of(picture, verts[k].float(), cameras[k], pipe.template))
    return views


def _found(pipe: FacePipeline, views: list[View], grid: TileGrid) -> tuple[Delit, list[torch.Tensor]]:
    """Codes and lights, and what of each picture is skin of theirs."""
    region = mask.region(pipe, grid)
    found = delight(pipe, views, grid, masks=[region] * len(views))
    with torch.no_grad():
        drawn, spread, skins = _coarse_tile(pipe, grid, found), mask.spread_of_skins(pipe, grid), []
        for view, light in zip(views, found.lights, strict=True):
            seen = view.texels(grid)
            photo = light.invert(seen.colour, seen.geometry)
            skins.append(region * mask.skin_mask(grid, photo, drawn, seen.weight, spread))
    return found, skins


def _coarse_tile(pipe: FacePipeline, grid: TileGrid, found: Delit) -> torch.Tensor:
    rest = torch.zeros(1, EXPRESSION_DIM)
    return srgb_to_linear(grid.gather(pipe.texture.coarse(found.texture_noise, found.identity, rest, grid.size)[0]).clamp(0, 1))


def _composed(
    pipe: FacePipeline, views: list[View], coarse: TileGrid, found: Delit, skins: list[torch.Tensor], mode: str, size: int
) -> TextureResult:
    codes = FaceLatents(
        identity=found.identity,
        expression=torch.zeros(1, EXPRESSION_DIM),
        shape_noise=torch.zeros(1, 5),
        texture_noise=found.texture_noise,
        style=found.identity,
    )
    drawn = pipe.compose(pipe.decode_texture(codes), codes)
    if size != drawn.shape[-1]:
        drawn = F.interpolate(drawn, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    u0, v0, u1, v1 = pipe.template.tile_rect
    rows, columns = slice(round((1 - v1) * size), round((1 - v0) * size)), slice(round(u0 * size), round(u1 * size))
    grid = TileGrid.of(pipe.template, rows.stop - rows.start)
    albedos, weights, spans = [], [], []
    for view, light, skin in zip(views, found.lights, skins, strict=True):
        seen = view.texels(grid)
        fine = F.interpolate(coarse.spread(skin[None])[None], size=(grid.size, grid.size), mode="bilinear")[0]
        albedos.append(light.invert(seen.colour, seen.geometry))
        weights.append(seen.weight * grid.gather(fine)[0])
        spans.append(seen.span)
    fused = complete.fuse(albedos, weights, spans)
    atlas, tile = drawn.clone(), drawn[0, :, rows, columns]
    if mode != "gan":
        linear = srgb_to_linear(tile)
        made = complete.complete(grid, fused, linear) if mode == "blend" else complete.nearest(grid, fused)
        atlas[0, :, rows, columns] = linear_to_srgb(made)
        atlas = _back_toned(pipe, atlas, drawn, (rows, columns))
        if isinstance(pipe.composer, DefaultComposer):
            atlas = eyes.with_iris(pipe.composer, atlas, eyes.iris_colour(pipe, views, found.lights, found.identity))
            atlas = eyes.with_teeth(pipe, atlas, eyes.teeth_tone(pipe, views, found.lights))
    seen = torch.zeros(1, 1, size, size)
    seen[0, :, rows, columns] = grid.spread(fused.weight[None])
    notes = []
    if not found.whites:
        notes.append("No white of an eye is seen: how dark skin and light are is a guess.")
    return TextureResult(atlas, found.identity, found.texture_noise, [light.lights() for light in found.lights], seen, notes)


def _back_toned(
    pipe: FacePipeline, atlas: torch.Tensor, drawn: torch.Tensor, tile: tuple[slice, slice]
) -> torch.Tensor:
    """Bring the back of the head, which lies outside of the tile, to the tone in which the tile now ends."""
    size = atlas.shape[-1]
    grid = TileGrid.of(pipe.template, size, (0.0, 0.0, 1.0, 1.0))
    back = F.max_pool2d(grid.spread(grid.skin.float()[None])[None], 9, 1, 4)
    back[..., tile[0], tile[1]] = 0.0
    ends = [_border_tone(picture[0, :, tile[0], tile[1]]) for picture in (atlas, drawn)]
    ratio = (srgb_to_linear(ends[0]) + complete.FLOOR) / (srgb_to_linear(ends[1]) + complete.FLOOR)
    toned = linear_to_srgb((srgb_to_linear(drawn) * ratio[:, None, None]).clamp(0, 1))
    return torch.lerp(atlas, toned, back)


def _border_tone(tile: torch.Tensor) -> torch.Tensor:
    """The mean (3,) of a tile's outermost texels."""
    edges = (tile[:, 0], tile[:, -1], tile[:, :, 0], tile[:, :, -1])
    return torch.cat(edges, 1).mean(1)
