"""Light on strands of hair: the reflection model of Kajiya and Kay."""

from __future__ import annotations

import torch

from facekit.geometry.normals import dot
from facekit.render.lights import Lights

#: The highlight as two shifted lobes (Scheuermann, *Practical real-time hair rendering and shading*, 2004): shift of
#: the tangent along the normal, exponent, and strength.
_LOBES = ((-0.10, 60.0, 0.16), (0.14, 14.0, 0.18))
#: Wrap of diffuse light, and the fraction of it that is independent of the strand's direction.
_WRAPPED, _ROUND = 0.35, 0.45


def strand_light(
    normal: torch.Tensor,
    view: torch.Tensor,
    along: torch.Tensor,
    openness: torch.Tensor,
    gloss: torch.Tensor,
    lights: Lights,
    rotation: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the light on strands at vertices (Kajiya and Kay, *Rendering fur with three dimensional textures*, 1989):
    diffuse, to be multiplied by their colour, and specular, both (3, N) linear.

    Parameters
    ----------
    normal, view, along:
        (3, N) unit, camera space: normal of the card, direction to the viewer, and direction of the strands.
    openness:
        (N,) in [0, 1]: fraction of ambient light that reaches them.
    gloss:
        (N,) in [0, 1]: strength of highlights, less for short hairs than for long ones, least for lashes.
    rotation:
        (3, 3): the camera's rotation.
    """
    along = along - normal * dot(along, normal)
    along = along * torch.rsqrt(dot(along, along).clamp_min(1e-8))
    middle, half = (
        normal.new_tensor([0.5 * (s + sign * g) for s, g in zip(lights.sky, lights.ground, strict=True)])[:, None]
        for sign in (1, -1)
    )
    soft = torch.addcmul(middle, half, dot(normal, rotation[:, 1, None]))
    around = lights.irradiance(normal, rotation[None], torch.zeros_like(gloss, dtype=torch.int64))
    soft = (soft if around is None else soft + around) * openness
    if not lights.lights:
        return soft, torch.zeros_like(soft)
    # One row per light. The half vector is never computed: it is (l + v) / |l + v|, and |l + v|² = 2 + 2 l . v.
    toward = lights.directions(rotation[None])[0]
    facing, leaning = toward @ normal, toward @ along
    lit = (facing / (1.0 + _WRAPPED) + _WRAPPED / (1.0 + _WRAPPED)).clamp_min_(0.0) * openness
    body = (1.0 - leaning.square()).clamp_min_(0.0).sqrt_().mul_(1.0 - _ROUND).add_(_ROUND)
    scale = torch.rsqrt((2.0 + 2.0 * (toward @ view)).clamp_min_(1e-8))
    across, ahead, length = facing + dot(normal, view), leaning + dot(along, view), dot(along, along)
    peaks = torch.zeros_like(lit)
    for shift, exponent, amount in _LOBES:
        # The shifted tangent's two parts are orthogonal.
        tilt = torch.add(ahead, across, alpha=shift) * scale * torch.rsqrt(length + shift**2)
        peaks.add_((1.0 - tilt.square()).clamp_min_(1e-6).pow_(0.5 * exponent), alpha=amount)
    dull = openness * (0.35 + 0.65 * openness) * gloss
    colours = normal.new_tensor([[light.strength * c for c in light.colour] for light in lights.lights]).t()
    gain = normal.new_tensor([light.gloss for light in lights.lights])
    return soft + colours @ (lit * body), (colours * gain) @ (peaks * lit * dull)
