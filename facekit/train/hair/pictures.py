"""Grey strand textures from the pack's coloured ones, and directions of strands."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from facekit.geometry.charts import step
from facekit.geometry.connected import components, on_border
from facekit.geometry.uv import bake, rasterize_uv

#: Blur radius that separates strands from painted shading, as a fraction of the texture's side, and the fraction of the
#: shading that is removed.
_WIDE, _FLATTEN = 0.035, 0.8
#: Coverage that is raised to 1, with all below in proportion.
_WHOLE = 0.85
#: Least grey level, and least painted shading, as a logarithm.
_DARKEST, _DEEPEST = 0.2, -1.0
#: The open border of a card counts as hairline within these distances, mm, of the head and of bare skin.
_ON_SKIN, _AT_RIM = 9.0, 13.0
#: For pictures whose strands are blurred: blur radius as above, factor on their contrast, contrast of the strands that
#: are drawn over them, and half of their length in texels.
_NARROW, _PAINTED, _COMBED, _LENGTH = 0.015, 0.25, 0.24, 36
#: Blur radius in texels for the direction of strands that are drawn.
_SMOOTH = 20
#: Upper end of the axis of head and neck, mm.
_INNER = (0.0, 62.0, -8.0)
#: Share of a style's area below which a card is small.
_SMALL = 0.12
#: Largest half width of strips in texels; their coverage in the middle, its contrast between strands, and what it lacks
#: at their sides.
_STRIP, _THIN = 12, (1.9, 0.35, 0.55)
#: Blur radius for hollows, as above, and what is left of them as a fraction of the largest contrast.
_HOLLOW, _LEFT = 0.012, 0.06
#: Factors that make contrasts even, at least and at most; and levels, as logarithms relative to the mean, from which on
#: strands are drawn, and where nothing else is left.
_EVENED, _BLACK = (0.65, 1.6), (-0.9, -1.6)
#: Contrast of strands, and blur radius in texels of the structure tensor for their direction.
_CONTRAST, _DIRECTION = 0.27, 7


def blurred(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Blur a picture (C, H, W) with three box filters of ``2 radius + 1`` texels, zeros outside."""
    out = picture[None]
    for _ in range(3):
        out = F.avg_pool2d(out, 2 * radius + 1, 1, radius, count_include_pad=True)
    return out[0]


def used(uvs: np.ndarray, faces_uvs: np.ndarray, size: int, margin: int = 3) -> torch.Tensor:
    """Return the texels (H, W) bool that cards use, dilated by a margin in texels."""
    ids, _ = rasterize_uv(torch.from_numpy(uvs).float(), torch.from_numpy(faces_uvs.astype(np.int64)), size)
    return F.max_pool2d((ids >= 0).float()[None, None], 2 * margin + 1, 1, margin)[0, 0] > 0


def combed(field: torch.Tensor, seed: int = 8) -> torch.Tensor:
    """Return noise (H, W) of standard deviation 1 that looks like fine strands along unit directions (2, H, W) of u and
    v: a line integral convolution (Cabral and Leedom, SIGGRAPH 1993) of white noise.
    """
    _, high, wide = field.shape
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, high, wide, generator=generator)
    row, column = torch.meshgrid(torch.arange(high).float(), torch.arange(wide).float(), indexing="ij")
    start, scale = torch.stack((column, row), -1), torch.tensor([2 / (wide - 1), 2 / (high - 1)])
    ways = field[None] * torch.tensor([1.0, -1.0])[None, :, None, None]  # v runs up
    total = noise[0, 0].clone()
    for sign in (1.0, -1.0):
        place, last = start, None
        for texel in range(_LENGTH):
            way = F.grid_sample(ways, (place * scale - 1)[None], mode="nearest", align_corners=True)[0].permute(1, 2, 0)
            # A direction has no sign: keep on in the same sense.
            last = sign * way if last is None else way * torch.where((way * last).sum(-1, keepdim=True) < 0, -1.0, 1.0)
            place = place + last
            weight = 0.5 + 0.5 * math.cos(math.pi * texel / _LENGTH)
            total += weight * F.grid_sample(noise, (place * scale - 1)[None], align_corners=True)[0, 0]
    return (total - total.mean()) / total.std()


