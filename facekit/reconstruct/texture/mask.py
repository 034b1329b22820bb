"""Skin mask: exclude hair, glasses, hats, hands and background.

Two rules. Where people usually have hair or clothes, on the scalp, behind the ears, far down the neck, nothing is taken
from pictures. Elsewhere a texel counts if its albedo is plausible for the estimated skin; how far skins differ at each
texel (brows, lips and beards do, cheeks do not) is measured on samples of the texture network.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import srgb_to_linear
from facekit.conventions import CHIN, EXPRESSION_DIM, NOSE_TIP
from facekit.geometry.charts import step
from facekit.latents import FaceLatents
from facekit.models.texture import TextureModel
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.views import Texels

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Distances from the nose tip, mm, at which the weight starts to fall, and at which it is 0.
_REACH = (88.0, 112.0)
#: The same below the chin, and behind the front of the ears.
_NECK, _EARS = (6.0, 30.0), (4.0, 22.0)
#: Number of sampled people to measure the variation of skin, and of those drawn at once.
_PEOPLE, _AT_ONCE = 24, 4
#: Standard deviations of log albedo from errors in the light: darker, brighter, and in colour.
_BRIGHTNESS, _GLEAM, _COLOUR = 0.20, 0.13, 0.09
#: Offset added to albedo before the logarithm: what skin mirrors is as bright on dark skin as on light, and would count
#: several times as much there.
_LIFT = 0.05
#: Deviations at which a texel starts to be rejected, and is fully rejected.
_ODD = (1.5, 2.6)
#: Rows and columns of the tile with nose and cheeks, as fractions of its side.
_MIDDLE = ((0.34, 0.5), (0.28, 0.72))
#: The same for eyes, nose and mouth.
_FEATURES = ((0.17, 0.66), (0.21, 0.79))
#: Erosion and blur of the coarse mask, in coarse texels.
_SHRINK, _SOFT = 3, 3


def region(pipe: FacePipeline, grid: TileGrid) -> torch.Tensor:
    """Return weights (P,) in [0, 1] over the grid's texels: 0 where people usually have hair or clothes."""
    template = pipe.template
    verts, marks = template.verts, template.verts[template.landmarks]
    away = (verts - marks[NOSE_TIP]).norm(dim=1)
    below, behind = marks[CHIN, 1] - verts[:, 1], marks[[0, 16], 2].mean() - verts[:, 2]
    known = step(away, *_REACH[::-1]) * step(below, *_NECK[::-1]) * step(behind, *_EARS[::-1])
    found = grid.bake(known[:, None])[0]
    micro = getattr(pipe.composer, "micro", None)
    if micro is None:
        return found
    side = int(micro.layers.shape[1] ** 0.5)  # of the map of close-cropped hair, the last layer
    scalp = F.interpolate(micro.layers[4].view(1, 1, side, side), size=(grid.size, grid.size), mode="area")[0]
    return found * step(grid.gather(scalp)[0], 0.45, 0.1)


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def spread_of_skins(texture: TextureModel, size: int) -> torch.Tensor:
    """Return the standard deviation (2, S, S) of log albedo between people in a tile of ``size`` texels per side, in
    brightness and colour; cached.

    Relative to each person's mean tone, and to neighbouring texels, as features are not at the same place in everyone.
    """
    people = FaceLatents.sample(0, _PEOPLE)
    rows = zip(*(codes.split(_AT_ONCE) for codes in (people.texture_noise, people.identity)), strict=True)
    tiles = torch.cat([texture.coarse(n, i, torch.zeros(len(n), EXPRESSION_DIM), size) for n, i in rows])
    logs = (srgb_to_linear(tiles.clamp(0.01, 1)) + 0.01).log()
    logs = logs - logs.flatten(2).median(2).values[..., None, None]
    grey = logs.mean(1, keepdim=True)
    parts = torch.cat((grey, (logs - grey).square().sum(1, keepdim=True).sqrt()), 1)
    return F.max_pool2d(2.2 * parts.square().mean(0).sqrt()[None], 7, 1, 3)[0]


def skin_mask(
    grid: TileGrid, photo: torch.Tensor, drawn: torch.Tensor, seen: Texels, spread: torch.Tensor
) -> torch.Tensor:
    """Separate skin from occluders.

    Parameters
    ----------
    grid:
        The coarse tile.
    photo, drawn:
        (3, P) linear albedo: from the picture, and from the network.
    seen:
        The picture at the grid's texels.
    spread:
        (2, P): :func:`spread_of_skins` at the grid's texels.

    Returns
    -------
    torch.Tensor
        (P,) in [0, 1].
    """
    off = (photo + _LIFT).log() - (drawn + _LIFT).log()
    grey = off.mean(0)
    weight = seen.shaven
    known = weight > 0.3
    if bool(known.any()):
        grey = grey - grey[known].median()
    tint = (off - off.mean(0)).square().sum(0).sqrt()
    # Specular highlights that the estimated light does not explain are brighter than skin, and would look like paint.
    room = torch.where(grey > 0, _GLEAM, _BRIGHTNESS) + spread[0]
    odd = torch.stack((grey / room, tint / (_COLOUR + spread[1])))
    # Details finer than a mole are not occluders.
    calm = [_averaged(grid, row, weight) for row in odd]
    # A beard has any colour of hair.
    score = torch.maximum(calm[0].abs(), calm[1].abs()) * (1 - seen.bearded)
    skin = grid.spread(step(score, *_ODD[::-1])[None], 1.0)
    shrunk = -F.max_pool2d(-skin[None], _SHRINK, 1, _SHRINK // 2)
    return grid.gather(F.avg_pool2d(shrunk, _SOFT, 1, _SOFT // 2, count_include_pad=False)[0].minimum(shrunk[0]))[0]


def shrunk(grid: TileGrid, weight: torch.Tensor) -> torch.Tensor:
    """Erode weights (P,) by some 5 mm, or half of that around eyes, nose and mouth.

    Half a strand of hair in a texel is enough to spread its colour over the forehead.
    """
    picture = -grid.spread(weight[None], 1.0)[None]
    near, far = (-F.max_pool2d(picture, width, 1, width // 2)[0] for width in (3, 7))
    place = (torch.arange(grid.size) + 0.5) / grid.size
    rows, columns = ((place > low) & (place < high) for low, high in _FEATURES)
    return grid.gather(torch.where(rows[:, None] & columns[None, :], near, far))[0]


def in_one_piece(grid: TileGrid, weight: torch.Tensor) -> torch.Tensor:
    """Keep the connected region of weights (P,) around the middle of the face; skin between strands of a fringe is
    removed.

    Flood fill from nose and cheeks over texels of weight 0.5 or more, in 128 steps of one texel.
    """
    open_ = (grid.spread(weight[None])[None] > 0.5).float()
    place = (torch.arange(grid.size) + 0.5) / grid.size
    rows, columns = ((place > low) & (place < high) for low, high in _MIDDLE)
    reached = open_ * (rows[:, None] & columns[None, :])
    for _ in range(128):
        grown = F.max_pool2d(reached, 3, 1, 1) * open_
        if bool((grown == reached).all()):
            break
        reached = grown
    # Texels of lower weight belong to the border of the region.
    near = F.max_pool2d(reached, 7, 1, 3)[0]
    return weight * grid.gather(near)[0]


def _averaged(grid: TileGrid, row: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted 3 x 3 mean of a row (P,)."""
    rows = grid.spread(torch.stack((row * weight, weight)))
    total, count = F.avg_pool2d(rows[None], 3, 1, 1)[0]
    return grid.gather((total / count.clamp_min(1e-4))[None])[0]
