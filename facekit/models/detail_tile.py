"""The detail module on its own tile: strain maps and displacement without the detour through a mesh's UV layout."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from facekit.geometry.uv import bake, rasterize_uv
from facekit.models.detail import DetailModel
from facekit.models.detail_layer import DetailLayer

_STRAINS = 128  # side of the strain maps; strain is smooth


class TileStrain:
    """Normalised strain on the tile, for faces of a layer's topology.

    Parameters
    ----------
    layer:
        Layer that measures strain at vertices.
    tile_uvs:
        (T, 2) float32: tile coordinates of each UV (origin bottom-left, the tile is [0, 1]²).
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
        """Build it for a layer on the topology that its module was trained for."""
        return cls(layer, layer.tile_uvs, faces, faces_uvs)

    def __call__(self, rest: torch.Tensor, posed: torch.Tensor) -> torch.Tensor:
        """Return strain (B, 128, 128) float16 of neutral faces (B or 1, V, 3) and posed faces (B, V, 3)."""
        strain = self.layer.strain(rest, posed) / self.layer.reference
        return bake(strain[..., None], self.faces, self.ids, self.weights)[:, 0].half()

    def enlarged(self, rest: torch.Tensor, posed: torch.Tensor, size: int) -> torch.Tensor:
        """Return the strain as (B, 1, size, size) float32."""
        return enlarged(self(rest, posed), size)


def enlarged(strain: torch.Tensor, size: int) -> torch.Tensor:
    """Upsample strain maps (B, s, s) to (B, 1, size, size) float32."""
    strain = strain.float()[:, None]
    return F.interpolate(strain, size=(size, size), mode="bilinear", align_corners=False)


def compose(model: DetailModel, identity: torch.Tensor, strain: torch.Tensor) -> torch.Tensor:
    """Return displacement (B, 1, S, S) in mm on the tile for identities (B, 20) and normalised strain (B, 1, S, S)."""
    static, dynamic = compose_parts(model, identity, strain)
    return static + dynamic


def compose_parts(
    model: DetailModel, identity: torch.Tensor, strain: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return static and dynamic displacement, the two terms of :func:`compose`."""
    static, compressed, stretched = model.maps(model.coefficients(identity))
    compress, stretch = model.weights(strain)
    return static, compress * compressed + stretch * stretched