def grey_strands(
    rgba: np.ndarray, uvs: np.ndarray, faces_uvs: np.ndarray, size: int, redrawn: bool = False
) -> torch.Tensor:
    """Convert an RGBA texture (H, W, 4) uint8 to grey and coverage (2, size, size) in [0, 1].

    Painted highlights are removed if they are wider than strands, for the renderer adds its own. For ``redrawn``
    all painted shading is, and fine strands are drawn along the painted ones.
    """
    picture = torch.from_numpy(rgba.astype(np.float32) / 255).permute(2, 0, 1)
    picture = F.interpolate(picture[None], size=(size, size), mode="area")[0]
    # Nearly opaque becomes opaque, so that the renderer has to blend fewer layers.
    cover = (picture[3] / _WHOLE).clamp_max(1) * used(uvs, faces_uvs, size)
    grey = picture[:3].amax(0).clamp_min(0.02).log()
    radius = max(2, round((_NARROW if redrawn else _WIDE) * size))
    weight = blurred(cover[None], radius)[0].clamp_min(1e-4)
    mean = blurred((grey * cover)[None], radius)[0] / weight
    whole = (grey * cover).sum() / cover.sum()
    fine = grey - mean
    # Seams between panels are painted black: clamp to three robust standard deviations.
    most = 3 * 1.48 * fine[cover > 0.5].abs().median()
    fine = fine.clamp(-most, most)
    # So are hollows, where strands are faint, too.
    radius = max(2, round(_HOLLOW * size))
    weight = blurred(cover[None], radius)[0].clamp_min(1e-4)
    low = blurred((fine * cover)[None], radius)[0] / weight
    fine = fine - (low - low.clamp(-_LEFT * most, _LEFT * most))
    local = (blurred((fine.square() * cover)[None], radius)[0] / weight).sqrt()
    typical = local[cover > 0.5].median()
    fine = fine * (typical / local.clamp_min(1e-4)).clamp(*_EVENED)
    if not redrawn:
        way, level = strand_direction(grey, cover, _SMOOTH), blurred((grey * cover)[None], radius)[0] / weight
        fine = torch.lerp(fine, typical * combed(way), step(level - whole, *_BLACK))
    spread = (fine.square() * cover).sum() / cover.sum()
    # Give all styles the same contrast of strands, and keep a little of the painted shading.
    shading = (1 - _FLATTEN) * (mean - whole).clamp_min(_DEEPEST)
    fine = fine * (_CONTRAST / spread.sqrt()) + shading
    if redrawn:
        way = strand_direction(grey, cover, _SMOOTH)
        fine = _PAINTED * (fine - shading) + _COMBED * combed(way)
    out = (0.5 * fine.exp()).clamp(_DARKEST, 1)
    # Extend the grey past the ends of strands, so that texture filters do not mix in other values.
    near = blurred(cover[None], 4)[0]
    spilled = blurred((out * cover)[None], 4)[0] / near.clamp_min(1e-4)
    out = torch.where(cover > 0.3, out, torch.where(near > 1e-4, spilled, torch.full_like(out, 0.5)))
    return torch.stack((out, cover))


