"""Visibility: the face and depth at each pixel. The only step that depends on the backend."""

from __future__ import annotations

import torch

from facekit.render.backends import choose, visibility
from facekit.render.camera import Camera
from facekit.render.pinhole import size_of
from facekit.torch_defaults import with_torch_defaults


@with_torch_defaults
def rasterize(
    verts: torch.Tensor,
    faces: torch.Tensor,
    camera: Camera,
    image_size: int | tuple[int, int] = 512,
    *,
    backend: str = "torch",
    cull: bool = False,
    budget: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest face at every pixel centre.

    Not differentiable; :mod:`facekit.render.shading` recomputes positions from the faces, with gradients.

    Parameters
    ----------
    verts:
        (B, V, 3) float, mm.
    faces:
        (F, 3) int64.
    camera:
        N cameras; one of B and N may be 1.
    image_size:
        Size in pixels, or (height, width).
    backend:
        "torch", "pytorch3d" or "auto", see :func:`facekit.render.backends.choose`.
    cull:
        Skip back-facing triangles: faster, but open meshes get holes.
    budget:
        Memory for intermediate lists in bytes; more work is done in chunks. None for the device's default.

    Returns
    -------
    tuple
        face_ids (B, H, W) int64, -1 for background, and depth (B, H, W) float32, mm along the optical axis, inf for
        background.
    """
    height, width = size_of(image_size)
    points = pixel_points(verts, camera, height, width)
    backend = choose(backend, height, width, points.device)
    seen = visibility(points, faces, height, width, near=camera.near_plane(verts), cull=cull, backend=backend)
    ids, depth = seen.nearest(budget=budget)
    return ids.view(-1, height, width), depth.view(-1, height, width)


def pixel_points(verts: torch.Tensor, camera: Camera, height: int, width: int) -> torch.Tensor:
    """Return homogeneous pixel points (X w, Y w, w), (B, V, 3) float64, where w is the depth in mm."""
    with torch.no_grad():
        x, y, z = camera.view(verts.detach().to(torch.float64)).unbind(-1)
        fx, fy, cx, cy = camera.intrinsics((height, width)).to(x)[..., None].unbind(1)
        return torch.stack((x * fx - z * cx, -y * fy - z * cy, -z), dim=-1)
