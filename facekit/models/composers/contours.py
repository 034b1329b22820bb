"""Contours: shade in the creases and hollows of a face that are finer than its mesh.

Around the wings of the nose and in nostrils, above and below the eyes, at the mouth's corners, under the lower lip:
there photographs are darkest, and there people differ. How deep each shade is depends on texture noise alone, not on
expression, so that nothing flickers in a sweep.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekit.conventions import PARTS
from facekit.geometry.charts import bounded, step
from facekit.geometry.curvature import mean_curvature
from facekit.geometry.parts import among
from facekit.geometry.strain import StrainGraph
from facekit.geometry.uv import bake_box
from facekit.models.brows import SHAPING, noise_axes
from facekit.template import Template

#: Optical density of each shade, at its darkest: mean and standard deviation over people. Negative is lighter than the
#: network's skin.
_SHADES = {
    "right wing of the nose": (0.28, 0.28),
    "left wing of the nose": (0.28, 0.28),
    "nostrils": (0.10, 0.25),
    "crease of the upper lids": (0.30, 0.30),
    "below the eyes": (0.25, 0.30),
    "upper lids": (0.25, 0.28),
    "lower lids": (0.20, 0.28),
    "bone under the brows": (-0.12, 0.14),
    "corners of the mouth": (0.50, 0.45),
    "below the lower lip": (0.05, 0.22),
    "sides of the nose": (0.10, 0.18),
    "bridge of the nose": (-0.08, 0.15),
    "tip of the nose": (-0.05, 0.15),
    "nose around the nostrils": (0.05, 0.18),
    "hollows of the cheeks": (0.20, 0.30),
}
#: Density in red, green and blue: light that comes out of a crease has passed through skin.
_COLOUR = (0.72, 1.02, 1.10)
#: Curvature, 1/mm, of sharp creases and of broad hollows that are dark; smoothing of the latter.
_CREASE, _HOLLOW, _SMOOTHING = 0.07, 0.05, 6
#: Bound of a shade's deviation, in standard deviations; seed of the axes in noise; exponent of sRGB.
_BOUND, _SEED, _GAMMA = 2.0, 35, 2.2
#: Texels of the tile per texel of the maps.
_COARSE = 2


class Contours(nn.Module):
    """Shades creases and hollows by texture noise.

    Parameters
    ----------
    template:
        Template with eyes and landmarks; without, the box is empty.
    tile_uvs:
        (T, 2) float32: tile coordinates of its UVs (origin bottom-left, the tile is [0, 1]²).
    size:
        Side of the tile in texels, even.

    Attributes
    ----------
    box:
        Rows and columns of the tile that change.
    """

    maps: Tensor
    axes: Tensor
    means: Tensor
    deviations: Tensor

    def __init__(self, template: Template, tile_uvs: Tensor, size: int) -> None:
        super().__init__()
        self.box, maps = (slice(0, 0), slice(0, 0)), tile_uvs.new_zeros(len(_SHADES), 0, 0)
        if bool((template.parts == PARTS.index("eyes")).any()):
            values = _strengths(template)
            faces = (values > 0).any(dim=1)[template.faces].any(dim=1) & _is_skin(template)[template.faces].all(dim=1)
            (rows, columns), maps = bake_box(values, template, tile_uvs, faces, size // _COARSE)
            self.box = tuple(slice(_COARSE * s.start, _COARSE * s.stop) for s in (rows, columns))
        means, deviations = tile_uvs.new_tensor(list(_SHADES.values())).unbind(1)
        axes = noise_axes(len(_SHADES), _SEED).to(tile_uvs)
        for name, value in (("maps", maps), ("axes", axes), ("means", means), ("deviations", deviations)):
            self.register_buffer(name, value.contiguous(), persistent=False)

    def painted(self, skin: Tensor, texture_noise: Tensor) -> Tensor:
        """Return the box of tiles, ``skin`` (B, 3, h, w) sRGB in [0, 1], with the shades of people with codes (B,
        128).
        """
        if not self.maps.numel():
            return skin
        own = self.means + self.deviations * bounded(texture_noise[:, SHAPING] @ self.axes, _BOUND)
        density = (own @ self.maps.flatten(1)).unflatten(1, (1, *self.maps.shape[1:]))
        density = F.interpolate(density, size=skin.shape[2:], mode="bilinear", align_corners=False)
        return skin * torch.exp(density * skin.new_tensor(_COLOUR)[:, None, None] / -_GAMMA)


def _is_skin(template: Template) -> Tensor:
    return among(template.parts, ("skin", "lids", "lips"))


def _strengths(template: Template) -> Tensor:
    """Return the strength (V, M) in [0, 1] of each of :data:`_SHADES` at the vertices."""
    verts, marks = template.verts, template.verts[template.landmarks]
    x, y, _ = verts.unbind(1)
    graph = StrainGraph.of(template.faces, len(verts))
    curve = mean_curvature(verts, template.faces, graph)
    crease = -torch.expm1(curve.clamp_max(0) / _CREASE)
    hollow = -torch.expm1(graph.smooth(curve[None], _SMOOTHING)[0].clamp_max(0) / _HOLLOW)
    lids, lips = (template.parts == PARTS.index(name) for name in ("lids", "lips"))

    def near(ids: list[int], whole: float, none: float, down: float = 0.0) -> Tensor:
        """Return 1 up to a distance, mm, from the line through landmarks, 0 from another on; moved ``down`` by mm."""
        line = marks[ids] - marks.new_tensor([0.0, down, 0.0])
        ends = torch.cat((line[1:], line[-1:]))
        points = torch.cat([torch.lerp(line, ends, t) for t in (0.0, 0.25, 0.5, 0.75)])
        return 1 - step(torch.cdist(verts, points).amin(dim=1), whole, none)

    def both(right: list[int], left: list[int], whole: float, none: float, down: float = 0.0) -> Tensor:
        return torch.maximum(near(right, whole, none, down), near(left, whole, none, down))

    centre = torch.where(x[:, None] > 0, marks[42:48].mean(dim=0), marks[36:42].mean(dim=0))
    above = step(y - centre[:, 1], -2.0, 2.0)
    left = step(x, -2.0, 2.0)
    eyes = both([*range(36, 42), 36], [*range(42, 48), 42], 9, 16)
    tip, base, bridge = near([30], 2, 10), near([31, 33, 35], 9, 14), near([27, 28, 29, 30], 2, 8)
    holes = torch.maximum(*(1 - step((verts - marks[[k, 33]].mean(dim=0)).norm(dim=1), 3.5, 5.5) for k in (31, 35)))
    nose = torch.maximum(base, near([30], 10, 16))
    wings = crease**1.5 * nose * (1 - holes)
    mouth = near([48, 50, 51, 52, 54, 56, 57, 58, 48], 8, 14)
    upper = both([36, 37, 38, 39], [42, 43, 44, 45], 4, 8)
    shades = {
        "right wing of the nose": wings * (1 - left),
        "left wing of the nose": wings * left,
        "nostrils": holes * nose,
        "crease of the upper lids": crease * eyes * above * ~lids,
        "below the eyes": hollow * eyes * (1 - above) * ~lids,
        "upper lids": upper * above,
        "lower lids": both([36, 41, 40, 39], [42, 47, 46, 45], 4, 10) * (1 - above),
        "bone under the brows": both([36, 37, 38, 39], [42, 43, 44, 45], 4, 8, down=-9.0) * above * (1 - upper),
        "corners of the mouth": crease * torch.maximum(near([48], 4, 10), near([54], 4, 10)),
        "below the lower lip": near([58, 57, 56], 1, 6, down=4.0) * ~lips,
        "sides of the nose": near([27, 28, 29, 30], 7, 18) * (1 - bridge) * (1 - eyes) * (1 - base) * (1 - tip),
        "bridge of the nose": bridge * (1 - base) * (1 - tip),
        "tip of the nose": tip,
        "nose around the nostrils": nose * (1 - holes) * (1 - tip),
        "hollows of the cheeks": hollow * (1 - eyes) * (1 - nose) * (1 - mouth),
    }
    return torch.stack([shades[name] for name in _SHADES], dim=1).float()