def locks(strands: np.ndarray, uvs: np.ndarray, faces_uvs: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Draw strands (2, H, W) along cards that are strips, which get thin toward their sides and ends: the pack's are
    opaque from side to side, and look like tape. ``small`` (F,) bool are the triangles of :func:`strips`.
    """
    grey, cover = (torch.from_numpy(t) for t in strands)
    size = strands.shape[1]
    strip, large = used(uvs, faces_uvs[small], size, 0), used(uvs, faces_uvs[~small], size)
    around = used(uvs, faces_uvs[small], size, 5) & ~large
    inside, deep = strip.float()[None], torch.zeros(1, *strip.shape)
    for _ in range(_STRIP):
        deep += inside
        inside = 1 - F.max_pool2d(1 - inside, 3, 1, 1)
    most = F.max_pool2d(deep, 2 * _STRIP + 1, 1, _STRIP)[0]
    around, share = around & (most < _STRIP), deep[0] / most.clamp_min(1)
    drawn = combed(strand_direction(blurred(strip.float()[None], 3)[0], strip.float(), 3))
    thin = cover * (_THIN[0] * share + _THIN[1] * drawn - _THIN[2]).clamp(0, 1)
    own = (0.5 * (_COMBED * drawn).exp()).clamp(_DARKEST, 1)
    return torch.stack((torch.where(around, own, grey), torch.where(around, thin * strip, cover))).numpy()


def strand_direction(grey: torch.Tensor, cover: torch.Tensor, radius: int = _DIRECTION) -> torch.Tensor:
    """Return unit directions (2, H, W), along u and v, of strands in a texture, from its structure tensor.

    Their sign is arbitrary.
    """
    dx = F.pad(grey[:, 2:] - grey[:, :-2], (1, 1))
    dy = -F.pad(grey[2:] - grey[:-2], (0, 0, 1, 1))  # v runs up
    solid = (cover > 0.5).float()
    tensor = torch.stack((dx * dx, dx * dy, dy * dy)) * solid
    xx, xy, yy = blurred(tensor, radius)
    angle = 0.5 * torch.atan2(2 * xy, xx - yy)  # of the strongest gradient
    return torch.stack((-angle.sin(), angle.cos()))


def along_cards(
    verts: np.ndarray, uvs: np.ndarray, faces: np.ndarray, faces_uvs: np.ndarray, field: torch.Tensor, crown: np.ndarray
) -> np.ndarray:
    """Return unit directions (N, 3) float32 of strands at vertices, pointing away from the crown.

    ``field`` (2, H, W) has the directions along u and v in the strand texture.
    """
    size = field.shape[1]
    corner, chart = verts[faces], uvs[faces_uvs]
    e, d = corner[:, 1:] - corner[:, :1], chart[:, 1:] - chart[:, :1]
    det = d[:, 0, 0] * d[:, 1, 1] - d[:, 0, 1] * d[:, 1, 0]
    det = np.where(np.abs(det) < 1e-12, 1e-12, det)[:, None]
    du = (e[:, 0] * d[:, 1, 1:2] - e[:, 1] * d[:, 0, 1:2]) / det
    dv = (e[:, 1] * d[:, 0, 0:1] - e[:, 0] * d[:, 1, 0:1]) / det
    middle = chart.mean(1)
    x = np.clip((middle[:, 0] * size).astype(int), 0, size - 1)
    y = np.clip(((1 - middle[:, 1]) * size).astype(int), 0, size - 1)
    way = field.numpy()[:, y, x]
    run = du * way[0, :, None] + dv * way[1, :, None]
    run /= np.maximum(np.linalg.norm(run, axis=1, keepdims=True), 1e-9)
    away = corner.mean(1) - crown
    run *= np.where((run * away).sum(1) < 0, -1, 1)[:, None]
    area = np.linalg.norm(np.cross(e[:, 0], e[:, 1]), axis=1)[:, None]
    total = np.zeros_like(verts)
    for k in range(3):
        np.add.at(total, faces[:, k], run * area)
    # Smooth over neighbouring triangles.
    for _ in range(3):
        mean = total[faces].mean(1)
        total = 0.3 * total
        for k in range(3):
            np.add.at(total, faces[:, k], 0.2 * mean)
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def welded(verts: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weld vertices (N, 3) mm at the same position, so that UV seams separate nothing.

    Returns each vertex's point (N,) int64, the triangles of points (F, 3) int64, and each point's card (n,) int64: the
    smallest point in its connected component.
    """
    weld = np.unique(np.round(verts, 2), axis=0, return_inverse=True)[1].reshape(-1)
    tris = weld[faces]
    return weld, tris, components(torch.from_numpy(tris), int(tris.max()) + 1).numpy()


def strips(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return which triangles (F,) bool belong to small cards."""
    _, tris, part = welded(verts, faces)
    corner = verts[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    own = part[tris[:, 0]]
    return np.bincount(own, area, len(part))[own] < _SMALL * area.sum()


def outward(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return which triangles (F,) bool belong to cards whose normals point out of the head, for the most part.

    Seen edge-on, cards are lit on the side of their normals.
    """
    own = components(torch.from_numpy(faces), len(verts)).numpy()[faces[:, 0]]
    corner = verts[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    middle = corner.mean(1)
    away = middle - np.array(_INNER)
    away[:, 1] = np.maximum(away[:, 1], 0)
    return np.bincount(own, (normal * away).sum(1))[own] >= 0


def hairline(verts: np.ndarray, faces: np.ndarray, head: np.ndarray, bare: np.ndarray, width: float) -> np.ndarray:
    """Return the distance of vertices (N,) from the hairline, scaled so that it is 0 there and 1 from ``width`` mm on.

    The hairline is the open border of large cards, near the head and near bare skin; elsewhere borders are under other
    cards. ``head`` (V, 3) mm are the head's vertices, ``bare`` (n, 3) mm those without hair.
    """
    from scipy.spatial import KDTree

    weld, tris, part = welded(verts, faces)
    count = len(part)
    corner = verts[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    share = np.bincount(part[tris[:, 0]], area, count) / area.sum()
    open_ends = np.flatnonzero(on_border(torch.from_numpy(tris), count).numpy())
    place = np.zeros((count, 3))
    place[weld] = verts
    on_skin = KDTree(head).query(place[open_ends])[0] < _ON_SKIN
    at_rim = KDTree(bare).query(place[open_ends])[0] < _AT_RIM
    open_ends = open_ends[(share[part[open_ends]] > 0.12) & on_skin & at_rim]
    if not len(open_ends):
        return np.ones(len(verts))
    distance = KDTree(place[open_ends]).query(verts)[0]
    large = share[part[weld]] > 0.12
    return np.where(large, np.clip(distance / width, 0, 1), 1.0)


def frayed(
    strands: np.ndarray, uvs: np.ndarray, faces: np.ndarray, faces_uvs: np.ndarray, inner: np.ndarray
) -> np.ndarray:
    """Fray the hairline: return strands (2, H, W) whose coverage ends at a different place for every hair.

    ``inner`` (N,) are the vertices' distances from the hairline, see :func:`hairline`; below 0 there is no hair.
    """
    size = strands.shape[1]
    charts = torch.from_numpy(uvs).float()
    ids, weights = rasterize_uv(charts, torch.from_numpy(faces_uvs.astype(np.int64)), size)
    values = torch.from_numpy(inner).float()[None, :, None]
    field = bake(values, torch.from_numpy(faces.astype(np.int64)), ids, weights, fill=1.0)[0, 0]
    grey, cover = (torch.from_numpy(t) for t in strands)
    noise = (grey - blurred(grey[None], 3)[0]) * 2.2
    coarse = torch.randn(1, size // 4, size // 4, generator=torch.Generator().manual_seed(2))
    noise = noise + 0.12 * F.interpolate(coarse[None], size=(size, size), mode="bicubic")[0, 0]
    kept = ((1.35 * field - 0.40 + noise * (1 - field)) / 0.45).clamp(0, 1)
    return torch.stack((grey, cover * torch.where(field < 1, kept, torch.ones_like(kept)))).numpy()
