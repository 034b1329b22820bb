"""Procedural tight curls: shells over the scalp with a texture of curls that gets sparser outward."""

from __future__ import annotations

import numpy as np
import torch

from facekit.geometry.uv import bake, rasterize_uv
from facekit.train.arrays import smoothstep
from facekit.train.hair.pictures import blurred

#: Heights of the shells as fractions of the outermost, coverage of each, and height of the outermost on the crown, mm.
_SHELLS, _COVERS, _HEIGHT = (0.68, 0.86, 1.0), (1.0, 0.66, 0.32), 33.0
#: Distance from the hairline, mm, over which the height rises to 1 - 1/e of its full value.
_RISE = 18.0
#: Distances from the hairline, mm, between which the innermost and the outermost shell get dense, and the standard
#: deviation of the hairline's own place, mm.
_THIN, _UNEVEN = ((1.0, 9.0), (4.0, 19.0)), 1.5
#: Share by which hair is lower at the sides, and distances, mm, aside, ahead and up where that begins and ends: from
#: behind the ears on, over which it would bulge, up to above them, or heads would be pointed.
_SIDES, _ASIDE, _AHEAD, _UP = 0.55, (38.0, 62.0), (-45.0, 15.0), (92.0, 52.0)
#: Largest angle from the crown in the UV map, radians.
_WIDEST = 2.2
#: Number of vertices per shell, and direction of the crown, the centre of the UV map.
_POINTS, _CROWN = 620, np.array([0.0, 0.86, -0.51])


