"""Action units read off the 68 landmarks as distances: a judge that no picture and no network has a part in.

Each proxy is a length in the face, in parts of the distance of the outer eye corners, that its unit makes longer or
shorter. They are coarse: units that move the same landmarks are told apart by how much of each they move at most.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facekit.errors import InputError

_Points = Callable[[int], Tensor]


def _height(p: _Points, upper: tuple[int, ...], lower: tuple[int, ...], up: Tensor) -> Tensor:
    """Mean height of some landmarks over others, along the face's own up."""
    above = torch.stack([p(k) for k in upper]).mean(0) - torch.stack([p(k) for k in lower]).mean(0)
    return (above * up).sum(-1)


def _width(p: _Points, left: int, right: int) -> Tensor:
    return (p(left) - p(right)).norm(dim=-1)


#: From landmarks and the direction up to a length that grows with the unit.
PROXIES: dict[int, Callable[[_Points, Tensor], Tensor]] = {
    1: lambda p, up: _height(p, (21, 22), (39, 42), up),
    2: lambda p, up: _height(p, (17, 26), (36, 45), up),
    4: lambda p, up: -_height(p, (20, 21, 22, 23), (39, 42), up) - _width(p, 21, 22),
    5: lambda p, up: _height(p, (37, 38, 43, 44), (36, 39, 42, 45), up),
    7: lambda p, up: _height(p, (40, 41, 46, 47), (36, 39, 42, 45), up),
    10: lambda p, up: _height(p, (50, 52), (33,), up) - _height(p, (62,), (51,), up),
    12: lambda p, up: _height(p, (48, 54), (51, 57), up) + _width(p, 48, 54),
    15: lambda p, up: -_height(p, (48, 54), (51, 57), up),
    17: lambda p, up: _height(p, (57,), (33,), up),
    18: lambda p, up: -_width(p, 48, 54),
    20: lambda p, up: _width(p, 48, 54) - 0.5 * _height(p, (48, 54), (51, 57), up),
    25: lambda p, up: (p(62) - p(66)).norm(dim=-1),
    26: lambda p, up: -_height(p, (8,), (33,), up),
    45: lambda p, up: -_height(p, (37, 38, 43, 44), (40, 41, 46, 47), up),
}


def unit_proxies(points: Tensor) -> Tensor:
    """Lengths (B, 14) of all :data:`PROXIES`, in their order; what a face has at rest is still in them.

    Parameters
    ----------
    points:
        (B, 68, 3) float in space, +Y up when the head is upright, or (B, 68, 2) in a picture, y down; of heads in about
        one pose.
    """
    if points.ndim != 3 or points.shape[1] != 68 or points.shape[2] not in (2, 3):
        raise InputError("landmarks (B, 68, 3) or (B, 68, 2)", f"{tuple(points.shape)}", "pass iBUG's 68")
    size = (points[:, 45] - points[:, 36]).norm(dim=-1).clamp_min(1e-6)
    up = points[:, 27] - points[:, 33]  # from the nose's base to its root: no expression turns it
    up = up / up.norm(dim=-1, keepdim=True).clamp_min(1e-6)

    def point(k: int) -> Tensor:
        return points[:, k]

    return torch.stack([proxy(point, up) for proxy in PROXIES.values()], dim=1) / size[:, None]


def unit_intensities(points: Tensor, rest: Tensor, full: Tensor) -> Tensor:
    """Intensities (B, 14), 0 to 5 and beyond, of faces against the same faces at rest.

    Parameters
    ----------
    points, rest:
        Landmarks as of :func:`unit_proxies`, the second of B faces or of one.
    full:
        (14,), by how much each length grows at intensity 5.
    """
    return (5 * (unit_proxies(points) - unit_proxies(rest)) / full).clamp_min(0)
