"""Correspondence between face meshes of different topology, by landmarks and nearest points."""

from __future__ import annotations

import torch

#: Distances in mm from the other surface: up to the first a vertex surely has a counterpart, beyond the second it has
#: none.
_NEAR, _FAR = 5.0, 12.0
_NEIGHBOURS = 3
_CHUNK = 1024


def similarity(
    source: torch.Tensor, target: torch.Tensor, scaled: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return scale (), rotation (3, 3) and translation (3,) that best map source to target points.

    Minimises the squared distances of ``scale * source @ rotation.T + translation`` from ``target``, points (N, 3) each
    (Umeyama, PAMI 1991); without ``scaled`` the scale is 1.
    """
    a, b = (points.double() for points in (source, target))
    ma, mb = a.mean(0), b.mean(0)
    u, values, vt = torch.linalg.svd((b - mb).T @ (a - ma))
    sign = torch.ones(3, dtype=a.dtype, device=a.device)
    sign[2] = torch.sign(torch.linalg.det(u @ vt))
    rotation = u @ torch.diag(sign) @ vt
    scale = (values * sign).sum() / (a - ma).square().sum() if scaled else a.new_ones(())
    return scale, rotation, mb - scale * rotation @ ma


def warp(points: torch.Tensor, source: torch.Tensor, target: torch.Tensor, stiffness: float = 1.0) -> torch.Tensor:
    """Warp points (V, 3) smoothly such that ``source`` (N, 3) maps to ``target`` (N, 3).

    Thin-plate spline in 3D, kernel r (Bookstein, PAMI 1989); ``stiffness``, in mm, is the regularisation: the scale of
    the deviation from ``target`` that is traded for smoothness.
    """
    count, kind = len(source), {"dtype": torch.float64, "device": source.device}
    s, t = source.double(), target.double()
    system = torch.zeros(count + 4, count + 4, **kind)
    system[:count, :count] = torch.cdist(s, s) - stiffness * torch.eye(count, **kind)
    system[:count, count:] = torch.cat((torch.ones(count, 1, **kind), s), dim=1)
    system[count:, :count] = system[:count, count:].T
    weights = torch.linalg.solve(system, torch.cat((t, torch.zeros(4, 3, **kind))))
    p = points.double()
    ones = torch.ones(len(p), 1, **kind)
    return (torch.cat((torch.cdist(p, s), ones, p), dim=1) @ weights).to(points.dtype)


def interpolate_nearest(
    points: torch.Tensor, known: torch.Tensor, values: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Interpolate values (N, C) at ``known`` (N, 3) to ``points`` (V, 3); also return the confidence (V,) in [0, 1].

    Mean of the three nearest, weighted by inverse squared distance; the confidence is 0 if none is near.
    """
    # Sorted along x, a chunk of points only needs the known points within reach of its slab.
    order, known_order = points[:, 0].argsort(), known[:, 0].argsort()
    points, known, values = points[order], known[known_order].contiguous(), values[known_order]
    found = values.new_zeros(len(points), values.shape[1])
    nearest = points.new_full((len(points),), float("inf"))
    for start in range(0, len(points), _CHUNK):
        some = points[start : start + _CHUNK]
        span = torch.stack((some[0, 0] - _FAR, some[-1, 0] + _FAR))
        lo, hi = torch.searchsorted(known[:, 0].contiguous(), span).tolist()
        if hi - lo < _NEIGHBOURS:
            continue
        distance = torch.cdist(some, known[lo:hi])
        total, weights = 0.0, 0.0
        for k in range(_NEIGHBOURS):  # several times as fast as topk for so few
            least, index = distance.min(dim=1)
            distance.scatter_(1, index[:, None], float("inf"))
            weight = (1 / least.square().clamp_min(1e-6))[:, None]
            total, weights = total + weight * values[lo:hi][index], weights + weight
            if k == 0:
                nearest[start : start + len(some)] = least
        found[start : start + len(some)] = total / weights
    back = order.argsort()
    return found[back], ((_FAR - nearest[back]) / (_FAR - _NEAR)).clamp(0, 1)
