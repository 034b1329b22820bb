"""The detail module on its own tile: strain as a map, and displacement composed of it, without a mesh's UV between."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from facekit.geometry.uv import bake, rasterize_uv
from facekit.models.detail import DetailModel
from facekit.models.detail_layer import DetailLayer

_STRAINS = 128  # side of the strain maps: strain is smooth


class TileStrain:
    """Strain over its reference on the tile, of faces that a layer's topology has.

    Parameters
    ----------
    layer:
        Measures strain at vertices.
    tile_uvs:
        (T, 2) float32, the place of each UV on the tile (origin bottom-left, the tile is [0, 1]²).
    faces, faces_uvs:
        (F, 3) int64.
    """

    def __init__(
        self, layer: DetailLayer, tile_uvs: torch.Tensor, faces: torch.Tensor, faces_uvs: torch.Tensor
    ) -> None:
        self.layer, self.faces = layer, faces
        self.ids, self.weights = rasterize_uv(tile_uvs, faces_uvs, _STRAINS)

    @classmethod
    def at_home(cls, layer: DetailLayer, faces: torch.Tensor, faces_uvs: torch.Tensor) -> TileStrain:
        """Build it for a layer on the topology that its module was trained on."""
        return cls(layer, layer.tile_uvs, faces, faces_uvs)

    def __call__(self, rest: torch.Tensor, posed: torch.Tensor) -> torch.Tensor:
        """Strain (B, 128, 128) float16 of faces (B or 1, V, 3) at rest and (B, V, 3) posed."""
        strain = self.layer.strain(rest, posed) / self.layer.reference
        return bake(strain[..., None], self.faces, self.ids, self.weights)[:, 0].half()

    def enlarged(self, rest: torch.Tensor, posed: torch.Tensor, size: int) -> torch.Tensor:
        """The same as (B, 1, size, size) float32."""
        return enlarged(self(rest, posed), size)


def enlarged(strain: torch.Tensor, size: int) -> torch.Tensor:
    """Strain maps (B, s, s) as (B, 1, size, size) float32."""
    strain = strain.float()[:, None]
    return F.interpolate(strain, size=(size, size), mode="bilinear", align_corners=False)


def compose(model: DetailModel, identity: torch.Tensor, strain: torch.Tensor) -> torch.Tensor:
    """Displacement (B, 1, S, S) mm on the tile, of people (B, 20) with strain over its reference (B, 1, S, S)."""
    static, dynamic = compose_parts(model, identity, strain)
    return static + dynamic


def compose_parts(
    model: DetailModel, identity: torch.Tensor, strain: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What people have at rest and what the expression adds, as :func:`compose` adds them up."""
    static, compressed, stretched = model.maps(model.coefficients(identity))
    compress, stretch = model.weights(strain)
    return static, compress * compressed + stretch * stretched
