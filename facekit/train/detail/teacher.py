"""The detail teacher: from identity codes and two meshes to a displacement map of the face tile.

Modelled, not scanned. The sum, in millimetres along the smooth normal, of:

* skin: fine structure of the training pack's albedos, taken as relief (dark is deep: Beeler et al., *High-quality
  single-shot capture of facial geometry*, SIGGRAPH 2010), mixed as the texture teacher mixes the skins, so that relief
  and colour belong together; old skins have more of it;
* furrows (:mod:`facekit.train.detail.furrows`), whose depth follows the strain across them, above a rest of their own
  in old faces. How deep, in which layout and how evenly left and right is the person's;
* dimples of the chin, which follow the mean strain.

Where skin is stretched, the relief of the neutral face is flattened.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.geometry.strain import StrainGraph, lines_across
from facekit.geometry.uv import bake, rasterize_uv
from facekit.template import Template
from facekit.train.detail.furrows import KINDS, Kind, face_directions, furrows
from facekit.train.skin.layers import SkinLayers
from facekit.train.skin.marks import lip_lines, zones
from facekit.train.skin.photographs import load_chart
from facekit.train.skin.teacher import TextureTeacher, unit_rows

_STRAINS = 128  # side of the strain maps
_SMOOTHING = 4
# Relief of the skins in mm per unit of optical density, and its limit.
_SKIN_RELIEF, _SKIN_LIMIT = 0.9, 0.22
_LIP_RELIEF = 0.05
_FLATTEN, _FLATTEN_AT = 0.7, 0.25  # fraction removed by stretching, and strain at which it is


class DetailTeacher(nn.Module):
    """T(identity, neutral mesh, posed mesh) -> displacement (B, 1, S, S) mm on the tile."""

    skin: Tensor
    lips: Tensor

    def __init__(self, layers: SkinLayers, template: Template, size: int = 384) -> None:
        super().__init__()
        self.size = size
        self.texture = TextureTeacher(layers, 64)  # for the meaning of identity codes: age, melanin, the mix of skins
        chart, mask = load_chart(layers.pack, size), skin_mask(layers.pack, size)
        self.graph = StrainGraph.of(template.faces, len(template.verts))
        self.families = furrows(template, size)
        self.lines = {
            name: lines_across(
                template.verts, template.faces, template.uvs, template.faces_uvs, face_directions(template, f.along)
            )
            for name, f in self.families.items()
        }

        def keep(name: str, array: np.ndarray) -> None:
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array, np.float32)), persistent=False)

        keep("skin", np.stack([skin_relief(d, size) for d in layers.bank.detail]) * mask)
        lips = zones(size, chart.openings)["lips"] * (1 - chart.openings)
        keep("lips", -lip_lines(size) * lips * _LIP_RELIEF)
        seed = 40
        for name, family in self.families.items():
            keep(f"profile_{name}", family.profiles * mask)
            keep(f"rows_{name}", unit_rows(len(family.profiles) + 3, seed))
            seed += 1
        self.ids, self.weights = rasterize_uv(template.tile_uvs, template.faces_uvs, _STRAINS)
        self.faces = template.faces

    @torch.no_grad()
    def forward(self, identity: Tensor, rest: Tensor, posed: Tensor) -> Tensor:
        """Return displacement (B, 1, S, S) float32 in mm for people (B, 20) with neutral and posed vertices (B, V,
        3).
        """
        traits = self.texture.attributes(identity)
        shape = (len(identity), self.size, self.size)
        tension = self._tile(self.graph.tension(rest, posed))
        flat = 1 - _FLATTEN * (-tension / _FLATTEN_AT).clamp(0, 1)
        old = (0.55 + 0.9 * traits["age"])[:, None]
        skin = (traits["skins"] * old) @ self.skin.flatten(1)
        total = skin.view(shape) * flat + self.lips * (0.5 + traits["age"])[:, None, None] * flat
        for name, kind in KINDS.items():
            strain = torch.lerp(self._tile(self.graph.along(rest, posed, self.lines[name])), tension, kind.mean)
            lines = (self._gains(name, kind, identity) @ getattr(self, f"profile_{name}").flatten(1)).view(shape)
            flat = 1 - _FLATTEN * (-strain / _FLATTEN_AT).clamp(0, 1)
            total += lines * depth(kind, strain, traits, flat)
        return total[:, None]

    def _gains(self, name: str, kind: Kind, identity: Tensor) -> Tensor:
        """Return the strength of each line of a family, (B, L): common to the family, with a small individual part."""
        drawn = identity @ getattr(self, f"rows_{name}").T
        layout = torch.from_numpy(self.families[name].layout)
        share = torch.sigmoid(2.5 * drawn[:, :1] * torch.where(layout == 0, 1.0, -1.0))
        share = share if int(layout.max()) else torch.ones_like(share)
        return share * torch.exp(kind.vary * (0.7 * drawn[:, 1:2] + 0.6 * drawn[:, 3:]).clamp(-1.6, 1))

    def _tile(self, values: Tensor) -> Tensor:
        """Return strain at vertices (B, V), smoothed, as maps (B, S, S)."""
        values = self.graph.smooth(values, _SMOOTHING)
        coarse = bake(values[..., None], self.faces, self.ids, self.weights)
        return F.interpolate(coarse, size=(self.size, self.size), mode="bilinear", align_corners=False)[:, 0]


def depth(kind: Kind, strain: Tensor, traits: dict[str, Tensor], flat: Tensor) -> Tensor:
    """Return the depth of furrows (B, S, S) in mm: from age in neutral faces, and from strain.

    The response to strain starts a little above 0, is linear up to the reference and saturates. Old skin folds deeper,
    dark skin less.
    """
    age, melanin = (traits[name].view(-1, 1, 1) for name in ("age", "melanin"))
    x = (strain / kind.strain - 0.12).clamp_min(0)
    moved = 1.4 * (1 - torch.exp(-x / 1.4))
    rest = kind.rest * age.square()
    return kind.depth * (1.05 - 0.3 * melanin) * (rest * flat + (0.75 + 0.5 * age) * moved)


def skin_relief(density: np.ndarray, size: int) -> np.ndarray:
    """Return relief (S, S) in mm from a cleaned skin's detail (3, 512, 512), optical density: darker is deeper."""
    grey = density.mean(0)
    band = ndimage.gaussian_filter(grey, 0.9) - ndimage.gaussian_filter(grey, 7.0)
    relief = -_SKIN_LIMIT * np.tanh(_SKIN_RELIEF * band / _SKIN_LIMIT)
    return np.asarray(ndimage.zoom(relief, size / 512, order=1, grid_mode=True, mode="nearest"))


def skin_mask(pack: Path, size: int) -> np.ndarray:
    """Return the mask of detail, (S, S) in [0, 1]: inside the chart, excluding its border, openings and the inside of
    the lips.
    """
    chart = load_chart(pack, size)
    grown = ndimage.gaussian_filter(ndimage.grey_dilation(chart.openings, 5), 1.0 * size / 384)
    inner = zones(size, chart.openings)["mouth"]
    return chart.fade * (1 - np.clip(1.3 * grown, 0, 1)) * (1 - inner)
