"""Deferred shader: from surface samples to colours, differentiable with respect to vertices and texture."""

from __future__ import annotations

import math

import torch

from facekit.color import srgb_to_linear
from facekit.geometry.charts import step
from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.mip import MipTexture
from facekit.geometry.normals import dot
from facekit.hairline import edge_tone, hairs, thinned
from facekit.render.lights import Lights
from facekit.render.materials import CLAY, ROWS
from facekit.render.surface import Surface

#: Wrap per colour channel, and width of the soft terminator, from the diffusion of red, green and blue in skin.
WRAP = (0.23, 0.16, 0.13)
# Reflectance at grazing angles, at most 1, relative to that at normal incidence.
_GRAZING = 50.0
# Cosine between a lamp and the direction outward from the middle of the head at which the head begins to hide the lamp,
# and at which it does: noses and folds in front glint in no lamp from behind.
_ROUND = (-0.55, -0.15)
# The same for what skin mirrors at grazing angles: behind the outline of noses and jaws there are cheeks and the neck
# in place of the sky.
_BEHIND = (-0.40, 0.45)
# Occlusion below which wet surfaces reflect no lamp; from twice as much on they do fully.
_DRY = 0.12
# Curvature of the cornea relative to the template's, which has a radius of 11 mm: a real one of 7.8 mm would be 1.4.
# Lids lie over more of these large irises than in people, and lamps are mirrored still nearer to the pupil, so that
# fewer are hidden.
_CORNEA = 1.75
# Height of the lamp that eyes mirror, as a fraction of the key light's: photographers hang softboxes, and turn faces,
# so that lids do not hide them.
_MIRRORED = 0.35
#: Start of the tone curve's shoulder.
TONE_START = 0.62


def albedo(found: Surface, texture: MipTexture | None) -> torch.Tensor:
    """Return the albedo (3, P) sRGB: from the texture, else the vertex colours, else clay."""
    if texture is not None:
        return found.sampled(texture)
    if len(found.values) > ROWS + 2:
        return found.values[ROWS : ROWS + 3]
    return found.normal.new_tensor(CLAY)[:, None].expand(3, found.normal.shape[1])


