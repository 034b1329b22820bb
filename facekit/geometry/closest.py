"""Closest points on triangles."""

from __future__ import annotations

import torch


def closest_of(points: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the closest points (P, 3) to points (P, 3), each on one of K triangles (P, K, 3, 3).

    Also returns their barycentric weights (P, 3) and the indices of the triangles, (P,) int64.
    """
    a, b, c = corners.unbind(2)
    inner = _barycentric(points[:, None], a, b, c)
    weights = [torch.where((inner >= 0).all(-1, keepdim=True), inner, torch.nan)]
    for k, (start, end) in enumerate(((a, b), (b, c), (c, a))):
        along = end - start
        t = ((points[:, None] - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-12)
        on_edge = inner.new_zeros(*t.shape, 3)
        on_edge[..., k], on_edge[..., (k + 1) % 3] = 1 - t.clamp(0, 1), t.clamp(0, 1)
        weights.append(on_edge)
    weights = torch.stack(weights, dim=2)  # (P, K, 4, 3)
    places = torch.einsum("pkqw,pkwc->pkqc", weights, corners)
    off = (points[:, None, None] - places).square().sum(-1).nan_to_num(float("inf")).flatten(1)
    best = off.argmin(dim=1)
    rows = torch.arange(len(points), device=points.device)
    return places.flatten(1, 2)[rows, best], weights.flatten(1, 2)[rows, best], best // weights.shape[2]


def _barycentric(p: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Return barycentric weights (..., 3) of the projections of points onto their triangles' planes."""
    u, v, q = b - a, c - a, p - a
    normal = torch.linalg.cross(u, v)
    area = normal.square().sum(-1).clamp_min(1e-12)
    second = (torch.linalg.cross(q, v) * normal).sum(-1) / area
    third = (torch.linalg.cross(u, q) * normal).sum(-1) / area
    return torch.stack((1 - second - third, second, third), dim=-1)
