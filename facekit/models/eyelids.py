"""Eyelids in close-up: their moist margins, the corner by the nose, the line of the lashes' roots and the upper crease.

All are finer than the texture network's texels and the mesh. Creases differ in height and depth from person to person,
down to none. Nothing depends on expression, so that nothing flickers in a sweep; a crease stays a fine line on a closed
lid, as in people.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from facekit.conventions import PARTS
from facekit.geometry.charts import bounded, step
from facekit.geometry.uv import bake_box
from facekit.models.brows import SHAPING, noise_axes
from facekit.models.eyes import Eyeball
from facekit.template import Template

# Distance from the eyeball, mm, at which a lid's margin ends and its skin begins, and from which on it is no margin;
# and that of the lashes' roots, with the width of their line.
_MARGIN, _ROOTS = (1.2, 1.9), (2.1, 0.7)
# Place of the caruncle, a share of the way from the corner's landmark to the margin, and its radii, mm.
_CARUNCLE, _RADII = 0.6, (0.7, 2.1)
# Colours, sRGB, of margins and caruncles, of the lightest and of the darkest people, and their opacity.
_PINK, _PINK_COVER = ((0.84, 0.62, 0.58), (0.52, 0.34, 0.30)), 0.75
_FLESH, _FLESH_COVER = ((0.78, 0.51, 0.46), (0.50, 0.30, 0.27)), 0.75
# Darkness of the roots' line: of upper lids with sparse lashes, what full lashes add, and the lower lids' share.
_LINE, _FULLER, _LOWER = 0.25, 0.55, 0.50
# Height of the crease above the upper lid's margin, mm: at the corners, what the middle has over it, and its standard
# deviation, with a bound in these; where along the eye it fades in and out.
_HEIGHT, _ARCH, _VARIES, _BOUND = 3.0, 1.2, 1.2, 2.0
_FROM, _TO = (0.08, 0.45), (1.20, 0.75)
# Depth of the crease and height of the fold above it, mm; distance between them, and their widths, mm.
_DEEP, _FOLD, _ABOVE, _WIDE = 0.50, 0.25, 1.5, (0.42, 1.0)
# Share of light that the crease takes in red, green and blue.
_SHADE = (0.14, 0.20, 0.21)
# Logistic slope and offset of the depth's distribution.
_DEPTH = (3.0, 1.0)
# Distance around an eye that has lids, mm.
_REACH = 26.0


class Eyelids(nn.Module):
    """Paints eyelids and gives them a crease.

    Parameters
    ----------
    template:
        Template with eyes; without, the box is empty.
    tile_uvs:
        (T, 2) float32: tile coordinates of its UVs (origin bottom-left, the tile is [0, 1]²).
    size:
        Side of the tile in texels.

    Attributes
    ----------
    box:
        Rows and columns of the tile with the lids in them.
    """

    margin: Tensor
    flesh: Tensor
    roots: Tensor
    above: Tensor
    height: Tensor
    window: Tensor
    axes: Tensor

    def __init__(self, template: Template, tile_uvs: Tensor, size: int) -> None:
        super().__init__()
        self.register_buffer("axes", noise_axes(2, 32).to(tile_uvs), persistent=False)
        self.box = slice(0, 0), slice(0, 0)
        maps = tile_uvs.new_zeros(6, 0, 0)
        if bool((template.parts == PARTS.index("eyes")).any()):
            self.box, maps = _maps(template, tile_uvs, size)
        for name, value in zip(("margin", "flesh", "roots", "above", "height", "window"), maps, strict=True):
            self.register_buffer(name, value, persistent=False)

    def painted(self, skin: Tensor, texture_noise: Tensor, traits: dict[str, Tensor]) -> Tensor:
        """Return the box of tiles, ``skin`` (B, 3, h, w) sRGB in [0, 1], with these people's lids.

        ``texture_noise`` (B, 128); ``traits`` as of :meth:`facekit.models.composers.micro.MicroLayer.projections`.
        """
        dark = torch.special.ndtr(traits["melanin"])[:, None, None, None]
        full = torch.sigmoid(traits["lashes"] - 0.8 * traits["masculinity"])[:, None, None]
        crease = self._crease(texture_noise, 0.0, _WIDE[0])[:, None] * skin.new_tensor(_SHADE)[:, None, None]
        skin = skin * (1 - crease) * (1 - (_LINE + _FULLER * full) * self.roots)[:, None]
        for cover, opacity, colours in ((self.margin, _PINK_COVER, _PINK), (self.flesh, _FLESH_COVER, _FLESH)):
            light, deep = (skin.new_tensor(colour)[:, None, None] for colour in colours)
            skin = torch.lerp(skin, torch.lerp(light, deep, dark), opacity * cover)
        return skin

    def relief(self, texture_noise: Tensor) -> Tensor:
        """Return the displacement (B, 1, h, w) in mm by the creases of people with codes (B, 128), in the box."""
        crease, fold = (self._crease(texture_noise, *at) for at in ((0.0, _WIDE[0]), (_ABOVE, _WIDE[1])))
        return (_FOLD * fold - _DEEP * crease)[:, None]

    def _crease(self, texture_noise: Tensor, off: float, wide: float) -> Tensor:
        """Return the profile (B, h, w) in [0, 1] of what lies ``off`` mm above the crease and is so wide."""
        high, deep = (texture_noise[:, SHAPING] @ self.axes)[..., None, None].unbind(1)
        depth = torch.sigmoid(_DEPTH[0] * deep + _DEPTH[1])
        above = self.above - self.height - _VARIES * bounded(high, _BOUND) - off
        return depth * self.window * torch.exp(-(above / wide).square())


def _maps(template: Template, tile_uvs: Tensor, size: int) -> tuple[tuple[slice, slice], Tensor]:
    """Return the box of both eyes' lids in the tile, and six maps (6, h, w) of it: margins, caruncles, roots of lashes,
    height above the upper margin in mm, the crease's mean height there in mm, and where creases are.
    """
    verts, lids = template.verts, template.parts == PARTS.index("lids")
    skin = lids | (template.parts == PARTS.index("skin"))
    values = verts.new_zeros(len(verts), 6)
    near = torch.zeros_like(lids)
    for left in (False, True):
        eye = Eyeball(template, left)
        own = ((verts - eye.centre(verts[None])[0]).norm(dim=1) < _REACH) & skin & ((verts[:, 0] > 0) == left)
        near |= own
        corners = verts[template.landmarks[[42, 45] if left else [39, 36]]]
        gap = eye.gap(verts)
        along = (verts[:, 0] - corners[0, 0]) / (corners[1, 0] - corners[0, 0])
        rise = verts[:, 1] - torch.lerp(corners[0, 1], corners[1, 1], along.clamp(0, 1))
        # Margins are where lids lie on the eyeball, and the crease is above the upper one.
        margin = own & lids & (gap < _MARGIN[0])
        above = torch.zeros_like(gap)
        above[own] = torch.cdist(verts[own], verts[margin & (rise > 0)]).amin(dim=1)
        inmost = verts[margin][(verts[margin] - corners[0]).norm(dim=1).argmin()]
        middle = torch.lerp(corners[0], inmost, _CARUNCLE)
        flesh = 1 - step((verts - middle).norm(dim=1), *_RADII)
        sin = torch.sin(math.pi * along.clamp(0, 1))
        window = step(along, *_FROM) * (1 - step(along, _TO[1], _TO[0])) * (rise > 0) * step(gap, 1.0, 2.2)
        line = torch.exp(-((gap - _ROOTS[0]) / _ROOTS[1]).square()) * lids * step(along, 0.08, 0.2)
        line = torch.where(rise > 0, line, _LOWER * line)
        mine = torch.stack((1 - step(gap, *_MARGIN), flesh, line, above, _HEIGHT + _ARCH * sin, window), 1)
        mine[:, :2] *= lids[:, None]
        values = torch.where(own[:, None], mine, values)
    return bake_box(values, template, tile_uvs, near[template.faces].all(dim=1), size)
