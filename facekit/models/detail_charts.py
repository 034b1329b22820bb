"""The place of detail maps in a mesh's UV layout, and what of them depends on the topology alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from facekit.errors import InputError
from facekit.geometry.charts import mask_box
from facekit.geometry.lists import weighted_sum
from facekit.geometry.uv import bake, rasterize_uv
from facekit.models.composers.micro import ATLAS
from facekit.models.creases import LipCreases
from facekit.models.eyelids import Eyelids
from facekit.template import Template

#: Places on the tile, x and y down, with their radii, where less stays, as a factor on that. Frowns between the brows
#: and the pitted chin show in expressions only; the folds from nose and mouth are in the shape of old heads already.
_LESS = (
    ((0.495, 0.195), (0.055, 0.055), 0.40),
    ((0.495, 0.700), (0.110, 0.060), 0.15),
    ((0.370, 0.490), (0.060, 0.110), 0.50),
    ((0.620, 0.490), (0.060, 0.110), 0.50),
    ((0.365, 0.625), (0.035, 0.055), 0.30),
    ((0.625, 0.625), (0.035, 0.055), 0.30),
)


class DetailCharts(nn.Module):
    """Charts of one topology's detail.

    Parameters
    ----------
    template:
        The topology, with the neutral mean face.
    tile_uvs, trust:
        See :class:`facekit.models.detail_layer.DetailLayer`.
    tile_size:
        Side of the module's maps in texels.
    size:
        Side of the output maps in texels.

    Attributes
    ----------
    creases, eyelids:
        Relief of lips and lids.
    lasting:
        (S, S) in [0, 1]: factor on what of the furrows stays in old faces.
    half_box, full_box:
        Rows and columns of the tile in maps of half and of full size.
    """

    corners: torch.Tensor
    shares: torch.Tensor
    lasting: torch.Tensor
    half_mask: torch.Tensor
    full_mask: torch.Tensor

    def __init__(
        self, template: Template, tile_uvs: torch.Tensor, trust: torch.Tensor, tile_size: int, size: int
    ) -> None:
        super().__init__()
        self.size = size
        self.creases = LipCreases(template, tile_uvs, tile_size)
        self.eyelids = Eyelids(template, tile_uvs, ATLAS)
        self.register_buffer("lasting", _lasting_share(tile_size).to(tile_uvs))
        self.half_box, ids, weights = self._chart("half", template, tile_uvs, trust, None)
        self.full_box, _, _ = self._chart("full", template, tile_uvs, trust, self.half_box)
        self.register_buffer("corners", template.faces[ids.clamp_min(0)].permute(2, 0, 1).flatten(1))
        self.register_buffer("shares", (weights * (ids >= 0)[..., None]).permute(2, 0, 1).flatten(1))

    def _chart(
        self,
        name: str,
        template: Template,
        tile_uvs: torch.Tensor,
        trust: torch.Tensor,
        half_box: tuple[slice, slice] | None,
    ) -> tuple[tuple[slice, slice], torch.Tensor, torch.Tensor]:
        """Register the tile's position in the mesh's UV layout for the size ``name``; return its box, face ids and
        barycentric weights. The full box is the half one doubled, so that maps of both sizes align.
        """
        side = self.size // 2 if half_box is None else self.size
        ids, weights = rasterize_uv(template.uvs, template.faces_uvs, side)
        known = torch.cat([tile_uvs, trust[:, None]], dim=1)[None]
        found = bake(known, template.faces_uvs, ids, weights)[0]
        if not bool((found[2] > 0).any()):
            raise no_area()
        if half_box is None:
            box = mask_box(found[2] > 0)
        else:
            rows, columns = half_box
            box = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
        x, y, mask = found[(slice(None), *box)]
        self.register_buffer(f"{name}_mask", mask)
        # Tile rows run down, UVs up; grid_sample expects coordinates from -1 to 1.
        self.register_buffer(f"{name}_grid", torch.stack((2 * x - 1, 1 - 2 * y), dim=-1))
        return box, ids[box], weights[box]

    def on_mesh(self, tile: torch.Tensor, name: str) -> torch.Tensor:
        """Resample a map (B, 1, S, S) on the tile to the mesh's UV layout."""
        grid, mask, box = (getattr(self, f"{name}_{part}") for part in ("grid", "mask", "box"))
        found = F.grid_sample(
            tile, grid.expand(len(tile), -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
        )
        side = self.size if name == "full" else self.size // 2
        spread = tile.new_zeros(len(tile), 1, side, side)
        spread[(..., *box)] = found * mask
        return spread

    def splat(self, values: torch.Tensor) -> torch.Tensor:
        """Rasterise vertex values (B, V) into the half-size box of the UV map, (B, 1, h, w); both sides of a seam share
        vertices.
        """
        mixed = weighted_sum(values, self.corners, self.shares)
        return mixed.view(len(values), 1, *self.half_mask.shape)


def no_area() -> InputError:
    """Return the error for a topology whose UVs show no face."""
    return InputError("UVs in which the face has an area", "none", "give the mesh UVs, which detail maps need")


def _lasting_share(size: int) -> torch.Tensor:
    """Return the factor (size, size) on what of the furrows stays in old faces, see ``_LESS``."""
    place = (torch.arange(size) + 0.5) / size
    share = torch.ones(size, size)
    for (x, y), (wide, high), least in _LESS:
        away = ((place - x) / wide).square() + ((place[:, None] - y) / high).square()
        share = torch.minimum(share, 1 - (1 - least) * torch.exp(-0.5 * away.square()))
    return share
