"""The detail module on one topology: from identity and vertices to a displacement map in the mesh's UV layout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from facekit.detail import DETAIL_MODES, FaceDetail
from facekit.errors import InputError
from facekit.geometry.lists import alike
from facekit.geometry.parts import among
from facekit.geometry.strain import StrainGraph, lines_across
from facekit.geometry.uv import sample_texture
from facekit.models.ageing import aged
from facekit.models.composers.micro import MicroLayer
from facekit.models.detail import DetailModel
from facekit.models.detail_charts import DetailCharts, no_area
from facekit.template import Template

# Number of smoothing passes over neighbours: computed strain is discontinuous between triangles, skin's response is
# not.
_SMOOTHING = 4
#: Fraction of the furrows of expressions that stay in the neutral faces of the oldest.
_LASTING = 0.7
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
    _charts: DetailCharts | None

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
        self._template, self._charts = template, None
        if not bool((_areas(template.uvs[template.faces_uvs]) * trust[template.faces_uvs].amax(1) > 0).any()):
            raise no_area()
        self.graph = StrainGraph.of(template.faces, len(template.verts))
        self.register_buffer("tile_uvs", tile_uvs)
        self.register_buffer("trust", trust)
        along, sure, reference = _furrows(model, tile_uvs, trust, template.faces_uvs)
        self.lines = lines_across(template.verts, template.faces, tile_uvs, template.faces_uvs, along)
        self.register_buffer("sure", _at_vertices(sure, template) * (self.lines.share > 0))
        self.register_buffer("reference", _at_vertices(reference, template).clamp_min(1e-3))

    @property
    def charts(self) -> DetailCharts:
        """The maps' place in the UV layout, made at first use: what asks for strain alone, as photographs do, is spared
        them.
        """
        if self._charts is None:
            with torch.inference_mode(False), torch.no_grad():
                charts = DetailCharts(self._template, self.tile_uvs, self.trust, self.model.config.size, self.size)
                self._charts = charts.to(self.tile_uvs.device)
        return self._charts

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
        charts = self.charts
        rows, columns = charts.half_box
        folded = (charts.splat(w) * m[..., rows, columns] for w, m in ((compress, compressed), (stretch, stretched)))
        first, second = folded
        size = list(charts.full_mask.shape)
        dynamic = F.interpolate(first + second, size=size, mode="bilinear", align_corners=False)
        displacement = static.expand(batch, -1, -1, -1).clone()
        displacement[(..., *charts.full_box)] += dynamic
        static, compressed, stretched = (m.expand(batch, -1, -1, -1) for m in (static, compressed, stretched))
        parts = FaceDetail(static, compressed, stretched, compress, stretch, strain, strength)
        return displacement.mul_(strength), parts

    def _maps(self, identity: torch.Tensor, texture_noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the three maps in the mesh's UV layout, static at full size, the others at half size; B may be reduced
        to 1.
        """
        charts = self.charts
        if alike(identity, texture_noise):
            identity, texture_noise = identity[:1], texture_noise[:1]
        static, compressed, stretched = self.model.maps(self.model.coefficients(identity))
        lasting = self._lasting(identity)[:, None, None, None] * charts.lasting
        static = charts.creases(static, texture_noise) + lasting * compressed
        relief = self.micro.relief(identity, texture_noise)
        relief[(..., *charts.eyelids.box)] += charts.eyelids.relief(texture_noise)
        static = charts.on_mesh(static, "full") + charts.on_mesh(relief, "full")
        return static, charts.on_mesh(compressed, "half"), charts.on_mesh(stretched, "half")

    def _lasting(self, identity: torch.Tensor) -> torch.Tensor:
        """Return the fraction (B,) of the furrows of expressions that stay in neutral faces: none in the young."""
        return _LASTING * aged(self.micro.projections(identity)["age"])


def tile_uvs_of(
    template: Template, tile_rect: tuple[float, float, float, float], parts: tuple[str, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tile coordinates and weights for :class:`DetailLayer` if the tile lies in the topology's own UV layout at
    ``tile_rect``.

    ``parts`` are the names of the parts that have detail.
    """
    u0, v0, u1, v1 = tile_rect
    corner = template.uvs.new_tensor([u0, v0])
    tile_uvs = (template.uvs - corner) / (template.uvs.new_tensor([u1, v1]) - corner)
    inside = ((tile_uvs > -0.01) & (tile_uvs < 1.01)).all(dim=1)
    takes = among(template.parts, parts)
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


def _areas(corners: torch.Tensor) -> torch.Tensor:
    """Return twice the areas (F,) of triangles (F, 3, 2)."""
    a, b = (corners[:, 1:] - corners[:, :1]).unbind(1)
    return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs()


def _at_vertices(values: torch.Tensor, template: Template) -> torch.Tensor:
    """Return the mean of adjacent faces' values (F,) at each vertex (V,)."""
    total, number = (values.new_zeros(len(template.verts)) for _ in range(2))
    for corner in template.faces.unbind(1):
        total.index_add_(0, corner, values)
        number.index_add_(0, corner, torch.ones_like(values))
    return total / number.clamp_min(1)
