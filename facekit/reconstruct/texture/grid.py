"""Texels of the face tile: their triangles, parts and mirror images."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from facekit.geometry.lists import flat_indices, weighted_sum
from facekit.geometry.parts import among
from facekit.geometry.uv import box_max, rasterize_uv
from facekit.template import Template

#: Parts that pictures may show as skin; the rest of the tile is the inside of lips and lids.
SKIN_PARTS = ("skin", "lips", "lids", "neck", "back_of_head")


@dataclass(frozen=True)
class TileGrid:
    """Texels of an S x S tile that lie on triangles, as flat lists of P.

    Parameters
    ----------
    size:
        S, texels per side.
    inside:
        (P,) int64: flat indices in the tile, row by row from the top.
    corners:
        (3, P) int64: vertices of each texel's triangle.
    weights:
        (3, P) float32: barycentric coordinates.
    parts:
        (P,) uint8: part of the nearest of the three vertices, an index into :data:`facekit.conventions.PARTS`.
    """

    size: int
    inside: torch.Tensor
    corners: torch.Tensor
    weights: torch.Tensor
    parts: torch.Tensor

    @classmethod
    @functools.lru_cache(maxsize=2)
    def of(cls, template: Template, size: int) -> TileGrid:
        """Rasterise a template's face tile; cached for the last two sizes.

        Tiles of the default atlas are symmetric: the mirror image of column i is column S - 1 - i.
        """
        u0, v0, u1, v1 = template.tile_rect
        low, span = template.uvs.new_tensor([u0, v0]), template.uvs.new_tensor([u1 - u0, v1 - v0])
        ids, weights = rasterize_uv((template.uvs - low) / span, template.faces_uvs, size)
        inside = flat_indices(ids >= 0)
        corners = template.faces[ids.view(-1)[inside]].t().contiguous()
        shares = weights.view(-1, 3)[inside].t().contiguous()
        nearest = corners.gather(0, shares.argmax(0, keepdim=True))[0]
        return cls(size, inside, corners, shares, template.parts[nearest])

    def bake(self, values: torch.Tensor) -> torch.Tensor:
        """Interpolate per-vertex values (V, C) at the texels: (C, P)."""
        return weighted_sum(values.t().contiguous(), self.corners, self.weights)

    def spread(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Scatter values (C, P) into a picture (C, S, S), with ``fill`` outside of triangles."""
        empty = values.new_full((len(values), self.size * self.size), fill)
        return empty.index_copy(1, self.inside, values).view(-1, self.size, self.size)

    def gather(self, picture: torch.Tensor) -> torch.Tensor:
        """Gather the texels' values (C, P) from a picture (C, S, S)."""
        return picture.flatten(1).index_select(1, self.inside)

    @property
    def skin(self) -> torch.Tensor:
        """(P,) bool: texels that may show skin."""
        return among(self.parts, SKIN_PARTS)


@functools.lru_cache(maxsize=1)
def atlas_masks(template: Template, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where the whole atlas shows skin, and where teeth: (1, 1, S, S) float32 in {0, 1}, four and two texels
    wider than their triangles; cached for the last size.
    """
    ids, weights = rasterize_uv(template.uvs, template.faces_uvs, size)
    corner = weights.argmax(2, keepdim=True)
    part = template.parts[template.faces[ids.clamp_min(0)].gather(2, corner)[..., 0]].long()
    part = torch.where(ids >= 0, part, torch.full_like(part, 255))[None, None]
    skin, teeth = (among(part, names).float() for names in (SKIN_PARTS, ("teeth",)))
    return box_max(skin, 9), box_max(teeth, 5)
