"""The detail module on one topology: from identity and vertices to a displacement map in the mesh's UV layout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from facekit.detail import DETAIL_MODES, FaceDetail
from facekit.errors import InputError
from facekit.geometry.charts import mask_box
from facekit.geometry.lists import alike, weighted_sum
from facekit.geometry.strain import StrainGraph, lines_across
from facekit.geometry.uv import bake, rasterize_uv, sample_texture
from facekit.models.ageing import aged
from facekit.models.composers.micro import ATLAS, MicroLayer
from facekit.models.creases import LipCreases
from facekit.models.detail import DetailModel
from facekit.models.eyelids import Eyelids
from facekit.template import Template

# Number of smoothing passes over neighbours: computed strain is discontinuous between triangles, skin's response is
# not.
_SMOOTHING = 4
#: Fraction of the furrows of expressions that stay in the neutral faces of the oldest.
_LASTING = 0.7
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
#: Reference strain of the scalar composition.
SCALAR_REFERENCE = 0.12


class DetailLayer(nn.Module):
    """Static and dynamic displacement of faces of one topology.

    Parameters
    ----------
    model:
        The trained module; its maps cover the face tile of the embedded default's atlas.
    micro:
        Procedural layer that adds pores, which are too fine for the learned maps.
    template:
        The topology, with the neutral mean face.
    tile_uvs:
        (T, 2) float32: tile coordinates of each of the topology's UVs (origin bottom-left, the tile is [0, 1]²).
    trust:
        (T,) float32 in [0, 1]: weight of the detail at each UV; 0 on eyes, teeth and outside of the tile.
    size:
        Side of the output maps in texels, the same as the texture's.
    """

    tile_uvs: torch.Tensor
    trust: torch.Tensor
    sure: torch.Tensor
    reference: torch.Tensor
    corners: torch.Tensor
    shares: torch.Tensor
    lasting: torch.Tensor
    half_mask: torch.Tensor
    full_mask: torch.Tensor

    def __init__(
        self,
        model: DetailModel,
        micro: MicroLayer,
        template: Template,
        tile_uvs: torch.Tensor,
        trust: torch.Tensor,
        size: int = 1024,
    ) -> None:
        super().__init__()
        self.model, self.micro, self.size = model, micro, size
        self.creases = LipCreases(template, tile_uvs, model.config.size)
        self.eyelids = Eyelids(template, tile_uvs, ATLAS)
        self.register_buffer("lasting", _lasting_share(model.config.size).to(tile_uvs))
        self.graph = StrainGraph.of(template.faces, len(template.verts))
        self.register_buffer("tile_uvs", tile_uvs)
        self.register_buffer("trust", trust)
        along, sure, reference = _furrows(model, tile_uvs, trust, template.faces_uvs)
        self.lines = lines_across(template.verts, template.faces, tile_uvs, template.faces_uvs, along)
        self.register_buffer("sure", _at_vertices(sure, template) * (self.lines.share > 0))
        self.register_buffer("reference", _at_vertices(reference, template).clamp_min(1e-3))
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
            raise InputError("UVs in which the face has an area", "none", "give the mesh UVs, which detail maps need")
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

    def strain(self, rest: torch.Tensor, posed: torch.Tensor) -> torch.Tensor:
        """Return the strain (B, V) that the weights are computed from: positive is compressed, negative stretched.

        Across the furrow where there is one, else the mean over edges; in scalar composition the mean over edges
        everywhere. ``rest`` are the vertices (B or 1, V, 3) of the zero expression code, ``posed`` (B, V, 3).
        """
        strain = self.graph.tension(rest, posed)
        if self.model.config.composition == "directional":
            strain = torch.lerp(strain, self.graph.along(rest, posed, self.lines), self.sure.to(strain))
        return self.graph.smooth(strain, _SMOOTHING)

    def weights(self, strain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return w_c and w_s (B, V) in [0, 1] for :meth:`strain`."""
        return self.model.weights(strain / self.reference)

    def forward(
        self,
        identity: torch.Tensor,
        texture_noise: torch.Tensor,
        rest: torch.Tensor,
        posed: torch.Tensor,
        mode: bool | str = True,
        strength: float = 1.0,
    ) -> tuple[torch.Tensor, FaceDetail]:
        """Return displacement (B, 1, H, W) float32 in mm in the mesh's UV layout, and its components.

        Parameters
        ----------
        identity, texture_noise:
            (B, 20), (B, 128): codes of the skin. If all rows are equal, as in a sweep, the maps are computed once.
        rest, posed:
            As in :meth:`strain`.
        mode:
            True for all detail, "static" for that of the neutral face, "dynamic" for that of the expression.
        strength:
            Factor on the displacement.
        """
        if mode not in DETAIL_MODES or mode is False:
            raise InputError('detail True, "static" or "dynamic"', repr(mode), "choose one of them")
        batch = len(posed)
        static, compressed, stretched = self._maps(identity, texture_noise)
        strain = self.strain(rest, posed)
        compress, stretch = self.weights(strain)
        if mode == "static":
            compress, stretch = torch.zeros_like(compress), torch.zeros_like(stretch)
        if mode == "dynamic":
            static = torch.zeros_like(static)
        rows, columns = self.half_box
        folded = (self._splat(w) * m[..., rows, columns] for w, m in ((compress, compressed), (stretch, stretched)))
        first, second = folded
        size = list(self.full_mask.shape)
        dynamic = F.interpolate(first + second, size=size, mode="bilinear", align_corners=False)
        displacement = static.expand(batch, -1, -1, -1).clone()
        displacement[(..., *self.full_box)] += dynamic
        static, compressed, stretched = (m.expand(batch, -1, -1, -1) for m in (static, compressed, stretched))
        parts = FaceDetail(static, compressed, stretched, compress, stretch, strain, strength)
        return displacement.mul_(strength), parts

    def _maps(self, identity: torch.Tensor, texture_noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the three maps in the mesh's UV layout, static at full size, the others at half size; B may be reduced
        to 1.
        """
        if alike(identity, texture_noise):
            identity, texture_noise = identity[:1], texture_noise[:1]
        static, compressed, stretched = self.model.maps(self.model.coefficients(identity))
        lasting = self._lasting(identity)[:, None, None, None] * self.lasting
        static = self.creases(static, texture_noise) + lasting * compressed
        relief = self.micro.relief(identity, texture_noise)
        relief[(..., *self.eyelids.box)] += self.eyelids.relief(texture_noise)
        static = self._on_mesh(static, "full") + self._on_mesh(relief, "full")
        return static, self._on_mesh(compressed, "half"), self._on_mesh(stretched, "half")

    def _lasting(self, identity: torch.Tensor) -> torch.Tensor:
        """Return the fraction (B,) of the furrows of expressions that stay in neutral faces: none in the young."""
        return _LASTING * aged(self.micro.projections(identity)["age"])

    def _on_mesh(self, tile: torch.Tensor, name: str) -> torch.Tensor:
        """Resample a map (B, 1, S, S) on the tile to the mesh's UV layout."""
        grid, mask, box = (getattr(self, f"{name}_{part}") for part in ("grid", "mask", "box"))
        found = F.grid_sample(
            tile, grid.expand(len(tile), -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
        )
        side = self.size if name == "full" else self.size // 2
        spread = tile.new_zeros(len(tile), 1, side, side)
        spread[(..., *box)] = found * mask
        return spread

    def _splat(self, values: torch.Tensor) -> torch.Tensor:
        """Rasterise vertex values (B, V) into the half-size box of the UV map, (B, 1, h, w); both sides of a seam share
        vertices.
        """
        mixed = weighted_sum(values, self.corners, self.shares)
        return mixed.view(len(values), 1, *self.half_mask.shape)


def _lasting_share(size: int) -> torch.Tensor:
    """Return the factor (size, size) on what of the furrows stays in old faces, see ``_LESS``."""
    place = (torch.arange(size) + 0.5) / size
    share = torch.ones(size, size)
    for (x, y), (wide, high), least in _LESS:
        away = ((place - x) / wide).square() + ((place[:, None] - y) / high).square()
        share = torch.minimum(share, 1 - (1 - least) * torch.exp(-0.5 * away.square()))
    return share


def tile_uvs_of(
    template: Template, tile_rect: tuple[float, float, float, float], parts: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tile coordinates and weights for :class:`DetailLayer` if the tile lies in the topology's own UV layout at
    ``tile_rect``.

    ``parts`` are the ids of the parts that have detail.
    """
    u0, v0, u1, v1 = tile_rect
    corner = template.uvs.new_tensor([u0, v0])
    tile_uvs = (template.uvs - corner) / (template.uvs.new_tensor([u1, v1]) - corner)
    inside = ((tile_uvs > -0.01) & (tile_uvs < 1.01)).all(dim=1)
    takes = torch.isin(template.parts, template.parts.new_tensor(parts))
    at_uvs = torch.zeros(len(template.uvs), dtype=torch.bool, device=takes.device)
    at_uvs[template.faces_uvs.reshape(-1)] = takes[template.faces.reshape(-1)]
    return tile_uvs, (inside & at_uvs).float()


def _furrows(
    model: DetailModel, tile_uvs: torch.Tensor, trust: torch.Tensor, faces_uvs: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sample the tile at each face: furrow direction (F, 2), confidence (F,) and reference strain (F,)."""
    middle = tile_uvs[faces_uvs].mean(dim=1)
    cos, sin, reference = sample_texture(model.furrows[None], middle)[0].unbind(-1)
    if model.config.composition == "scalar":  # HiFace has one reference for all
        reference = torch.full_like(reference, SCALAR_REFERENCE)
    angle, sure = torch.atan2(sin, cos) / 2, torch.hypot(cos, sin).clamp_max(1)
    sure = sure * trust[faces_uvs].amin(dim=1)
    along = torch.stack((angle.cos(), angle.sin()), dim=-1)
    return along * (sure > 0.02)[:, None], sure, reference


def _at_vertices(values: torch.Tensor, template: Template) -> torch.Tensor:
    """Return the mean of adjacent faces' values (F,) at each vertex (V,)."""
    total, number = (values.new_zeros(len(template.verts)) for _ in range(2))
    for corner in template.faces.unbind(1):
        total.index_add_(0, corner, values)
        number.index_add_(0, corner, torch.ones_like(values))
    return total / number.clamp_min(1)
