"""Action units estimated from distances between the 68 landmarks, without pictures or networks.

Each proxy is a distance, relative to that between the outer eye corners, that its unit increases or decreases. They are
coarse: units that move the same landmarks are separated by their largest effect on each proxy.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facekit.errors import InputError

_Points = Callable[[int], Tensor]


def _height(p: _Points, upper: tuple[int, ...], lower: tuple[int, ...], up: Tensor) -> Tensor:
    """Return the mean height of some landmarks over others, along the face's up direction."""
    above = torch.stack([p(k) for k in upper]).mean(0) - torch.stack([p(k) for k in lower]).mean(0)
    return (above * up).sum(-1)


def _width(p: _Points, left: int, right: int) -> Tensor:
    return (p(left) - p(right)).norm(dim=-1)


#: From landmarks and the up direction to a distance that grows with the unit.
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
    """Return the proxies (B, 14) in the order of :data:`PROXIES`, including their neutral values.

    Parameters
    ----------
    points:
        (B, 68, 3) float in space, +Y up when the head is upright, or (B, 68, 2) in a picture, y down; of heads in about
        the same pose.
    """
    if points.ndim != 3 or points.shape[1] != 68 or points.shape[2] not in (2, 3):
        raise InputError("landmarks (B, 68, 3) or (B, 68, 2)", f"{tuple(points.shape)}", "pass iBUG's 68")
    size = (points[:, 45] - points[:, 36]).norm(dim=-1).clamp_min(1e-6)
    up = points[:, 27] - points[:, 33]  # from the base of the nose to its root: no expression turns it
    up = up / up.norm(dim=-1, keepdim=True).clamp_min(1e-6)

    def point(k: int) -> Tensor:
        return points[:, k]

    return torch.stack([proxy(point, up) for proxy in PROXIES.values()], dim=1) / size[:, None]


def unit_intensities(points: Tensor, rest: Tensor, full: Tensor) -> Tensor:
    """Return intensities (B, 14), 0 to 5 and beyond, of faces relative to the same neutral faces.

    Parameters
    ----------
    points, rest:
        Landmarks as in :func:`unit_proxies`; ``rest`` of B faces or of one.
    full:
        (14,): increase of each proxy at intensity 5.
    """
    return (5 * (unit_proxies(points) - unit_proxies(rest)) / full).clamp_min(0)
