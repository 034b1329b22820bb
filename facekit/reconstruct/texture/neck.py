"""Hue of the neck in pictures. Collars, hair and shade hide parts of most necks, so texels are not taken from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from facekit.color import scaled, srgb_to_linear
from facekit.conventions import CHIN
from facekit.geometry.charts import bounded
from facekit.reconstruct.texture.complete import FLOOR
from facekit.reconstruct.texture.grid import TileGrid
from facekit.template import Template

#: Distances below the chin between which necks are looked at, mm on the mean head: collars begin below.
_BAND = (18.0, 45.0)
#: Visibility from which a texel of the coarse tile counts, and the least number of them.
_SEEN, _FEWEST = 0.5, 100
#: Bound on the change of logarithms of red, green and blue against their mean: more is clothes, or another light.
_MOST = 0.12
#: Cover from which texels of an atlas count as neck alone.
_WHOLE = 0.95


def neck_colour(
    grid: TileGrid, template: Template, seen: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor | None:
    """Return the median linear albedo (3,) of the neck in pictures, or None if hardly any of it is seen.

    Parameters
    ----------
    grid:
        The coarse tile.
    template:
        The template.
    seen:
        Per picture, linear albedo (3, P), and visibility of bare skin (P,) in [0, 1].
    """
    if not seen:
        return None
    below = grid.bake((template.verts[template.landmarks[CHIN], 1] - template.verts[:, 1])[:, None])[0]
    band = (below > _BAND[0]) & (below < _BAND[1])
    rows = torch.cat([albedo[:, band & (weight > _SEEN)] for albedo, weight in seen], 1)
    return rows.median(1).values if rows.shape[1] >= _FEWEST else None


def with_neck(cover: torch.Tensor, atlas: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Change the hue of an atlas's neck to that of pictures; how light it is stays.

    Parameters
    ----------
    cover:
        (1, h, w) in [0, 1]: texels of the neck, see :class:`~facekit.models.composers.neck.NeckTone`.
    atlas:
        (1, 3, H, W) sRGB.
    colour:
        (3,) linear: see :func:`neck_colour`.
    """
    cover = F.interpolate(cover[None], size=atlas.shape[2:], mode="bilinear")[0]
    own = srgb_to_linear(atlas[0, :, cover[0] > _WHOLE].median(1).values)
    off = ((colour + FLOOR) / (own + FLOOR)).log()
    off = bounded(off - off.mean(), _MOST)
    return scaled(atlas, cover * off[:, None, None]).clamp(0, 1)
