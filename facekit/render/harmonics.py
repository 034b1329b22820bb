"""Environment light as second-order spherical harmonics: nine coefficients per colour channel.

For diffuse surfaces the error of this order is about 1 % (Ramamoorthi and Hanrahan, *An efficient representation for
irradiance environment maps*, SIGGRAPH 2001). With radiance L(w) = sum L_lm Y_lm(w), the irradiance on a surface with
normal n is the convolution with the clamped cosine,

    E(n) = sum A_l L_lm Y_lm(n),    A_0 = pi,  A_1 = 2 pi / 3,  A_2 = pi / 4,

and the reflected light is albedo times E / pi: uniform light of radiance 1 gives the albedo. The order is (0,0) (1,-1)
(1,0) (1,1) (2,-2) (2,-1) (2,0) (2,1) (2,2) with real, normalised functions; -1 is y, 0 is z, 1 is x.
"""

from __future__ import annotations

import math

import torch

from facekit.errors import InputError

#: Normalisation of each basis function: 1, y, z, x, xy, yz, 3 z² - 1, xz, x² - y².
_NORMS = (
    math.sqrt(1 / (4 * math.pi)),
    *(math.sqrt(3 / (4 * math.pi)),) * 3,
    *(math.sqrt(15 / (4 * math.pi)),) * 2,
    math.sqrt(5 / (16 * math.pi)),
    math.sqrt(15 / (4 * math.pi)),
    math.sqrt(15 / (16 * math.pi)),
)
#: A_l / pi for each basis function.
_COSINE = (1.0, 2 / 3, 2 / 3, 2 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4)


def basis(directions: torch.Tensor) -> torch.Tensor:
    """Return Y_lm of unit vectors: rows of coordinates (3, P) to (9, P)."""
    x, y, z = directions
    rows = (torch.ones_like(x), y, z, x, x * y, y * z, 3.0 * z * z - 1.0, x * z, x * x - y * y)
    return torch.stack([row * norm for row, norm in zip(rows, _NORMS, strict=True)])


def irradiance(sh: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Return the light reflected by a white, unoccluded surface, E / pi: normals (3, P) to (3, P) linear RGB.

    Clamped at zero, where the series of a strong small light undershoots. Differentiable.

    Parameters
    ----------
    sh:
        (9, 3), or (P, 9, 3), one set per normal.
    """
    weighted = sh * sh.new_tensor(_COSINE)[:, None]
    if sh.ndim == 2:
        return (weighted.t() @ basis(normal)).clamp_min(0.0)
    return torch.einsum("pkc,kp->cp", weighted, basis(normal)).clamp_min(0.0)


def project(panorama: torch.Tensor) -> torch.Tensor:
    """Return the coefficients (9, 3) of an environment map.

    Parameters
    ----------
    panorama:
        (3, H, W) float32, linear radiance, equirectangular: +Y at the top, +Z (in front of the face) in the middle of
        the picture, +X (the subject's left) to the right of that.
    """
    if panorama.ndim != 3 or panorama.shape[0] != 3:
        raise InputError("a panorama (3, H, W), linear", f"{tuple(panorama.shape)}", "pass one environment map")
    height, width = panorama.shape[1:]
    down = (torch.arange(height, dtype=torch.float64) + 0.5) * (math.pi / height)
    around = ((torch.arange(width, dtype=torch.float64) + 0.5) / width - 0.5) * (2 * math.pi)
    down, around = torch.meshgrid(down, around, indexing="ij")
    directions = torch.stack(
        (torch.sin(down) * torch.sin(around), torch.cos(down), torch.sin(down) * torch.cos(around))
    )
    # Exact solid angles, as small panoramas are common here.
    row = torch.arange(height + 1, dtype=torch.float64) * (math.pi / height)
    solid = (torch.cos(row[:-1]) - torch.cos(row[1:])) * (2 * math.pi / width)
    weighted = basis(directions.view(3, -1)) * solid.repeat_interleave(width)
    return (weighted @ panorama.reshape(3, -1).t().to(weighted)).to(torch.float32)
