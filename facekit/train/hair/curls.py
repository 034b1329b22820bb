"""A head of tight curls, drawn by us: shells over the scalp with curls painted on them, sparser further out."""

from __future__ import annotations

import numpy as np
import torch

from facekit.train.hair.pictures import blurred

#: Heights of the shells as shares of the whole, the coverage of each, and the whole height on the crown, mm.
_SHELLS, _COVERS, _HEIGHT = (0.62, 0.78, 0.9, 1.0), (1.0, 0.72, 0.45, 0.22), 36.0
#: How fast it rises from the hairline, mm.
_RISE = 20.0
#: Points of a shell, and where its map has its middle: the crown.
_POINTS, _CROWN = 620, np.array([0.0, 0.86, -0.51])


def curl_cards(verts: np.ndarray, normals: np.ndarray, cap: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Shells over the vertices with a cap, as the pack has its styles, and their picture (2, size, size)."""
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
    chart = _chart(verts[picked] - centre)
    tris = Delaunay(chart).simplices
    # What lies over bare skin, and slivers along the rim, is no hair.
    middle = _chart(verts[whole] - centre)
    gap = KDTree(middle).query(chart[tris].mean(1))[0]
    edge = verts[picked][tris]
    longest = np.linalg.norm(edge - np.roll(edge, 1, 1), axis=2).max(1)
    tris = tris[(gap < 0.02) & (longest < 30)]
    turn = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])[(gap < 0.02) & (longest < 30)]
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
    return {
        "verts": np.concatenate(points).astype(np.float32),
        "uvs": np.concatenate(uvs).astype(np.float32),
        "faces": shells,
        "faces_uvs": shells,
        "strands": curl_picture(size).numpy(),
    }


def _chart(away: np.ndarray) -> np.ndarray:
    """Directions as a map (N, 2) in [0, 1] around the crown: its distance and angle."""
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    across = np.array([1.0, 0.0, 0.0])
    down = np.cross(_CROWN, across)
    theta = np.arccos(np.clip(away @ _CROWN, -1, 1))
    phi = np.arctan2(away @ down, away @ across)
    return 0.5 + 0.47 * (theta / np.pi)[:, None] * np.stack((np.cos(phi), np.sin(phi)), 1)


def _spread(points: np.ndarray, count: int, rim: np.ndarray) -> np.ndarray:
    """So many of the points, evenly spread, twice as dense near the rim."""
    dense = np.where(rim < 14, 1.6, 1.0)
    picked, distance = [int(points[:, 1].argmax())], np.full(len(points), np.inf)
    for _ in range(min(count, len(points)) - 1):
        distance = np.minimum(distance, ((points - points[picked[-1]]) ** 2).sum(1) * dense**2)
        picked.append(int(distance.argmax()))
    return np.array(picked)


def curl_picture(size: int, seed: int = 11) -> torch.Tensor:
    """Grey and coverage (2, size, size) of curls, four shells in four quarters."""
    generator = torch.Generator().manual_seed(seed)
    half = size // 2
    out = torch.zeros(2, size, size)
    for k, cover in enumerate(_COVERS):
        # Two fields as sine and cosine: their level lines are closed rings, as curls are.
        field = blurred(torch.randn(2, half, half, generator=generator), 1)
        field = field / field.std()
        ring = torch.sin(2.0 * field[0] + 1.5 * field[1])
        fine = torch.randn(half, half, generator=generator)
        ring = ring + 0.35 * fine
        rank = ring.flatten().argsort().argsort().view(half, half).float() / half**2
        alpha = ((rank - (1 - cover)) / 0.2 + 0.5).clamp(0, 1) if cover < 1 else torch.ones_like(rank)
        grey = (0.5 * torch.exp(0.4 * (rank - 0.5) * 2)).clamp(0, 1) * (0.62 + 0.14 * k)
        v, u = 1 - k // 2, k % 2  # the quarter's row from the top, for v runs up
        rows, columns = slice(v * half, (v + 1) * half), slice(u * half, (u + 1) * half)
        out[0, rows, columns], out[1, rows, columns] = grey, alpha
    return out
