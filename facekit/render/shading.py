"""The deferred shader: from face ids to colours, with gradients to vertices and texture.

Every sample recomputes where its ray meets its face, so that any backend that finds face ids gets the same picture.
All lists are rows of coordinates, (3, P) and the like, which is what plain torch is fast with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from facekit.conventions import PARTS
from facekit.geometry.uv import MipTexture
from facekit.render.lights import Lights

#: How each part takes light: roughness (GGX), reflectance at normal incidence, how far red light wraps around the
#: terminator (the visible effect of scattering under skin; Penner, *Pre-integrated skin shading*, 2011), wet coat.
MATERIALS: dict[str, tuple[float, float, float, float]] = {
    "skin": (0.50, 0.025, 1.0, 0.0),
    "lips": (0.36, 0.030, 0.9, 0.0),
    "lids": (0.48, 0.025, 1.0, 0.0),
    "eyes": (0.30, 0.020, 0.3, 1.0),
    "teeth": (0.22, 0.045, 0.5, 0.0),
    "mouth": (0.30, 0.030, 0.9, 0.0),
    "back_of_head": (0.54, 0.023, 1.0, 0.0),
    "neck": (0.54, 0.023, 1.0, 0.0),
}
#: What a mesh without texture is made of: fired clay, sRGB.
CLAY = (0.80, 0.765, 0.735)
CLAY_MATERIAL = (0.55, 0.035, 0.35, 0.0)
#: How far each colour wraps, and the width of the soft terminator, from the diffusion of red, green and blue in skin.
WRAP = (0.28, 0.16, 0.12)


@dataclass(frozen=True)
class Surface:
    """Where P samples meet the mesh, in camera space; rows of coordinates.

    Parameters
    ----------
    frame, face:
        (P,) int64.
    ray, depth:
        (2, P) and (P,) float32: the place is depth times (x, y, -1), mm.
    normal:
        (3, P) unit, turned to the viewer.
    view:
        (3, P) unit, toward the viewer.
    uv, span:
        (2, P), and (P,) log2 of the UV length that a pixel covers.
    values:
        (C, P) what else was interpolated.
    """

    frame: torch.Tensor
    face: torch.Tensor
    ray: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    view: torch.Tensor
    uv: torch.Tensor
    span: torch.Tensor
    values: torch.Tensor


def material_table(
    parts: torch.Tensor | None, ao: torch.Tensor | None, count: int, clay: bool, like: torch.Tensor
) -> torch.Tensor:
    """Per-vertex material, (5, V) float32: occlusion, roughness, reflectance, scattering, wet coat."""
    if clay:
        rows = like.new_tensor([CLAY_MATERIAL]).expand(count, -1)
    elif parts is None:
        rows = like.new_tensor([MATERIALS["skin"]]).expand(count, -1)
    else:
        rows = like.new_tensor([MATERIALS[name] for name in PARTS])[parts.to(torch.int64)]
    shade = like.new_ones(count) if ao is None else ao.to(like)
    return torch.cat((shade[None], rows.t()), dim=0)


def surface(
    points: torch.Tensor,
    normals: torch.Tensor,
    values: torch.Tensor,
    faces: torch.Tensor,
    uvs: torch.Tensor,
    faces_uvs: torch.Tensor,
    frame: torch.Tensor,
    face: torch.Tensor,
    ray: torch.Tensor,
    pixel: torch.Tensor,
) -> Surface:
    """Intersect rays with the faces they are known to hit and interpolate there.

    Parameters
    ----------
    points, normals:
        (3, B * V) float32, camera space.
    values:
        (C, V) float32, interpolated along.
    faces, faces_uvs:
        (3, F) int64: transposed.
    uvs:
        (2, T) float32: transposed.
    frame, face:
        (P,) int64.
    ray:
        (2, P) float32: x and y of the direction (x, y, -1) in camera space.
    pixel:
        (B,) float32: the ray's change from one pixel to the next, 1 / focal length.
    """
    single = pixel.shape[0] == 1
    corners = faces.index_select(1, face)
    places = corners if single else corners + frame * (points.shape[1] // pixel.shape[0])
    a, b, c = (points.index_select(1, place) for place in places)
    first, second = b - a, c - a
    # Möller and Trumbore 1997, from the origin along d = (x, y, -1).
    dx, dy = ray
    px, py, pz = dy * second[2] + second[1], -second[0] - dx * second[2], dx * second[1] - dy * second[0]
    det = first[0] * px + first[1] * py + first[2] * pz
    inverse = 1.0 / torch.where(det.abs() < 1e-12, torch.full_like(det, 1e-12), det)
    qx, qy, qz = (
        first[1] * a[2] - first[2] * a[1], first[2] * a[0] - first[0] * a[2], first[0] * a[1] - first[1] * a[0]
    )  # fmt: skip
    u = -(a[0] * px + a[1] * py + a[2] * pz) * inverse
    v = (dx * qx + dy * qy - qz) * inverse
    # A sample may lie a rounding error outside its face, or far outside for faces seen edge-on.
    v = v.clamp(0.0, 1.0)
    u = torch.minimum(u.clamp_min(0.0), 1.0 - v)
    w = 1.0 - u - v
    depth = -(w * a[2] + u * b[2] + v * c[2])
    view = torch.stack((-dx, -dy, torch.ones_like(dx))) * torch.rsqrt(dx * dx + dy * dy + 1.0)
    normal = _to_viewer(_mix(normals, places, w, u, v), view)
    t0, t1, t2 = (uvs.index_select(1, corner) for corner in faces_uvs.index_select(1, face))
    uv = w * t0 + u * t1 + v * t2
    with torch.no_grad():
        # UV area a pixel: from w_i = d . n_i / det(a, b, c) the map from screen to UV has the Jacobian determinant
        # |along x across| depth² pixel² / |det|. A slanted pixel is longer one way; the share of its cosine leans the
        # level a little toward that way, between the blur of the long side and the noise of the short one.
        step = depth * (pixel if single else pixel.index_select(0, frame))
        along, across = t1 - t0, t2 - t0
        area = (along[0] * across[1] - along[1] * across[0]) * inverse * step * step
        span = 0.5 * torch.log2(area.abs() + 1e-20) - 0.15 * torch.log2(dot(normal, view).clamp_min(0.05))
    return Surface(frame, face, ray, depth, normal, view, uv, span, _mix(values, corners, w, u, v))


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Row by row: torch's sum and norm over a short leading dimension are ten times slower on a CPU."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: torch.Tensor) -> torch.Tensor:
    return a * torch.rsqrt(dot(a, a).clamp_min(1e-20))


def _mix(table: torch.Tensor, corners: torch.Tensor, w, u, v) -> torch.Tensor:
    """(C, V) values interpolated between three corners (3, P)."""
    mixed = table.index_select(1, corners[0]) * w
    mixed = torch.addcmul(mixed, table.index_select(1, corners[1]), u)
    return torch.addcmul(mixed, table.index_select(1, corners[2]), v)


def _to_viewer(normal: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
    """Unit normals, bent to be seen: interpolated ones lean away at silhouettes, and open meshes show their backs."""
    facing = dot(normal, view)
    turn = torch.where(facing < -0.3, -1.0, 1.0)
    lack = (0.02 - facing * turn).clamp_min(0.0)
    return _unit(torch.addcmul(normal * turn, view, lack))


def albedo(found: Surface, texture: MipTexture | None) -> torch.Tensor:
    """(3, P) sRGB."""
    if texture is None:
        return found.normal.new_tensor(CLAY)[:, None].expand(3, found.normal.shape[1])
    width, height = texture.places[0, 2:].tolist()
    return texture.sample(found.uv, found.span + 0.5 * math.log2(width * height), found.frame)


def shade(
    found: Surface,
    texture: MipTexture | None,
    lights: Lights,
    rotation: torch.Tensor,
    shadow: torch.Tensor | None = None,
) -> torch.Tensor:
    """Colours of the samples.

    Parameters
    ----------
    found:
        What :func:`surface` returned.
    texture:
        sRGB albedo, or None for clay.
    rotation:
        (B, 3, 3) float32, the cameras' rotations.
    shadow:
        (P,) float32 in [0, 1]: how much of the first light arrives; None for all of it.

    Returns
    -------
    torch.Tensor
        (3, P) float32, linear, tone-mapped into [0, 1].
    """
    base = srgb_to_linear(albedo(found, texture))
    if lights.unlit:
        return base
    occlusion, roughness, reflectance, scatter, coat = found.values
    normal, view = found.normal, found.view
    single = rotation.shape[0] == 1
    up = rotation[:, :, 1]
    up = up[0, :, None] if single else up.t().index_select(1, found.frame)
    sky, ground = (normal.new_tensor(c)[:, None] for c in (lights.sky, lights.ground))
    ambient = ground + (sky - ground) * (0.5 + 0.5 * dot(normal, up))
    # Light that was reflected before it arrives has the skin's own colour (Jimenez et al., *Practical realtime
    # strategies for accurate indirect occlusion*, 2016): crevices turn red, not grey.
    diffuse = ambient * (occlusion + base * (0.55 * (1.0 - occlusion) * occlusion))
    facing = dot(normal, view).clamp(1e-3, 1.0)
    openness = occlusion.square()
    fresnel = (1.0 - facing).square().square() * (1.0 - facing)
    gleam = ambient * ((reflectance + (0.35 - 0.3 * roughness) * fresnel) * openness)
    # A crevice sees only light that comes along its axis (Chan, *Material advances in Call of Duty WWII*, 2018).
    aperture = 2.0 * openness + 0.25 * occlusion - 1.0
    local = torch.stack((aperture, roughness.square(), reflectance, scatter, facing))
    directions = lights.directions(rotation)
    for k, light in enumerate(lights.lights):
        toward = directions[0, k, :, None] if single else directions[:, k].t().index_select(1, found.frame)
        cosine = dot(normal, toward)
        lit = (cosine > -WRAP[0]).nonzero()[:, 0]
        parts = (view, toward, cosine, local, shadow if k == 0 else None)
        colour = [light.strength * c for c in light.colour]
        whole = lit.numel() > 0.6 * cosine.numel()
        if not whole:
            # A light from behind reaches few samples: pick those.
            parts = tuple(p if p is None or p.shape[-1] == 1 else p.index_select(-1, lit) for p in parts)
        rows, shine = _direct(*parts)
        rows = torch.stack([row * c for row, c in zip(rows, colour, strict=True)])
        shine = shine * normal.new_tensor(colour)[:, None] * light.gloss
        diffuse = diffuse + rows if whole else diffuse.index_add(1, lit, rows)
        gleam = gleam + shine if whole else gleam.index_add(1, lit, shine)
    wet = (coat > 0.01).nonzero()[:, 0]
    if wet.numel() and lights.lights:
        # Wet eyes mirror the key light's box, one highlight each, as portraits have it.
        key = lights.lights[0]
        toward = directions[0, 0, :, None] if single else directions[:, 0].t()[:, found.frame[wet]]
        n, v, f, amount = (t.index_select(-1, wet) for t in (normal, view, facing, coat * openness))
        spark = key.strength * amount * _reflection(n, v, toward, f, key.size)
        gleam = gleam.index_add(1, wet, normal.new_tensor(key.colour)[:, None] * spark)
    return tone(torch.addcmul(gleam, base, diffuse))


def _direct(view, toward, cosine, local, shadow) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What one light does: diffuse red, green and blue (P,), to be multiplied by the albedo, and specular (P,)."""
    aperture, alpha, reflectance, scatter, facing = local
    lit = cosine.clamp_min(0.0)
    reach = (lit + aperture).clamp(0.0, 1.0)
    rows = []
    for width in WRAP:
        wrap = scatter * width
        wrapped = ((cosine + wrap) / (1.0 + wrap)).clamp_min(0.0)
        # Squaring in part keeps the energy that wrapping adds in check, and the terminator soft.
        wrapped = torch.lerp(wrapped, wrapped * wrapped, 2.0 * wrap)
        # A cast shadow's edge, too, lets red through before green and blue.
        rows.append(wrapped * (reach if shadow is None else reach * shadow ** (1.0 - 0.6 * wrap)))
    if shadow is not None:
        reach = reach * shadow
    # GGX times cosine and pi (strengths are per albedo): Walter et al. 2007, visibility and Fresnel of Karis 2013. The
    # half vector h is never built: |l + v|² = 2 + 2 l . v.
    between = dot(view, toward)
    scale = torch.rsqrt(2.0 + 2.0 * between.clamp_min(-0.999))
    h = ((lit + facing) * scale).clamp_max(1.0)
    seen = (1.0 + between) * scale
    spread = alpha.square()
    d = spread / (h * h * (spread - 1.0) + 1.0).square()
    f = reflectance + (1.0 - reflectance) * torch.exp2((-5.55473 * seen - 6.98316) * seen)
    k = 0.5 * alpha
    visible = 0.25 / (torch.lerp(facing, torch.ones_like(k), k) * torch.lerp(lit, torch.ones_like(k), k))
    return rows, reach * lit * d * visible * f


