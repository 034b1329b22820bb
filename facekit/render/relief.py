"""Relief: the effect of displacement maps on shading, without moving vertices."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from facekit.geometry.mip import MipTexture, halve
from facekit.geometry.normals import cross, dot
from facekit.geometry.uv import slopes

#: Slopes are limited to this (63°): overhanging surfaces cannot be shown by bending normals.
_STEEPEST = 2.0
#: Radius, in units of UV, of the mean that hollows are measured against: some 3 mm on a head.
_AROUND = 1 / 128


def relief_of(displacement: torch.Tensor) -> MipTexture:
    """Return three channels: slopes along u and v in mm per unit of UV, and depth in mm below the local mean.

    Parameters
    ----------
    displacement:
        (B, 1, H, W) float32 mm. Differentiable. For maps expanded from a single one, such as static detail in a sweep,
        the result is computed once for all frames.
    """
    if displacement.stride(0) == 0:
        displacement = displacement[:1]
    size = displacement.shape[2:]
    low = displacement
    for _ in range(max(1, round(math.log2(max(size) * _AROUND)))):
        if min(low.shape[2:]) > 1:
            low = halve(low)
    hollow = (F.interpolate(low, size, mode="bilinear", align_corners=False) - displacement).clamp_min_(0.0)
    return MipTexture.build(torch.cat((slopes(displacement), hollow), 1))


def uv_gradients(b: torch.Tensor, c: torch.Tensor, along: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """Return the surface gradients of u and v on flat faces: (6, n), 1/mm; zero for degenerate faces.

    Parameters
    ----------
    b, c:
        (3, n): two edges from the same corner, mm.
    along, across:
        (2, n): change of u and v along them.
    """
    normal = torch.stack(cross(b, c))
    inverse = dot(normal, normal)
    inverse = inverse / torch.addcmul(inverse.new_tensor(1e-12), inverse, inverse)
    # The dual basis: each vector is 1 along its own edge and 0 along the other.
    first, second = torch.stack(cross(c, normal)) * inverse, torch.stack(cross(normal, b)) * inverse
    return torch.cat([torch.addcmul(first * along[k], second, across[k]) for k in (0, 1)])


def tilted(
    smooth: torch.Tensor, view: torch.Tensor, turn: torch.Tensor, rise: torch.Tensor, gradients: torch.Tensor
) -> torch.Tensor:
    """Return unit normals (3, P) of the surface displaced by a height along the smooth normal.

    To first order this is n minus the height's surface gradient (Mikkelsen, *Bump mapping unparametrized surfaces on
    the GPU*, 2010), which by the chain rule is h_u grad u + h_v grad v: exact for any UV, mirrored or skewed, without
    tangents.

    Parameters
    ----------
    turn:
        (P,): -1 for back faces, whose heights have the opposite sign.
    rise:
        (3, P): the first rows are h_u and h_v, mm.
    """
    slope = torch.addcmul(gradients[:3] * rise[0], gradients[3:], rise[1]) * turn
    # Faces are not orthogonal to the smooth normal: keep only the orthogonal component.
    slope = torch.addcmul(slope, smooth, dot(smooth, slope), value=-1.0)
    steep = torch.rsqrt((dot(slope, slope) * (1.0 / _STEEPEST**2)).clamp_min(1.0))
    normal = torch.addcmul(smooth, slope, steep, value=-1.0)
    normal = torch.addcmul(normal, view, (0.02 - dot(normal, view)).clamp_min(0.0))
    return normal * torch.rsqrt(dot(normal, normal).clamp_min(1e-20))