def curl_cards(verts: np.ndarray, normals: np.ndarray, cap: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Build shells over the head vertices that the cap covers.

    Parameters
    ----------
    verts, normals:
        (V, 3) of the head, mm and unit.
    cap:
        (V,) in [0, 1], coverage by hair.
    size:
        Side of the strand texture in texels.

    Returns
    -------
    dict
        ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` as for the pack's styles, and ``strands`` (2, size, size).
    """
    from scipy.spatial import Delaunay, KDTree

    inside = cap > 0.35
    whole = np.flatnonzero(inside)
    bare = KDTree(verts[~inside & (verts[:, 1] > -60)])
    rim = bare.query(verts[whole])[0]
    picked = whole[_spread(verts[whole], _POINTS, rim)]
    rim = bare.query(verts[picked])[0]
    centre = np.array([0.0, 62.0, -8.0])
    out = verts[picked] - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    out = 0.35 * normals[picked] + 0.65 * out
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    rise = _HEIGHT * (1 - np.exp(-np.maximum(rim - 3, 0) / _RISE)) * (0.72 + 0.28 * np.clip(out @ _CROWN, 0, 1))
    rise *= 1 - _SIDES * _at_sides(verts[picked])
    chart = _chart(verts[picked] - centre)
    net = Delaunay(chart)
    tris = net.simplices
    # Drop triangles over bare skin, and long ones along the rim.
    middle = _chart(verts[whole] - centre)
    gap = KDTree(middle).query(chart[tris].mean(1))[0]
    edge = verts[picked][tris]
    longest = np.linalg.norm(edge - np.roll(edge, 1, 1), axis=2).max(1)
    kept = ~outside(net.neighbors, (gap >= 0.02) | (longest >= 30))
    tris = tris[kept]
    turn = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])[kept]
    inward = (turn * out[tris].mean(1)).sum(1) < 0
    tris[inward] = tris[inward][:, ::-1]
    rng = np.random.default_rng(5)
    lumps = rng.normal(0, 1, len(picked))
    for _ in range(2):
        mean, total, count = lumps[tris].mean(1), np.zeros(len(picked)), np.zeros(len(picked))
        for k in range(3):
            np.add.at(total, tris[:, k], mean)
            np.add.at(count, tris[:, k], 1)
        lumps = total / np.maximum(count, 1)
    lumps = lumps / lumps.std()
    points, uvs = [], []
    for k, share in enumerate(_SHELLS):
        height = np.maximum(rise * share * (1 + 0.04 * lumps), 0.8)
        points.append(verts[picked] + out * height[:, None])
        uvs.append(np.clip(chart * 0.5 + 0.5 * np.array([k % 2, k // 2]), 0, 1))
    shells = np.concatenate([tris + k * len(picked) for k in range(len(_SHELLS))])
    ids, weights = rasterize_uv(torch.from_numpy(chart).float(), torch.from_numpy(tris.astype(np.int64)), size // 2)
    deep = bake(torch.from_numpy(rim).float()[None, :, None], torch.from_numpy(tris.astype(np.int64)), ids, weights)
    return {
        "verts": np.concatenate(points).astype(np.float32),
        "uvs": np.concatenate(uvs).astype(np.float32),
        "faces": shells,
        "faces_uvs": shells,
        "strands": curl_picture(size, deep[0, 0]).numpy(),
    }


def _at_sides(points: np.ndarray) -> np.ndarray:
    """Return how far points (N, 3) mm lie at the sides, (N,) in [0, 1]."""
    x, y, z = points.T
    return smoothstep(np.abs(x), *_ASIDE) * smoothstep(z, *_AHEAD) * smoothstep(y, *_UP)


def _chart(away: np.ndarray) -> np.ndarray:
    """Map directions (N, 3) to UVs (N, 2) in [0, 1]: azimuthal equidistant projection about the crown."""
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    across = np.array([1.0, 0.0, 0.0])
    down = np.cross(_CROWN, across)
    theta = np.arccos(np.clip(away @ _CROWN, -1, 1))
    phi = np.arctan2(away @ down, away @ across)
    return 0.5 + 0.47 * (theta / _WIDEST)[:, None] * np.stack((np.cos(phi), np.sin(phi)), 1)


def outside(neighbors: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Return which of the dropped triangles (F,) bool are connected to the rim: the others would leave holes.

    ``neighbors`` (F, 3) are the triangles opposite each corner, -1 beyond the rim.
    """
    outside = dropped & (neighbors < 0).any(1)
    while True:
        more = dropped & (outside | (outside[neighbors] & (neighbors >= 0)).any(1))
        if (more == outside).all():
            return outside
        outside = more


def _spread(points: np.ndarray, count: int, rim: np.ndarray) -> np.ndarray:
    """Return the indices of ``count`` points by farthest-point sampling, with distances 1.6 times as long within 14 mm
    of the rim, for denser points there.
    """
    dense = np.where(rim < 14, 1.6, 1.0)
    picked, distance = [int(points[:, 1].argmax())], np.full(len(points), np.inf)
    for _ in range(min(count, len(points)) - 1):
        distance = np.minimum(distance, ((points - points[picked[-1]]) ** 2).sum(1) * dense**2)
        picked.append(int(distance.argmax()))
    return np.array(picked)


def curl_picture(size: int, deep: torch.Tensor, seed: int = 11) -> torch.Tensor:
    """Draw the strand texture of curls, grey and coverage (2, size, size) in [0, 1]: one quadrant for each shell.

    ``deep`` (size / 2, size / 2) is the distance from the hairline, mm: toward it there are fewer curls.
    """
    generator = torch.Generator().manual_seed(seed)
    half = size // 2
    out = torch.zeros(2, size, size)
    uneven = blurred(torch.randn(1, half, half, generator=generator), 3)[0]
    deep = deep + _UNEVEN * uneven / uneven.std()
    for k, cover in enumerate(_COVERS):
        # A sine of smooth noise: its level sets are closed rings, like curls.
        field = blurred(torch.randn(2, half, half, generator=generator), 1)
        field = field / field.std()
        ring = torch.sin(2.0 * field[0] + 1.5 * field[1])
        fine = torch.randn(half, half, generator=generator)
        ring = ring + 0.35 * fine
        rank = ring.flatten().argsort().argsort().view(half, half).float() / half**2
        low, high = (a + (b - a) * k / (len(_COVERS) - 1) for a, b in zip(*_THIN, strict=True))
        dense = cover * ((deep - low) / (high - low)).clamp(0, 1)
        alpha = torch.where(dense < 1, ((rank - (1 - dense)) / 0.2 + 0.5 * dense).clamp(0, 1), 1.0)
        grey = (0.5 * torch.exp(0.36 * (rank - 0.5) * 2)).clamp(0, 1) * (0.76 + 0.09 * k)
        v, u = 1 - k // 2, k % 2  # v points up, rows go down
        rows, columns = slice(v * half, (v + 1) * half), slice(u * half, (u + 1) * half)
        out[0, rows, columns], out[1, rows, columns] = grey, alpha
    return out
