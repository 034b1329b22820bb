"""Shells over the scalp, for curls and cropped hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from facekit.geometry.uv import bake, rasterize_uv

#: Vertices with at least this coverage by hair are under shells; those from this height on, mm, without it are bare.
_COVERED, _NECK = 0.35, -60.0
#: Largest angle from the crown in the UV map, radians.
_WIDEST = 2.2
#: Number of vertices per shell, and direction of the crown, the centre of the UV map.
_POINTS, CROWN = 620, np.array([0.0, 0.86, -0.51])
#: Point, mm, from which hair stands away, and the share of the skin's normal in its direction.
_CENTRE, _NORMAL = np.array([0.0, 62.0, -8.0]), 0.35


@dataclass(frozen=True)
class Net:
    """Triangles over the part of a scalp that hair covers.

    Parameters
    ----------
    roots, out:
        (N, 3) mm and unit: points on the scalp, and the directions in which hair stands away from them.
    rim:
        (N,) mm: distance from the hairline.
    chart:
        (N, 2) in [0, 1]: azimuthal equidistant projection about the crown.
    tris:
        (F, 3) int64, outward.
    """

    roots: np.ndarray
    out: np.ndarray
    rim: np.ndarray
    chart: np.ndarray
    tris: np.ndarray

    @classmethod
    def over(cls, verts: np.ndarray, normals: np.ndarray, cap: np.ndarray) -> Net:
        """Spread a net over the head vertices that the cap covers.

        Parameters
        ----------
        verts, normals:
            (V, 3) of the head, mm and unit.
        cap:
            (V,) in [0, 1], coverage by hair.
        """
        from scipy.spatial import Delaunay, KDTree

        inside = cap > _COVERED
        whole = np.flatnonzero(inside)
        bare = KDTree(verts[~inside & (verts[:, 1] > _NECK)])
        rim = bare.query(verts[whole])[0]
        picked = whole[_spread(verts[whole], _POINTS, rim)]
        rim = bare.query(verts[picked])[0]
        out = verts[picked] - _CENTRE
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        out = _NORMAL * normals[picked] + (1 - _NORMAL) * out
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        chart = _chart(verts[picked] - _CENTRE)
        net = Delaunay(chart)
        tris = net.simplices
        # Drop triangles over bare skin, and long ones along the rim.
        middle = _chart(verts[whole] - _CENTRE)
        gap = KDTree(middle).query(chart[tris].mean(1))[0]
        edge = verts[picked][tris]
        longest = np.linalg.norm(edge - np.roll(edge, 1, 1), axis=2).max(1)
        kept = ~outside(net.neighbors, (gap >= 0.02) | (longest >= 30))
        tris = tris[kept]
        turn = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])[kept]
        inward = (turn * out[tris].mean(1)).sum(1) < 0
        tris[inward] = tris[inward][:, ::-1]
        return cls(verts[picked], out, rim, chart, tris)

    def shells(self, heights: list[np.ndarray], uvs: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Return ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` of shells at the heights (N,) mm, with UVs (N, 2)."""
        faces = np.concatenate([self.tris + k * len(self.roots) for k in range(len(heights))])
        return {
            "verts": np.concatenate([self.roots + self.out * height[:, None] for height in heights]).astype(np.float32),
            "uvs": np.concatenate(uvs).astype(np.float32),
            "faces": faces,
            "faces_uvs": faces,
        }

    def baked(self, values: np.ndarray, size: int) -> torch.Tensor:
        """Return values (N,) at the points as a map (size, size) in the chart."""
        tris = torch.from_numpy(self.tris.astype(np.int64))
        ids, weights = rasterize_uv(torch.from_numpy(self.chart).float(), tris, size)
        return bake(torch.from_numpy(values).float()[None, :, None], tris, ids, weights)[0, 0]


def _chart(away: np.ndarray) -> np.ndarray:
    """Map directions (N, 3) to UVs (N, 2) in [0, 1]: azimuthal equidistant projection about the crown."""
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    across = np.array([1.0, 0.0, 0.0])
    down = np.cross(CROWN, across)
    theta = np.arccos(np.clip(away @ CROWN, -1, 1))
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