def _reflection(normal, view, toward, facing, size: float) -> torch.Tensor:
    """The mirror image of a round softbox in a wet surface, (P,)."""
    mirrored = 2.0 * facing * normal - view
    angle = torch.deg2rad(mirrored.new_tensor([0.55 * size, 0.8 * size])).cos()
    t = ((dot(mirrored, toward) - angle[1]) / (angle[0] - angle[1])).clamp(0.0, 1.0)
    return 0.85 * t * t * (3.0 - 2.0 * t)


def tone(linear: torch.Tensor, start: float = 0.62) -> torch.Tensor:
    """A film's shoulder: the identity up to ``start``, then bending smoothly toward 1. Albedo stays what it is."""
    over = (linear - start).clamp_min(0.0)
    room = 1.0 - start
    return torch.minimum(linear, linear.new_tensor(start)).clamp_min(0.0) + room * (1.0 - torch.exp(-over / room))


def srgb_to_linear(colour: torch.Tensor) -> torch.Tensor:
    """IEC 61966-2-1 decoding of values in [0, 1]."""
    low = colour * (1.0 / 12.92)
    high = ((colour.clamp_min(0.04045) + 0.055) * (1.0 / 1.055)) ** 2.4
    return torch.where(colour <= 0.04045, low, high)


def linear_to_srgb(colour: torch.Tensor) -> torch.Tensor:
    """IEC 61966-2-1 encoding of values in [0, 1]."""
    high = 1.055 * colour.clamp_min(0.0031308) ** (1.0 / 2.4) - 0.055
    return torch.where(colour <= 0.0031308, colour * 12.92, high)
