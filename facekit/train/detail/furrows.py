"""Expression furrows: position, depth, width, and the strain that forms them.

The lines are those that the texture teacher paints (:mod:`facekit.train.skin.folds`), with a second layout of those in
which people differ most. Depths and widths follow measurements of skin: forehead 1.3 to 1.7 mm deep and 4.5 to 5 mm
wide, nasolabial fold 4 mm wide (most of its depth is part of the mesh). They are modelled, not scanned.

The cross-section is ``d (l / w - 1) exp(-l / w)``, with l the distance from the line, so that there is a bulge of a
seventh of the depth beside it, and w is half the width at the skin's level. The cusp at the line is rounded, which
together with the size of a texel makes furrows about half as wide again as w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from facekit.geometry.uv import bake, rasterize_uv
from facekit.template import Template
from facekit.train.skin.folds import FOLDS
from facekit.train.skin.marks import smooth_path
from facekit.train.skin.photographs import ellipse

Lines = list[list[tuple[float, float]]]


class Kind(NamedTuple):
    """Parameters of one family of furrows.

    depth: mm at the reference strain, in middle age. width: mm, w of the profile. strain: the reference, caused by the
    family's own expression at intensity 1 on the template. rest: fraction of the depth in old neutral faces. vary:
    variation between people. mean: weight of the mean strain of all directions in place of the strain across, for folds
    that a rolling lip would otherwise compress into a pit.
    """

    depth: float
    width: float
    strain: float
    rest: float
    vary: float
    mean: float = 0.0


KINDS: dict[str, Kind] = {
    "forehead": Kind(1.40, 2.4, 0.15, 0.22, 0.45),
    "glabella": Kind(1.10, 2.0, 0.12, 0.30, 0.45),
    "crow": Kind(0.55, 1.5, 0.20, 0.35, 0.45),
    "under_eye": Kind(0.40, 1.5, 0.18, 0.50, 0.40),
    "bunny": Kind(0.50, 1.3, 0.09, 0.10, 0.45),
    "nasolabial_right": Kind(0.60, 2.9, 0.06, 0.40, 0.35),
    "nasolabial_left": Kind(0.60, 2.9, 0.06, 0.40, 0.35),
    "cheek": Kind(0.12, 2.8, 0.12, 0.15, 0.60),
    "marionette": Kind(0.50, 2.3, 0.10, 0.50, 0.45),
    "mentolabial": Kind(0.80, 2.4, 0.08, 0.35, 0.35, mean=0.8),
    "pucker": Kind(0.40, 1.0, 0.12, 0.25, 0.45),
    # Cobbles of the mentalis muscle. The mesh hardly shows its pull: skin contracts from the sides by a few percent.
    "chin": Kind(0.40, 1.2, 0.032, 0.08, 0.40),
}

#: Lines of the displacement only, in tile coordinates like those of ``FOLDS``. The nasolabial fold is not among them: a
#: smile compresses the skin most where the fold is painted (strain 0.14 to 0.33 along the line at intensity 1), and ten
#: millimetres further out only at the lower end, which would make a sickle.
_OWN: dict[str, Lines] = {
    "cheek": [
        [(0.290, 0.425), (0.270, 0.465), (0.264, 0.512), (0.272, 0.555)],
        [(0.250, 0.442), (0.236, 0.482), (0.238, 0.526)],
    ],
}
#: Second layouts, for people with lines elsewhere.
_OTHER: dict[str, Lines] = {
    "forehead": [
        [(0.330, 0.145), (0.410, 0.128), (0.500, 0.138)],
        [(0.310, 0.113), (0.400, 0.100), (0.500, 0.106)],
        [(0.360, 0.086), (0.440, 0.076), (0.500, 0.080)],
    ],
    "crow": [
        [(0.290, 0.281), (0.266, 0.271), (0.246, 0.268)],
        [(0.292, 0.291), (0.268, 0.293), (0.242, 0.299)],
        [(0.296, 0.302), (0.276, 0.313), (0.256, 0.326)],
    ],
}
_ROUND = 0.5  # radius of the bottom relative to w
_REACH = 6.0  # mm: range of a furrow around its line


@dataclass(frozen=True)
class Furrow:
    """One family of furrows on the tile.

    Parameters
    ----------
    profiles:
        (L, S, S) float32, one per line: -1 at its bottom, positive on the bulges.
    layout:
        (L,) int: layout of each line.
    along:
        (S, S, 2) float32: unit direction of the nearest line in UV; 0 beyond its range.
    near:
        (S, S) float32 in [0, 1]: 1 on the lines, 0 beyond their range.
    """

    profiles: np.ndarray
    layout: np.ndarray
    along: np.ndarray
    near: np.ndarray


def furrows(template: Template, size: int) -> dict[str, Furrow]:
    """Return all families on a tile of ``size``²; distances are in millimetres on the template."""
    metric = tile_metric(template, size)
    found = {}
    for name, kind in KINDS.items():
        if name == "chin":
            found[name] = _chin(size)
            continue
        layouts = [_OWN[name] if name in _OWN else FOLDS[name][0], *([_OTHER[name]] if name in _OTHER else [])]
        paths = [(k, path) for k, lines in enumerate(layouts) for line in lines for path in _both_sides(name, line)]
        drawn = [_draw(path, kind.width, metric, seed) for seed, (_, path) in enumerate(paths)]
        distance = np.stack([d for _, d, _ in drawn])
        nearest = distance.argmin(0)[None, ..., None]
        along = np.take_along_axis(np.stack([a for _, _, a in drawn]), nearest, 0)[0]
        near = np.clip(1.5 - 1.5 * distance.min(0) / _REACH, 0, 1).astype(np.float32)
        profiles, layout = np.stack([p for p, _, _ in drawn]), np.array([k for k, _ in paths])
        found[name] = Furrow(profiles, layout, along * (near > 0)[..., None], near)
    return found


def tile_metric(template: Template, size: int) -> np.ndarray:
    """Return the first fundamental form of the template in tile coordinates, (S, S, 3) float32: E, F, G in mm²."""
    ids, weights = rasterize_uv(template.tile_uvs, template.faces_uvs, size)
    place = bake(template.verts[None], template.faces, ids, weights)[0].numpy().transpose(1, 2, 0)
    known = ids.numpy() >= 0
    place = place[
        tuple(np.asarray(ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)))
    ]
    place = ndimage.gaussian_filter(place, (size / 128, size / 128, 0))
    down, across = np.gradient(place, 1 / size, axis=(0, 1))
    form = np.stack([(across * across).sum(-1), (across * down).sum(-1), (down * down).sum(-1)], -1)
    return form.astype(np.float32)


def face_directions(template: Template, along: np.ndarray) -> torch.Tensor:
    """Sample a tile of directions (S, S, 2) at the centre of each face in the atlas, (F, 2) float32; 0 off the tile."""
    u0, v0, u1, v1 = template.tile_rect
    middle = template.uvs[template.faces_uvs].mean(dim=1)
    x, y = (middle[:, 0] - u0) / (u1 - u0), 1 - (middle[:, 1] - v0) / (v1 - v0)
    inside = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    size = along.shape[0]
    row, column = ((t * size).long().clamp(0, size - 1) for t in (y, x))
    found = torch.from_numpy(along)[row, column]
    return torch.where(inside[:, None], found, torch.zeros_like(found))


def furrow_field(found: dict[str, Furrow], side: int) -> np.ndarray:
    """Return directions and reference strains of furrows, (3, side, side) float32: see :class:`DetailModel`."""
    weights = np.stack([f.near * KINDS[name].depth for name, f in found.items()])
    angle = np.stack([2 * np.arctan2(f.along[..., 1], f.along[..., 0]) for f in found.values()])
    near = np.stack([f.near for f in found.values()])
    # Where two families meet, the deeper one's direction dominates, with less confidence the more they disagree.
    share = weights**4 / np.maximum((weights**4).sum(0), 1e-12)
    strain = np.array([KINDS[name].strain for name in found])[:, None, None]
    base = 0.12 * (1 - near.max(0)) + near.max(0) * (share * strain).sum(0)
    trust = near * share * np.array([1 - KINDS[name].mean for name in found])[:, None, None]
    field = np.stack([(trust * np.cos(angle)).sum(0), (trust * np.sin(angle)).sum(0), base])
    step = field.shape[-1] // side
    return field.reshape(3, side, step, side, step).mean((2, 4)).astype(np.float32)


def _chin(size: int) -> Furrow:
    noise = np.random.default_rng(3).standard_normal((512, 512))
    noise = np.asarray(ndimage.zoom(ndimage.gaussian_filter(noise, 3.4), size / 512, order=1))
    zone = ellipse(size, 0.5, 0.705, 0.045, 0.026, 1.1)
    pits = (np.tanh(1.2 * noise / noise.std()) * 0.8 - 0.2) * zone
    along = np.zeros((size, size, 2), np.float32)
    along[..., 1] = zone > 0
    return Furrow(pits[None].astype(np.float32), np.zeros(1, int), along, zone)


def _wavering(path: np.ndarray, seed: int) -> np.ndarray:
    """Perturb a path (N, 2) by up to half a millimetre, short lines by less, so that lines look natural."""
    noise = np.random.default_rng(seed).standard_normal((len(path), 2))
    wander = ndimage.gaussian_filter1d(noise, len(path) / 9, axis=0, mode="reflect")
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    return path + min(0.002, 0.015 * length) * wander / wander.std()


def _both_sides(name: str, line: list[tuple[float, float]]) -> list[np.ndarray]:
    """Return a line of the left half and its mirror image, joined if it ends in the middle."""
    if abs(line[-1][0] - 0.5) < 1e-6:
        return [smooth_path(line + [(1 - x, y) for x, y in line[-2::-1]], 160)]
    path = smooth_path(line, 120)
    if name.endswith(("_left", "_right")):
        return [path]
    return [path, np.stack([1 - path[:, 0], path[:, 1]], -1)]


def _draw(path: np.ndarray, width: float, metric: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return profile (S, S), distance in mm (S, S; large beyond its range) and UV direction (S, S, 2) of one line."""
    size, straight, path = len(metric), path, _wavering(path, seed)
    reach = np.array([0.07, 0.05])
    low = np.clip((path.min(0) - reach) * size, 0, size - 1).astype(int)
    high = np.clip((path.max(0) + reach) * size, 1, size).astype(int)
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    y, x = np.mgrid[box]
    place = np.stack([(x + 0.5) / size, (y + 0.5) / size], -1)
    offset = (place[..., None, :] - path).astype(np.float32)
    e, f, g = np.moveaxis(metric[box], -1, 0)[..., None]
    square = e * offset[..., 0] ** 2 + 2 * f * offset[..., 0] * offset[..., 1] + g * offset[..., 1] ** 2
    nearest = square.argmin(-1)
    distance = np.sqrt(np.take_along_axis(square, nearest[..., None], -1)[..., 0].clip(0))
    # Deepest in the middle, fading out at the ends, with shallower stretches; beyond an end the distance grows.
    uneven = ndimage.gaussian_filter1d(np.random.default_rng(seed + 99).standard_normal(len(path)), 10)
    strength = np.sin(np.linspace(0.04, np.pi - 0.04, len(path))) ** 0.7 * (0.8 + 0.2 * np.tanh(uneven / uneven.std()))
    # Round the cusp at the line, which would not look like skin.
    t = np.sqrt((distance / width) ** 2 + _ROUND**2) - _ROUND
    shape = strength[nearest] * (t - 1) * np.exp(-t) * np.clip(3 - 0.6 * t, 0, 1)
    tangent = np.gradient(straight, axis=0) * [1, -1]  # the tile's y runs down, v up
    tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    profile, far = np.zeros((size, size), np.float32), np.full((size, size), 99.0, np.float32)
    along = np.zeros((size, size, 2), np.float32)
    profile[box], far[box], along[box] = ndimage.gaussian_filter(shape, 0.6), distance, tangent[nearest]
    return profile, far, along
