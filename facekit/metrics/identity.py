"""Identity measures from shape and skin, without a network.

They measure how far a person drifts with the expression, relative to the distance between different people. They do not
identify anybody.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.errors import InputError
from facekit.metrics.texture import lab

#: Landmarks (iBUG) that expressions hardly move: ends of the jaw line at the ears, bridge and base of the nose, corners
#: of the eyes.
STILL = (0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 33, 36, 39, 42, 45)


def proportions(points: Tensor) -> Tensor:
    """Return logarithms of the distances between all pairs of points, minus their mean: (B, P).

    These proportions are invariant to position, rotation and scale.

    Parameters
    ----------
    points:
        (B, 68, 3) float mm: iBUG landmarks, of which :data:`STILL` are used. For a face with an expression, subtract
        the expression's displacement first (:mod:`facekit.compare` subtracts that of the model's mean face).
    """
    if points.ndim != 3 or points.shape[1:] != (68, 3):
        raise InputError("landmarks (B, 68, 3)", f"{tuple(points.shape)}", "pass mesh.verts[:, mesh.landmarks]")
    still = points[:, list(STILL)]
    one, other = torch.triu_indices(len(STILL), len(STILL), offset=1)
    length = (still[:, one] - still[:, other]).norm(dim=-1).clamp_min(1e-6).log()
    return length - length.mean(dim=1, keepdim=True)


def identity_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the difference (B,), in percent, between two people's proportions (B, P) from :func:`proportions`.

    The root mean square, over all pairs of points, of the relative difference in distance.
    """
    return 100 * (a - b).square().mean(dim=-1).sqrt()


def skin_tone(texture: Tensor, skin: Tensor) -> Tensor:
    """Return the median colour of the skin, (B, 3) CIE L*a*b*, which blushing cheeks and lids hardly change.

    Parameters
    ----------
    texture:
        (B, 3, H, W) float sRGB in [0, 1].
    skin:
        (H, W) bool: skin mask.
    """
    if skin.shape != texture.shape[2:]:
        raise InputError(f"a mask of {tuple(texture.shape[2:])}", f"{tuple(skin.shape)}", "make it for this texture")
    return lab(texture[:, :, skin][..., None])[..., 0].median(dim=2).values
