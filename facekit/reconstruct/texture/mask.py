"""What is skin, and whose: hair, glasses, hats, hands and background kept out.

Two rules. Where people have hair or clothes mostly, on the scalp, behind the ears, far down the neck, nothing is taken
from pictures. Elsewhere a texel counts as far as its albedo is one that the found skin may have: how far skins differ
at a place (brows, lips and beards do, cheeks do not) is read off the texture network itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import srgb_to_linear
from facekit.conventions import CHIN, EXPRESSION_DIM, NOSE_TIP
from facekit.geometry.charts import step
from facekit.latents import FaceLatents
from facekit.reconstruct.texture.grid import TileGrid

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Distances from the nose's tip, mm, from which on less, and from which on nothing is taken.
_REACH = (88.0, 112.0)
#: Likewise below the chin, and behind the ears' front.
_NECK, _EARS = (6.0, 30.0), (4.0, 22.0)
#: People that tell how far skins differ.
_PEOPLE = 24
#: Deviation of the logarithm of albedo that light which is not quite known makes: darker, brighter, and in colour.
_BRIGHTNESS, _GLEAM, _COLOUR = 0.20, 0.11, 0.09
#: Deviations from which on, and from which on wholly, a texel is no skin.
_ODD = (1.5, 2.6)
#: Rows and columns of the tile where nose and cheeks lie, as shares of its side.
_MIDDLE = ((0.34, 0.5), (0.28, 0.72))
#: Likewise of eyes, nose and mouth.
_FEATURES = ((0.20, 0.66), (0.27, 0.73))
#: What the coarse mask is shrunk and softened by, in coarse texels.
_SHRINK, _SOFT = 3, 3


def region(pipe: FacePipeline, grid: TileGrid) -> torch.Tensor:
    """Return where people have neither hair nor clothes, mostly: (P,) in [0, 1] over the grid's texels."""
    template = pipe.template
    verts, marks = template.verts, template.verts[template.landmarks]
    away = (verts - marks[NOSE_TIP]).norm(dim=1)
    below, behind = marks[CHIN, 1] - verts[:, 1], marks[[0, 16], 2].mean() - verts[:, 2]
    known = step(away, *_REACH[::-1]) * step(below, *_NECK[::-1]) * step(behind, *_EARS[::-1])
    found = grid.bake(known[:, None])[0]
    micro = getattr(pipe.composer, "micro", None)
    if micro is None:
        return found
    side = int(micro.layers.shape[1] ** 0.5)  # of the map of close-cropped hair, the last one
    scalp = F.interpolate(micro.layers[4].view(1, 1, side, side), size=(grid.size, grid.size), mode="area")[0]
    return found * step(grid.gather(scalp)[0], 0.45, 0.1)


def spread_of_skins(pipe: FacePipeline, grid: TileGrid) -> torch.Tensor:
    """Return how far the logarithm of albedo differs between people at the grid's texels: (2, P), brightness, colour.

    Against each one's own tone, and against the texels around: features do not lie at the same place in everyone.
    """
    people = FaceLatents.sample(0, _PEOPLE)
    with torch.no_grad():
        rest = torch.zeros(_PEOPLE, EXPRESSION_DIM)
        tiles = pipe.texture.coarse(people.texture_noise, people.identity, rest, grid.size).clamp(0.01, 1)
    logs = (srgb_to_linear(tiles) + 0.01).log()
    logs = logs - logs.flatten(2).median(2).values[..., None, None]
    grey = logs.mean(1, keepdim=True)
    parts = torch.cat((grey, (logs - grey).square().sum(1, keepdim=True).sqrt()), 1)
    spread = 2.2 * parts.square().mean(0).sqrt()
    return grid.gather(F.max_pool2d(spread[None], 7, 1, 3)[0])


def skin_mask(
    grid: TileGrid, photo: torch.Tensor, drawn: torch.Tensor, seen: torch.Tensor, spread: torch.Tensor
) -> torch.Tensor:
    """Tell skin from what lies in front of it.

    Parameters
    ----------
    grid:
        The coarse tile.
    photo, drawn:
        (3, P) linear albedo: the picture's, and the network's.
    seen:
        (P,) in [0, 1], how well each texel is seen.
    spread:
        (2, P), of :func:`spread_of_skins`.

    Returns
    -------
    torch.Tensor
        (P,) in [0, 1].
    """
    off = (photo + 0.01).log() - (drawn + 0.01).log()
    grey = off.mean(0)
    known = seen > 0.3
    if bool(known.any()):
        grey = grey - grey[known].median()
    tint = (off - off.mean(0)).square().sum(0).sqrt()
    # Mirrored lamps that the found light does not explain are brighter than skin, and baked in they look like paint.
    room = torch.where(grey > 0, _GLEAM, _BRIGHTNESS) + spread[0]
    odd = torch.stack((grey / room, tint / (_COLOUR + spread[1])))
    # What is finer than a mole is no occluder.
    calm = [_averaged(grid, row, seen) for row in odd]
    score = torch.maximum(calm[0].abs(), calm[1].abs())
    skin = grid.spread(step(score, *_ODD[::-1])[None], 1.0)
    shrunk = -F.max_pool2d(-skin[None], _SHRINK, 1, _SHRINK // 2)
    return grid.gather(F.avg_pool2d(shrunk, _SOFT, 1, _SOFT // 2, count_include_pad=False)[0].minimum(shrunk[0]))[0]


def shrunk(grid: TileGrid, weight: torch.Tensor) -> torch.Tensor:
    """Return weights (P,) that end some 5 mm before what lies in front, or half of that around eyes, nose and mouth.

    Half a strand in a texel is enough to carry the hair's colour on over the forehead.
    """
    picture = -grid.spread(weight[None], 1.0)[None]
    near, far = (-F.max_pool2d(picture, width, 1, width // 2)[0] for width in (3, 7))
    place = (torch.arange(grid.size) + 0.5) / grid.size
    rows, columns = ((place > low) & (place < high) for low, high in _FEATURES)
    return grid.gather(torch.where(rows[:, None] & columns[None, :], near, far))[0]


def in_one_piece(grid: TileGrid, weight: torch.Tensor) -> torch.Tensor:
    """Return weights (P,) without what is cut off from the middle of the face, as skin is behind strands of a fringe.

    Spreads from the nose and the cheeks over neighbours that count for half or more, in 128 steps of a texel.
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
    # Texels that count for less than half lie at the edge of those that were reached.
    near = F.max_pool2d(reached, 7, 1, 3)[0]
    return weight * grid.gather(near)[0]


def _averaged(grid: TileGrid, row: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The mean of a row (P,) over 3 x 3 texels, by weight."""
    rows = grid.spread(torch.stack((row * weight, weight)))
    total, count = F.avg_pool2d(rows[None], 3, 1, 1)[0]
    return grid.gather((total / count.clamp_min(1e-4))[None])[0]
