"""Small synthetic scenes, and a brute-force rasterizer as the reference."""

from __future__ import annotations

import math

import torch

from facekit.mesh import FaceMesh
from facekit.render import Camera


def ball(radius: float = 90.0, rings: int = 20, texture: torch.Tensor | None = None, **options) -> FaceMesh:
    """A UV sphere around the origin whose UVs run once around."""
    segments = 2 * rings
    theta = torch.linspace(0, math.pi, rings + 1)[:, None]
    phi = torch.linspace(-math.pi, math.pi, segments + 1)[None]
    x, y = torch.sin(theta) * torch.sin(phi), torch.cos(theta).expand(-1, segments + 1)
    verts = radius * torch.stack((x, y, torch.sin(theta) * torch.cos(phi)), dim=-1).reshape(1, -1, 3)
    u = ((phi / math.pi + 1) / 2).expand(rings + 1, -1)
    uvs = torch.stack((u, 1 - (theta / math.pi).expand(-1, segments + 1)), dim=-1).reshape(-1, 2)
    i, j = torch.meshgrid(torch.arange(rings), torch.arange(segments), indexing="ij")
    a = (i * (segments + 1) + j).reshape(-1)
    b, c, d = a + segments + 1, a + segments + 2, a + 1
    faces = torch.cat((torch.stack((a, b, c), 1), torch.stack((a, c, d), 1)))
    return FaceMesh(verts, faces, uvs, faces, texture, **options)


def board(size: float = 100.0, texture: torch.Tensor | None = None, **options) -> FaceMesh:
    """A square in the plane z = 0 that faces the viewer."""
    s = size / 2
    verts = torch.tensor([[[-s, -s, 0.0], [s, -s, 0.0], [s, s, 0.0], [-s, s, 0.0]]])
    uvs = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return FaceMesh(verts, faces, uvs, faces, texture, **options)


def brute_force(verts: torch.Tensor, faces: torch.Tensor, camera: Camera, height: int, width: int):
    """All pixels against all faces in float64, one mesh: ids, depth, and how far each pixel is from a tie."""
    view = camera.view(verts.double())[0]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    focal = float(camera.focal(height)[0])
    ray = torch.stack(((x - width / 2) / focal, (height / 2 - y) / focal, -torch.ones_like(x)), -1)
    ray = ray.double().reshape(-1, 3)
    a, b, c = view[faces].unbind(1)
    cross = torch.linalg.cross
    volume = (a * cross(b, c)).sum(-1)
    # Rounding leaves flat faces a trace of a volume.
    sound = volume.abs() > 1e-14 * a.norm(dim=1) * b.norm(dim=1) * c.norm(dim=1)
    a, b, c, volume, index = a[sound], b[sound], c[sound], volume[sound], torch.arange(len(faces))[sound]
    parts = torch.stack([n @ ray.t() for n in (cross(b, c), cross(c, a), cross(a, b))]) / volume[:, None]
    depth = 1 / parts.sum(0)
    inside = (parts >= 0).all(0) & (depth >= camera.near_plane(verts))
    inf = torch.full((1, len(ray)), float("inf"), dtype=torch.float64)
    first, order = torch.cat((torch.where(inside, depth, inf), inf)).min(0)
    ids = torch.where(first < float("inf"), torch.cat((index, index.new_tensor([-1])))[order], -1)
    others = inside & (torch.arange(len(index))[:, None] != order)
    second = torch.cat((torch.where(others, depth, inf), inf)).amin(0)
    # Near an edge, near the near plane, near another face.
    edge = torch.cat((parts.abs().amin(0) / parts.abs().amax(0).clamp_min(1e-300), inf)).amin(0)
    plane = torch.cat((torch.where(inside, (depth / camera.near_plane(verts) - 1).abs(), inf), inf)).amin(0)
    tie = torch.where(second < float("inf"), second / first - 1, inf[0])
    closest = torch.minimum(torch.minimum(edge, plane), tie)
    return ids.view(height, width), first.view(height, width), closest.view(height, width)
