"""Measures of whether two faces are one person's, taken from shape and skin: no network judges them.

They tell how far a person drifts while the expression changes, in units of how far strangers are apart. They do not
tell who somebody is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.errors import InputError
from facekit.metrics.texture import lab

#: Landmarks (iBUG) that expressions hardly move: the ends of the jaw line at the ears, the nose's bridge and base, the
#: corners of the eyes.
STILL = (0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 33, 36, 39, 42, 45)


def proportions(points: Tensor) -> Tensor:
    """Logarithms of the distances between all pairs of points, without their mean: (B, P).

    A face's proportions: they know neither place, nor turn, nor size.

    Parameters
    ----------
    points:
        (B, 68, 3) float mm, the iBUG landmarks; :data:`STILL` of them are used. For a face with an expression, take off
        what the expression moves first (:mod:`facekit.compare` takes what it moves in the model's mean face).
    """
    if points.ndim != 3 or points.shape[1:] != (68, 3):
        raise InputError("landmarks (B, 68, 3)", f"{tuple(points.shape)}", "pass mesh.verts[:, mesh.landmarks]")
    still = points[:, list(STILL)]
    one, other = torch.triu_indices(len(STILL), len(STILL), offset=1)
    length = (still[:, one] - still[:, other]).norm(dim=-1).clamp_min(1e-6).log()
    return length - length.mean(dim=1, keepdim=True)


def identity_distance(a: Tensor, b: Tensor) -> Tensor:
    """Difference of two people's proportions, in percent: (B,), from (B, P) of :func:`proportions`.

    The root mean square over all pairs of points of how much longer or shorter the way between them is.
    """
    return 100 * (a - b).square().mean(dim=-1).sqrt()


def skin_tone(texture: Tensor, skin: Tensor) -> Tensor:
    """The median colour of the skin, (B, 3) CIE L*a*b*: blushing cheeks and lids do not move it.

    Parameters
    ----------
    texture:
        (B, 3, H, W) float sRGB in [0, 1].
    skin:
        (H, W) bool, which texels are skin.
    """
    if skin.shape != texture.shape[2:]:
        raise InputError(f"a mask of {tuple(texture.shape[2:])}", f"{tuple(skin.shape)}", "make it for this texture")
    return lab(texture[:, :, skin][..., None])[..., 0].median(dim=2).values
