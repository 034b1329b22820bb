"""Deferred shader: from surface samples to colours, differentiable with respect to vertices and texture."""

from __future__ import annotations

import math

import torch

from facekit.color import srgb_to_linear
from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.geometry.charts import step
from facekit.geometry.lists import flat_indices, pick
from facekit.geometry.mip import MipTexture
from facekit.geometry.normals import dot
from facekit.geometry.parts import among
from facekit.hair import HairCards
from facekit.hairline import edge_tone, hairs, thinned
from facekit.mesh import FaceMesh
from facekit.render.lights import Lights
from facekit.render.surface import Surface

#: Material of each part: roughness (GGX), reflectance at normal incidence, wrap of red light around the terminator (the
#: visible effect of subsurface scattering; Penner, *Pre-integrated skin shading*, 2011), wet coat.
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
#: Albedo of meshes without texture: fired clay, sRGB.
CLAY = (0.80, 0.765, 0.735)
CLAY_MATERIAL = (0.55, 0.035, 0.35, 0.0)
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


# Areas of dull skin: around the brows, whose hairs scatter light, and far from the centre of the face, where there are
# few glands. Start and end of the fade, in distances between the outer corners of the eyes.
_BROW, _FAR = (0.02, 0.11), (0.70, 1.30)
# The mouth's corners, where skin and lips fold into each other, which vertices alone do not tell.
_FOLD = (0.015, 0.06)
# The flanks of the nose and the troughs beside them, from which the nose hides the lamps, which cast no shadows here:
# places between the bridge and the outside of the wing, but for its ridge.
_FLANK, _FLANKS, _RIDGE = (0.12, 0.18), (0.0, 0.25, 0.5, 0.75), (0.06, 0.10)
# Factors on the reflectance there, and increase in roughness.
_DULL_BROW, _DULL_FAR, _DULL_FOLD, _DULL_FLANK, ROUGHER = 0.35, 0.40, 0.35, 0.25, 0.12
_DULLED = ("skin", "lids", "back_of_head", "neck")
_CORNERS = [48, 54, 60, 64]


#: Number of rows of :func:`material_table` before the colours.
_MATERIAL = 5


def material_table(mesh: FaceMesh, cards: HairCards | None = None) -> torch.Tensor:
    """Return per-vertex values that samples interpolate, (5, V) float32, and up to four rows more; (5, B * V) if
    occlusion depends on the poses of B meshes.

    Occlusion, roughness, reflectance, scattering, wet coat; vertex colours, sRGB, for a mesh without a texture; and the
    coverage of skin by hair, for a head with hair.
    """
    count, like = mesh.verts.shape[1], mesh.verts
    plain = mesh.texture is None and mesh.vertex_colors is None
    if plain or mesh.parts is None:
        rows = like.new_tensor([CLAY_MATERIAL if plain else MATERIALS["skin"]]).expand(count, -1)
    else:
        rows = like.new_tensor([MATERIALS[name] for name in PARTS])[mesh.parts.to(torch.int64)]
        shine = sheen(mesh)
        rows = torch.cat(
            (rows[:, :1] + ROUGHER * (1 - shine)[:, None], rows[:, 1:2] * shine[:, None], rows[:, 2:]), dim=1
        )
    occlusion = mesh.occlusion()
    shade = like.new_ones(1, count) if occlusion is None else occlusion.to(like).view(-1, count)
    table = rows.t()
    if cards is not None:
        shade = shade * cards.light.to(like)
        # Skin under hair does not glint.
        table = torch.cat((table[:1], table[1:2] * (1 - cards.cap.to(like)), table[2:]), dim=0)
    if mesh.texture is None and mesh.vertex_colors is not None:
        table = torch.cat((table, mesh.vertex_colors.to(like).t()), dim=0)
    if cards is not None:
        table = torch.cat((table, cards.cap.to(like)[None]), dim=0)
    return torch.cat((shade.reshape(1, -1), table.repeat(1, len(shade))), dim=0)


@torch.no_grad()
def sheen(mesh: FaceMesh) -> torch.Tensor:
    """Return the factor (V,) in (0, 1] on each vertex's reflectance: 1 except on dull skin; for the first mesh."""
    verts, parts = mesh.verts[0], mesh.parts
    if parts is None or mesh.landmarks is None or len(mesh.landmarks) != 68:
        return verts.new_ones(len(verts))
    marks = verts[mesh.landmarks]
    unit = (marks[45] - marks[36]).norm()
    # Points between the marks, too: around the marks alone the dull skin would be a row of discs.
    row = marks[LANDMARK_GROUPS["brows"]].view(2, 5, 3)
    line = torch.cat((row, *(torch.lerp(row[:, :-1], row[:, 1:], share) for share in (0.33, 0.67))), 1)
    brows = _nearest(verts, line.flatten(0, 1)) / unit
    far = (verts - marks[28]).norm(dim=1) / unit
    bridge, wings = torch.lerp(marks[27], marks[[39, 42]], 0.4), torch.lerp(marks[[35, 31]], marks[[31, 35]], 1.3)
    flanks = torch.cat([torch.lerp(bridge, wings, share) for share in _FLANKS])
    dull = torch.maximum(
        (1 - _DULL_BROW) * (1 - step(brows, *_BROW)),
        (1 - _DULL_FAR) * step(far, *_FAR),
    )
    flank = (1 - step(_nearest(verts, flanks) / unit, *_FLANK)) * step(_nearest(verts, marks[27:31]) / unit, *_RIDGE)
    dull = torch.maximum(dull, (1 - _DULL_FLANK) * flank)
    skin = among(parts, _DULLED)
    folds = _nearest(verts, marks[_CORNERS]) / unit
    fold = (1 - _DULL_FOLD) * (1 - step(folds, *_FOLD)) * (skin | (parts == PARTS.index("lips")))
    return torch.where(skin, 1 - dull, 1.0) * (1 - fold)


def _nearest(verts: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Return each vertex's distance (V,) to the nearest of a few points.

    A product of matrices is many times faster than ``torch.cdist``, and exact enough around a common centre.
    """
    centre = marks.mean(dim=0)
    verts, marks = verts - centre, marks - centre
    least = torch.addmm(marks.square().sum(dim=1)[:, None], marks, verts.t(), alpha=-2.0).amin(dim=0)
    return (least + dot(verts.t(), verts.t())).clamp_min(0.0).sqrt()


def albedo(found: Surface, texture: MipTexture | None) -> torch.Tensor:
    """Return the albedo (3, P) sRGB: from the texture, else the vertex colours, else clay."""
    if texture is not None:
        return found.sampled(texture)
    if len(found.values) > _MATERIAL + 2:
        return found.values[_MATERIAL : _MATERIAL + 3]
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
    occlusion, roughness, reflectance, scatter, coat = found.values[:_MATERIAL]
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
