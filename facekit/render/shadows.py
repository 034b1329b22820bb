"""Soft shadows of the key light, for high-quality pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from facekit.geometry.angles import GOLDEN_ANGLE
from facekit.geometry.coverage import prepare
from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.normals import dot
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.rasterize import pixel_points
from facekit.render.shading import WRAP
from facekit.render.surface import Surface

#: Side of shadow maps in texels.
_SIZE = 768
#: Distance of the light in radii of the mesh: so far that its rays are almost parallel.
_FAR = 12.0
_TAPS = 10
#: Distance, mm, of the blocker that sets the width of the penumbra: that of a nose or chin from the skin behind.
_BLOCKER = 14.0


@dataclass(frozen=True)
class _ShadowMap:
    """Depth maps of b frames in one flat tensor, and the transforms from the cameras' spaces.

    ``depth`` (b * size²,), ``toward`` (b, 3) unit vectors toward the light in camera space, ``turn`` (b, 3, 3) and
    ``shift`` (b, 3) from camera to light space, ``texel`` (b,) mm, ``focal`` in texels, ``spread`` the tangent of the
    light's half angle, ``pixels`` the picture's focal length in pixels.
    """

    depth: torch.Tensor
    toward: torch.Tensor
    turn: torch.Tensor
    shift: torch.Tensor
    texel: torch.Tensor
    focal: float
    spread: float
    pixels: float


def key_shadow(
    verts: torch.Tensor, faces: torch.Tensor, lights: Lights, cameras: Camera, height: int
) -> Callable[[Surface], torch.Tensor]:
    """Return a function from :class:`Surface` to the visibility of the first light, (P,) float32 in [0, 1].

    Shadow mapping (Williams 1978) with percentage-closer filtering (Reeves et al. 1987) over a spiral disc that is
    rotated per sample; the samples of a pixel average out the noise.
    """
    with torch.no_grad():
        rotation = cameras.rotation()
        batch = max(len(cameras), len(verts))
        toward = lights.directions(rotation)[:, 0]
        world = torch.einsum("nij,ni->nj", rotation, toward)
        low, high = verts.detach().amin(1), verts.detach().amax(1)
        centre, radius = (low + high) / 2, (high - low).norm(dim=1, keepdim=True).clamp_min(1e-3) / 2
        fov = 2 * math.degrees(math.asin(1 / _FAR))
        position = centre + world * (_FAR * radius)
        light = Camera(position, centre.expand_as(position), fov)
        points = pixel_points(verts, light, _SIZE, _SIZE)
        _, depth = prepare(points, faces, _SIZE, _SIZE, near=light.near_plane(verts)).nearest()
        focal = float(light.focal(_SIZE)[0])
        turn = light.rotation() @ rotation.transpose(1, 2)
        shift = torch.einsum("nij,nj->ni", light.rotation(), cameras.position - light.position)
        shadow = _ShadowMap(
            depth.view(-1), toward.expand(batch, 3), turn.expand(batch, 3, 3), shift.expand(batch, 3),
            (_FAR * radius[:, 0] / focal).expand(batch), focal, math.tan(math.radians(lights.lights[0].size)),
            float(cameras.focal(height)[0]),
        )  # fmt: skip

    def arrives(found: Surface) -> torch.Tensor:
        with torch.no_grad():
            return _filtered(found, shadow)

    return arrives


def _filtered(found: Surface, shadow: _ShadowMap) -> torch.Tensor:
    """Return the fraction of taps around each sample's position in the map that see the light."""
    normal, single = found.smooth.detach(), shadow.turn.shape[0] == 1
    toward = shadow.toward[0, :, None] if single else shadow.toward.t().index_select(1, found.frame)
    cosine = dot(normal, toward)
    # Surfaces facing away from the light, beyond the wrap, receive none in any case.
    lit = flat_indices(cosine > -WRAP[0])
    cosine, distance, *normal, across, down = pick((cosine, found.depth.detach(), *normal, *found.ray), lit)
    frame = lit.new_zeros(1) if single else found.frame.index_select(0, lit)
    turn, texel = shadow.turn[frame].permute(1, 2, 0), shadow.texel[frame]
    # The disc is rotated by interleaved gradient noise (Jimenez 2014) of the pixel: it is fixed in the picture, so
    # sweeps do not flicker.
    pixel = [(ray * shadow.pixels + 8192.5).floor_() for ray in (across, down)]
    angle = 6.2831853 * torch.frac(52.9829189 * torch.frac(0.06711056 * pixel[0] + 0.00583715 * pixel[1]))
    cos, sin = torch.cos(angle), torch.sin(angle)
    # An offset from the surface avoids self-shadowing; it grows at grazing light.
    off = 1.5 * texel + 1.2 * (1.0 - cosine.clamp(0.0, 1.0))
    start = [torch.addcmul(p * distance, n, off) for p, n in zip((across, down, -1.0), normal, strict=True)]
    x, y, z = (dot(turn[k], start) + shadow.shift[frame, k] for k in range(3))
    distance = -z
    column, row = shadow.focal * x / distance + _SIZE / 2, _SIZE / 2 - shadow.focal * y / distance
    base = (frame * (_SIZE * _SIZE)).to(torch.int32)
    # Along the disc the surface itself comes nearer to the light: the bias grows with the tap's radius.
    slope = torch.sqrt(1.0 - cosine.clamp(0.05, 1.0).square()) / cosine.clamp(0.25, 1.0)
    reach = shadow.spread * _BLOCKER
    cos, sin = cos * (reach / texel), sin * (reach / texel)
    limit = distance - 0.6 * texel
    total, sees = torch.zeros_like(x), torch.empty_like(x)
    for k in range(_TAPS):
        radius = math.sqrt((k + 0.5) / _TAPS)
        dx, dy = radius * math.cos(GOLDEN_ANGLE * k), radius * math.sin(GOLDEN_ANGLE * k)
        u = (cos * dx).sub_(sin, alpha=dy).add_(column).to(torch.int32).clamp_(0, _SIZE - 1)
        v = (sin * dx).add_(cos, alpha=dy).add_(row).to(torch.int32).clamp_(0, _SIZE - 1)
        nearest = shadow.depth.index_select(0, v.mul_(_SIZE).add_(u).add_(base))
        # Accumulate as floats: several times as fast as adding bools.
        total += torch.ge(nearest.add_(slope, alpha=0.8 * radius * reach), limit, out=sees)
    return torch.ones_like(found.depth).scatter_(0, lit, total.mul_(1.0 / _TAPS))