def shade(
    found: Surface,
    texture: MipTexture | None,
    lights: Lights,
    rotation: torch.Tensor,
    middle: torch.Tensor,
    shadow: torch.Tensor | None = None,
    scalp: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the colours of samples.

    Parameters
    ----------
    found:
        Samples from :func:`surface`.
    texture:
        sRGB albedo, or None for vertex colours and clay.
    rotation:
        (B, 3, 3) float32: the cameras' rotations.
    middle:
        (3, B) float32: the middle of the head, camera space, mm.
    shadow:
        (P,) float32 in [0, 1]: visibility of the first light; None for no shadow.
    scalp:
        (3,) float32 sRGB: skin tone under hair, blended by the last row of the values; None without hair.

    Returns
    -------
    torch.Tensor
        (3, P) float32, linear, tone-mapped into [0, 1].
    """
    base = albedo(found, texture)
    if scalp is not None:
        some = flat_indices(found.values[-1] > 0.0)
        bare, cover = base.index_select(1, some), found.values[-1].index_select(0, some)
        strands, amount = torch.zeros_like(cover), cover
        if texture is not None:
            drawn = hairs(*texture.image.shape[2:], base.device)
            uv, level = found.uv.index_select(1, some), found.span.index_select(0, some) + drawn.detail
            strands = drawn.sample(uv, level)[0]
            amount = thinned(cover, strands)
        base = base.index_copy(1, some, torch.lerp(bare, edge_tone(scalp[:, None], cover, strands), amount))
    base = srgb_to_linear(base)
    if lights.unlit:
        return base
    occlusion, roughness, reflectance, scatter, coat = found.values[:ROWS]
    normal, view = found.normal, found.view
    single = rotation.shape[0] == 1
    up = rotation[:, :, 1]
    up = up[0, :, None] if single else up.t().index_select(1, found.frame)
    sky, ground = (normal.new_tensor(c)[:, None] for c in (lights.sky, lights.ground))
    ambient = torch.addcmul(0.5 * (sky + ground), 0.5 * (sky - ground), dot(normal, up))
    around = lights.irradiance(normal, rotation, found.frame)
    if around is not None:
        ambient = ambient + around
    # Interreflected light has the skin's own colour (Jimenez et al., *Practical realtime strategies for accurate
    # indirect occlusion*, 2016): crevices turn red, not grey.
    diffuse = ambient * torch.addcmul(occlusion, base, 0.55 * (1.0 - occlusion) * occlusion)
    facing = dot(normal, view).clamp(1e-3, 1.0)
    openness = occlusion.square()
    outward = found.outward(middle)
    gleam = ambient * (mirrored(roughness, reflectance, normal, view, facing, outward) * openness)
    # A crevice only receives light along its axis (Chan, *Material advances in Call of Duty WWII*, 2018).
    aperture = 2.0 * openness + 0.25 * occlusion - 1.0
    local = (aperture, roughness.square(), reflectance, scatter, facing)
    directions = lights.directions(rotation)
    diffuse, gleam = list(diffuse), list(gleam)
    for k, light in enumerate(lights.lights):
        toward = directions[0, k, :, None] if single else directions[:, k].t().index_select(1, found.frame)
        cosine = dot(normal, toward)
        between = dot(view, toward)
        # The first light casts a shadow, if any does. The others are kept from what faces them on the head's far side.
        dim = step(dot(outward, toward), *_ROUND) if k else shadow
        parts = (cosine, between, *local) if dim is None else (cosine, between, *local, dim)
        lit = flat_indices(cosine > -WRAP[0])
        whole = lit.numel() > 0.6 * cosine.numel()
        if not whole:
            # A light from behind reaches few samples: select these.
            parts = pick(parts, lit)
        rows, shine = direct(*parts)
        for c, tint in enumerate(light.colour):
            amount = light.strength * tint
            if whole:
                diffuse[c] = torch.add(diffuse[c], rows[c], alpha=amount)
                gleam[c] = torch.add(gleam[c], shine, alpha=amount * light.gloss)
            else:
                diffuse[c] = diffuse[c].index_add(0, lit, rows[c], alpha=amount)
                gleam[c] = gleam[c].index_add(0, lit, shine, alpha=amount * light.gloss)
    wet = flat_indices(coat > 0.01)
    if wet.numel() and lights.lights:
        # Wet eyes reflect the key light's softbox, one highlight each, as in portraits.
        key = lights.lights[0]
        low = directions[:, 0] * directions.new_tensor([1.0, _MIRRORED, 1.0])
        low = torch.nn.functional.normalize(low, dim=1)
        toward = low[0, :, None] if single else low.t()[:, found.frame[wet]]
        # The lid's shadow does not dim the lamp's reflection, unless the lid hides it.
        bare = ((occlusion - _DRY) / _DRY).clamp(0.0, 1.0)
        n, v, f, amount = (t.index_select(-1, wet) for t in (normal, view, facing, coat * bare))
        spark = key.strength * amount * _reflection(n, v, toward, f, key.size)
        gleam = [row.index_add(0, wet, spark, alpha=tint) for row, tint in zip(gleam, key.colour, strict=True)]
    return tone(torch.stack([torch.addcmul(g, b, d) for g, b, d in zip(gleam, base, diffuse, strict=True)]))


def mirrored(
    roughness: torch.Tensor,
    reflectance: torch.Tensor,
    normal: torch.Tensor,
    view: torch.Tensor,
    facing: torch.Tensor,
    outward: torch.Tensor,
) -> torch.Tensor:
    """Return the fraction of ambient light that points (P,) mirror.

    ``facing`` is the cosine between normal and viewer, ``outward`` (3, P) the direction from the middle of the head.
    """
    fresnel = (1.0 - facing).square().square() * (1.0 - facing) * (_GRAZING * reflectance).clamp_max(1.0)
    fresnel = fresnel * step(2.0 * facing * dot(outward, normal) - dot(outward, view), *_BEHIND)
    return torch.addcmul(reflectance, 0.35 - 0.3 * roughness, fresnel)


def direct(
    cosine: torch.Tensor,
    between: torch.Tensor,
    aperture: torch.Tensor,
    alpha: torch.Tensor,
    reflectance: torch.Tensor,
    scatter: torch.Tensor,
    facing: torch.Tensor,
    shadow: torch.Tensor | None = None,
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return one light's contribution: diffuse red, green and blue (P,), to be multiplied by the albedo, and specular
    (P,).

    ``cosine`` is the cosine between normal and light, ``between`` that between viewer and light, ``alpha`` the squared
    roughness.
    """
    lit = cosine.clamp_min(0.0)
    reach = (lit + aperture).clamp(0.0, 1.0)
    stops = None if shadow is None else torch.log2(shadow.clamp_min(1e-12))
    rows = []
    for width in WRAP:
        wrap = scatter * width
        wrapped = ((cosine + wrap) / (1.0 + wrap)).clamp_min(0.0)
        # Squaring part of it limits the energy that wrapping adds, and keeps the terminator soft.
        wrapped = torch.addcmul(wrapped, wrapped * (wrapped - 1.0), wrap, value=2.0)
        # The edge of a cast shadow transmits red before green and blue, too: shadow to the power of 1 - 0.6 wrap.
        rows.append(wrapped * (reach if stops is None else reach * torch.exp2(stops * (1.0 - 0.6 * wrap))))
    if shadow is not None:
        reach = reach * shadow
    # GGX times cosine and pi (strengths are relative to albedo): Walter et al. 2007, visibility and Fresnel of Karis
    # 2013. The half vector h is never computed: |l + v|² = 2 + 2 l . v.
    scale = torch.rsqrt(2.0 + 2.0 * between.clamp_min(-0.999))
    h = ((lit + facing) * scale).clamp_max(1.0)
    seen = (1.0 + between) * scale
    spread = alpha.square()
    peak = torch.addcmul(torch.ones_like(h), h * h, spread - 1.0).square()
    # Dull skin does not glint at grazing angles either: no dielectric reflects less than two percent, so less means
    # occlusion on a small scale (Lagarde and de Rousiers, *Moving Frostbite to PBR*, 2014).
    grazing = (_GRAZING * reflectance).clamp_max(1.0) - reflectance
    f = torch.addcmul(reflectance, grazing, torch.exp2((-5.55473 * seen - 6.98316) * seen))
    k = 0.5 * alpha
    rest = 1.0 - k
    hidden = torch.addcmul(k, facing, rest) * torch.addcmul(k, lit, rest)
    return rows, reach * lit * f * spread * 0.25 / (peak * hidden)


def _reflection(normal, view, toward, facing, size: float) -> torch.Tensor:
    """Return the reflection of a round softbox in a cornea, (P,)."""
    # The normal's tilt from the viewer is that of a more curved surface.
    normal = torch.nn.functional.normalize(_CORNEA * normal - (_CORNEA - 1.0) * facing * view, dim=0)
    mirrored = 2.0 * dot(normal, view) * normal - view
    angle = torch.deg2rad(mirrored.new_tensor([0.55 * size, 0.8 * size])).cos()
    t = ((dot(mirrored, toward) - angle[1]) / (angle[0] - angle[1])).clamp(0.0, 1.0)
    return 0.85 * t * t * (3.0 - 2.0 * t)


def tone(linear: torch.Tensor, start: float = TONE_START) -> torch.Tensor:
    """Apply a filmic tone curve: the identity up to ``start``, then a smooth shoulder toward 1. Albedo is preserved."""
    room = 1.0 - start
    bend = torch.exp2((linear - start).clamp_min(0.0) * (-1.0 / (room * math.log(2.0))))
    return torch.add(linear.clamp(0.0, start), bend, alpha=-room) + room
