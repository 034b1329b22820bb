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
from facekit.reconstruct.texture import complete, mask
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
        found, skins = _in_two_rounds(pipe, views, coarse)
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


def _in_two_rounds(pipe: FacePipeline, views: list[View], grid: TileGrid) -> tuple[Delit, list[torch.Tensor]]:
    """Codes, lights and masks: what the first round finds odd does not count in the second."""
    region, spread = mask.region(pipe, grid), mask.spread_of_skins(pipe, grid)
    found = delight(pipe, views, grid, masks=[region] * len(views))
    skins = []
    for view, light in zip(views, found.lights, strict=True):
        seen = view.texels(grid)
        with torch.no_grad():
            drawn = _coarse_tile(pipe, grid, found)
            skins.append(region * mask.skin_mask(grid, light.invert(seen.colour, seen.geometry), drawn, seen.weight, spread))
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
    seen = torch.zeros(1, 1, size, size)
    seen[0, :, rows, columns] = grid.spread(fused.weight[None])
    notes = []
    if not found.whites:
        notes.append("No white of an eye is seen: how dark skin and light are is a guess.")
    return TextureResult(atlas, found.identity, found.texture_noise, [light.lights() for light in found.lights], seen, notes)
