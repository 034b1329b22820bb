"""Closest points on triangles."""

from __future__ import annotations

import torch

from facekit.geometry.normals import dot


def closest_of(points: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the closest points (P, 3) to points (P, 3), each on one of K triangles (P, K, 3, 3).

    Also returns their barycentric weights (P, 3) and the indices of the triangles, (P,) int64. In the plane of each
    triangle the squared distance is a quadratic form of the weights of its second and third corner.
    """
    p = points.T[..., None].unbind(0)
    a, b, c = ([corners[:, :, corner, axis] for axis in range(3)] for corner in range(3))
    # By coordinates: sums over an axis of three take many times as long.
    u, v, q = ([y - x for x, y in zip(start, end, strict=True)] for start, end in ((a, b), (a, c), (a, p)))
    uu, uv, vv, uq, vq = dot(u, u), dot(u, v), dot(v, v), dot(u, q), dot(v, q)
    area = (uu * vv - uv * uv).clamp_min(1e-12)
    second, third = (vv * uq - uv * vq) / area, (uu * vq - uv * uq) / area
    inside = (second >= 0) & (third >= 0) & (second + third <= 1)
    none, always = torch.zeros_like(uu), torch.ones_like(inside)
    along = ((vq - uq + uu - uv) / (uu + vv - 2 * uv).clamp_min(1e-12)).clamp(0, 1)
    candidates = (
        (always, (uq / uu.clamp_min(1e-12)).clamp(0, 1), none),
        (always, 1 - along, along),
        (always, none, (vq / vv.clamp_min(1e-12)).clamp(0, 1)),
        (inside, second, third),
    )
    off, s, t = torch.full_like(uu, torch.inf), none, none
    for counts, at, to in candidates:
        there = at * (at * uu + 2 * (to * uv - uq)) + to * (to * vv - 2 * vq)  # less the distance to the first corner
        nearer = counts & (there < off)
        off, s, t = torch.where(nearer, there, off), torch.where(nearer, at, s), torch.where(nearer, to, t)
    best = (off + dot(q, q)).argmin(dim=1, keepdim=True)
    s, t = s.gather(1, best), t.gather(1, best)
    weights = torch.cat((1 - s - t, s, t), dim=1)
    best = best[:, 0]
    own = corners[torch.arange(len(points), device=points.device), best]
    return (weights[..., None] * own).sum(dim=1), weights, best
