"""Shapes of lips: full or thin, the upper and the lower one, with a deep or a shallow bow, corners high or low."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facekit.geometry.charts import step
from facekit.geometry.normals import vertex_normals
from facekit.geometry.parts import among
from facekit.template import Template

#: Standard deviations in mm of the upper lip's height, the lower lip's, the bow's depth, and the height of the corners.
#: With what other shapes give, they vary as on the 102 photographs of the London Set (DeBruine and Jones 2017).
_VARIES = (1.4, 1.6, 0.35, 1.15)
#: Distance in mm above and below the lips over which skin goes along with their border, how far fuller lips come
#: forward in shares of that, and depths in mm behind the mouth's corners over which the surface is that of the lips.
_ABOVE, _BELOW, _FORWARD, _DEPTH = 9.0, 10.0, 0.5, (14.0, 4.0)
#: Reach in mm of what goes along with a corner of the mouth, in the picture's plane, and depths in mm behind it.
_CORNER, _BEHIND = 28.0, (30.0, 12.0)
#: Parts that move; those that move with the corners; the normal's component forward from which on a surface is outside.
_SOFT, _LINED, _OUTWARD = ("skin", "lips"), ("skin", "lips", "mouth"), (-0.3, 0.2)
#: Exponent of the profile along the mouth, and waves of the bow over half of it.
_ROUND, _WAVES = 0.75, 0.75
#: Landmarks, from the subject's right to the left: borders of both lips to the skin, and to each other.
_UPPER, _LOWER = (48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)
_SEAM = ((60, 61, 62, 63, 64), (60, 67, 66, 65, 64))


def lip_shapes(template: Template) -> Tensor:
    """Return displacements (4, V, 3) mm of one standard deviation each: a fuller upper lip, a fuller lower lip, a
    deeper bow of the upper one, and higher corners.

    Of the first three, the border to the skin moves; where lips meet, nothing does, so that closed lips stay closed.
    Corners move with all that is around them.
    """
    verts, marks = template.verts, template.verts[template.landmarks]
    x, y, z = verts.unbind(1)
    upper, lower = _height(marks[list(_UPPER)], x), _height(marks[list(_LOWER)], x)
    seam = 0.5 * sum(_height(marks[list(ids)], x) for ids in _SEAM)
    right, left = marks[48], marks[54]
    along = (2 * x - right[0] - left[0]) / (left[0] - right[0])
    front = step(z, *(float(right[2]) - depth for depth in _DEPTH))
    # What looks back into the mouth stays, as teeth do.
    front = front * step(vertex_normals(verts[None], template.faces)[0, :, 2], *_OUTWARD)
    front = front * among(template.parts, _SOFT)
    near = front * (1 - along.square()).clamp_min(0) ** _ROUND
    up = torch.where(y <= upper, (y - seam) / (upper - seam).clamp_min(1), 1 - step(y - upper, 0.0, _ABOVE))
    down = torch.where(y >= lower, (seam - y) / (seam - lower).clamp_min(1), 1 - step(lower - y, 0.0, _BELOW))
    up, down = (near * share.clamp(0, 1) * side for share, side in ((up, y > seam), (down, y < seam)))
    bow = up * torch.cos(2 * math.pi * _WAVES * along) * (1 - along.abs()).clamp_min(0)
    none = torch.zeros_like(x)
    ends = [
        (1 - step((verts - end)[:, :2].norm(dim=1), 0.0, _CORNER)) * step(z - end[2], *(-depth for depth in _BEHIND))
        for end in (right, left)
    ]
    corners = sum(ends, none) * among(template.parts, _LINED)
    shapes = [(up, _FORWARD * up), (-down, _FORWARD * down), (bow, none), (corners, none)]
    return torch.stack([v * torch.stack((none, *yz), 1) for v, yz in zip(_VARIES, shapes, strict=True)])


def _height(line: Tensor, x: Tensor) -> Tensor:
    """Return the height (V,) of a line (N, 3) from left to right at places (V,), and of its ends beyond them."""
    at = x.clamp(float(line[0, 0]), float(line[-1, 0])).contiguous()
    right = torch.searchsorted(line[:, 0].contiguous(), at).clamp(1, len(line) - 1)
    (x0, y0), (x1, y1) = line[right - 1, :2].unbind(1), line[right, :2].unbind(1)
    return torch.lerp(y0, y1, ((at - x0) / (x1 - x0)).clamp(0, 1))
