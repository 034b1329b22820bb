"""Procedural cropped and receding hair: a low shell over the scalp with a texture of short hairs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from facekit.train.arrays import smoothstep
from facekit.train.hair.pictures import blurred
from facekit.train.hair.shells import Net

#: Height of the shell, mm, on the crown and at the sides.
_HEIGHT = (3.6, 2.5)
#: Heights y, mm, between which the sides pass into the crown, and the nape's hair into theirs; share at the nape.
_FADED, _NAPE, _THINNED = (40.0, 85.0), (-60.0, -10.0), 0.45
#: Distances from the hairline, mm, between which hair gets dense, and the standard deviation of the hairline's place.
_THIN, _UNEVEN = (1.0, 11.0), 1.8
#: Coverage of the shell on the crown and at the sides.
_DENSE = (0.94, 0.72)
#: Length of hairs in texels, and how bright and how dark they are: grey is 0.5 times e to the plus or minus this.
_LENGTH, _CONTRAST = 5, 0.34
#: Tangent of the angle at which hairs lean, and the radius of the whorl, mm, within which they stand up.
_LEAN, _WHORL = 0.8, 12.0
#: Coverage of the scalp under it, on the crown and at the sides.
_CAP = (0.9, 0.62)
#: Receding hair: height y of the thin crown's border at the sides, its rise toward the front, how much lower it is in
#: the middle of the back, the width of the border, mm, and the share of hair that is left above it.
_BORDER, _RISE, _DIP, _SOFT, _LEFT = 104.0, 0.14, 10.0, 40.0, 0.42
#: Depths z where hair ends above the middle of the forehead, and at the temples at the height of the brows; how far it
#: recedes there per height; the width of the end, mm; distances from the middle between which one becomes the other.
_MIDDLE, _TEMPLE, _SLANT, _GRADUAL, _BAYS = 73.0, 54.0, 0.42, 24.0, (14.0, 54.0)
#: Height of the shell where hair is thin, mm, and the share up to which there is none: few hairs would cast the shadow
#: of many.
_FLAT, _NONE = 1.1, 0.3


def cropped_cards(net: Net, size: int, left: np.ndarray) -> dict[str, np.ndarray]:
    """Build the shell over a net, with a strand texture of ``size`` texels along a side.

    ``left`` (N,) in [0, 1] is the share of hair that is left: 1 but for :func:`receded` hair.

    Returns ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` as for the pack's styles, ``strands`` (2, size, size), and
    ``along`` (N, 3), the unit directions of hairs.
    """
    dense, height = _from_sides(net.roots, *_DENSE) * _nape(net.roots), _from_sides(net.roots, *_HEIGHT)
    dense, height = np.where(left > _NONE, dense * left, 0.0), _FLAT + (height - _FLAT) * left
    deep, dense = net.baked(net.rim, size), net.baked(dense, size)
    return {
        **net.shells([height], [net.chart]),
        "strands": cropped_picture(size, deep, dense).numpy(),
        "along": _standing(net),
    }


def cropped_cover(points: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Return the coverage of the scalp under cropped hair, (N,) in [0, 1], at points (N, 3) mm; ``left`` (N,) as in
    :func:`cropped_cards`.
    """
    return _from_sides(points, *_CAP) * _nape(points) * left


def receded(points: np.ndarray) -> np.ndarray:
    """Return the share of hair (N,) in [0, 1] that is left at points (N, 3) mm on a head from whose temples it receded
    and on whose crown it got thin.
    """
    x, y, z = points.T
    back = smoothstep(-z, 0.0, 80.0) * (1 - smoothstep(np.abs(x), 10.0, 90.0))
    crown = smoothstep(y - _RISE * z + _DIP * back, _BORDER - _SOFT, _BORDER)
    temple = _TEMPLE - _SLANT * (y - 60.0)
    ends = temple + (_MIDDLE - temple) * (1 - smoothstep(np.abs(x), *_BAYS))
    return (1 - smoothstep(z, ends - _GRADUAL, ends)) * (1 - (1 - _LEFT) * crown)


def _standing(net: Net) -> np.ndarray:
    """Return the direction (N, 3) of the hairs at each point: up from the scalp, and leaning away from the crown."""
    away = net.roots - net.roots[np.argmin(np.linalg.norm(net.chart - 0.5, axis=1))]
    away -= (away * net.out).sum(1, keepdims=True) * net.out
    along = net.out + _LEAN * away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), _WHORL)
    return along / np.linalg.norm(along, axis=1, keepdims=True)


def _from_sides(points: np.ndarray, top: float, low: float) -> np.ndarray:
    """Return a value (N,) for points (N, 3) mm: ``top`` on the crown and ``low`` at the sides."""
    return low + (top - low) * smoothstep(points[:, 1], *_FADED)


def _nape(points: np.ndarray) -> np.ndarray:
    """Return the density (N,) in [0, 1] at points (N, 3) mm: hair gets thin toward the nape."""
    return _THINNED + (1 - _THINNED) * smoothstep(points[:, 1], *_NAPE)


def cropped_picture(size: int, deep: torch.Tensor, dense: torch.Tensor, seed: int = 12) -> torch.Tensor:
    """Draw the strand texture of cropped hair, grey and coverage (2, size, size) in [0, 1].

    Hairs point away from the whorl at the crown, the picture's middle. ``deep`` (size, size) is the distance from the
    hairline, mm, and ``dense`` (size, size) in [0, 1] the coverage away from it.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, size, size, generator=generator)
    at = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(at, at, indexing="ij")
    place = torch.stack((x, y), -1)
    # Not quite radial: hair turns about the whorl, and no two hairs are parallel.
    way = torch.stack((x - 0.35 * y, y + 0.35 * x), -1)
    turn = blurred(torch.randn(2, size, size, generator=generator), 3).movedim(0, -1)
    way = F.normalize(way, dim=-1) + 0.5 * turn / turn.std()
    way = 2 / size * F.normalize(way, dim=-1)
    steps = torch.arange(_LENGTH) - (_LENGTH - 1) / 2
    strands = torch.zeros(size, size)
    for step in steps.tolist():
        strands += F.grid_sample(noise, (place + step * way)[None], align_corners=True)[0, 0]
    rank = strands.flatten().argsort().argsort().view(size, size).float() / size**2
    tone = blurred(torch.randn(1, size, size, generator=generator), 1)[0]
    uneven = blurred(torch.randn(1, size, size, generator=generator), 4)[0]
    low, far = _THIN
    dense = dense * ((deep + _UNEVEN * uneven / uneven.std() - low) / (far - low)).clamp(0, 1)
    alpha = ((rank - (1 - dense)) / 0.15).clamp(0, 1)
    grey = 0.5 * torch.exp(_CONTRAST * (rank + 0.35 * (tone / tone.std()).clamp(-1, 1) - 0.5))
    return torch.stack((grey.clamp(0, 1), alpha))
