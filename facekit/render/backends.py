"""Visibility backends, which find the face at each sample: ours in plain torch, or PyTorch3D's. Shading is the same.

NVIDIA Warp was measured and left out: its kernel finds the same faces in a third of the time, but on a CPU that is only
about a tenth of the rendering time, for a package of over 100 MB that compiles at first use and needs a matching
driver.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Protocol

import torch

from facekit.errors import InputError
from facekit.geometry.coverage import prepare
from facekit.render.bridge import pytorch3d

BACKENDS = ("auto", "torch", "pytorch3d")
#: On a CPU, PyTorch3D tests every face against every pixel: beyond this side in pixels it takes many seconds.
_PATIENCE = 128

_log = logging.getLogger("facekit.render")
_told: set[str] = set()


class Visibility(Protocol):
    """Interface of :class:`facekit.geometry.coverage.Triangles`, which every backend implements."""

    def nearest(
        self,
        *,
        scale: int = 1,
        grid: int = 1,
        shear: float = 0.0,
        slots: torch.Tensor | None = None,
        budget: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return faces and depths as :meth:`facekit.geometry.coverage.Triangles.nearest` does."""
        ...


def choose(backend: str, height: int, width: int, device: torch.device) -> str:
    """Return "torch" or "pytorch3d" for a picture of this size; report once what "auto" chose and what will be slow.

    "auto" is torch: both give the same picture, PyTorch3D is hundreds of times slower on a CPU and not needed.
    """
    if backend not in BACKENDS:
        raise InputError(f"a backend out of {', '.join(BACKENDS)}", repr(backend), "choose one of them")
    if backend == "auto":
        if "auto" not in _told:
            _told.add("auto")
            _log.info('backend "auto" took torch: the same picture as PyTorch3D on every device, and faster on a CPU')
        return "torch"
    if backend == "pytorch3d":
        pytorch3d("pytorch3d._C")
        if device.type == "cpu" and max(height, width) > _PATIENCE and "slow" not in _told:
            _told.add("slow")
            warnings.warn(
                f"PyTorch3D takes minutes for pictures beyond {_PATIENCE}² on a CPU; "
                'backend="torch" gives the same in a fraction of a second',
                stacklevel=3,
            )
    return backend


def visibility(
    points: torch.Tensor,
    faces: torch.Tensor,
    height: int,
    width: int,
    *,
    near: float,
    cull: bool = False,
    backend: str = "torch",
) -> Visibility:
    """Return triangles ready to be sampled.

    Parameters
    ----------
    points:
        (B, V, 3) float64, homogeneous pixel points (X w, Y w, w).
    faces:
        (F, 3) int64.
    near:
        Depth of the near plane.
    cull:
        Skip back-facing triangles.
    backend:
        "torch" or "pytorch3d", see :func:`choose`.
    """
    if backend == "torch":
        return prepare(points, faces, height, width, near=near, cull=cull)
    return _PyTorch3D(points, faces, height, width, near, cull)


@dataclass(frozen=True)
class _PyTorch3D:
    """PyTorch3D's rasterizer (Ravi et al., *Accelerating 3D deep learning with PyTorch3D*, 2020) behind our interface.

    It supports only regular sample grids: if even and odd rows are sheared, each is rasterized as a separate picture.
    """

    points: torch.Tensor
    faces: torch.Tensor
    height: int
    width: int
    near: float
    cull: bool

    def nearest(
        self,
        *,
        scale: int = 1,
        grid: int = 1,
        shear: float = 0.0,
        slots: torch.Tensor | None = None,
        budget: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Visibility`; ``budget`` is ignored."""
        fine = scale * grid
        ids, depth = self._picture(fine, shear / scale)
        if shear:
            odd = torch.arange(ids.shape[1], device=ids.device)[None, :, None] % 2 == 1
            other = self._picture(fine, -shear / scale)
            ids, depth = (torch.where(odd, b, a) for a, b in zip((ids, depth), other, strict=True))
        size = (len(ids), self.height * scale, grid, self.width * scale, grid)
        ids, depth = (t.view(size).transpose(2, 3).reshape(-1, grid * grid) for t in (ids, depth))
        if slots is None:
            return ids, depth
        total, wanted = int(slots.max()) + 1 if slots.numel() else 0, slots >= 0
        found = ids.new_full((total, grid * grid), -1), depth.new_full((total, grid * grid), float("inf"))
        for target, source in zip(found, (ids, depth), strict=True):
            target[slots[wanted]] = source[wanted]
        return found

    def _picture(self, fine: int, aside: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return faces and depths (B, H fine, W fine) at the centres of a grid that is shifted right by ``aside``
        pixels.
        """
        meshes, rasterizer = pytorch3d("pytorch3d.structures"), pytorch3d("pytorch3d.renderer.mesh.rasterize_meshes")
        batch, (height, width) = len(self.points), (self.height * fine, self.width * fine)
        if not len(self.faces):
            shape, like = (batch, height, width), self.points
            return self.faces.new_full(shape, -1), like.new_full(shape, float("inf"), dtype=torch.float32)
        x, y, w = self.points.unbind(-1)
        safe = torch.where(w.abs() < 1e-9, torch.full_like(w, 1e-9), w)
        # Its screen space has +X left and +Y up, and ranges from -1 to 1 along the shorter side.
        half = min(self.height, self.width) / 2
        x, y = (self.width / 2 + aside - x / safe) / half, (self.height / 2 - y / safe) / half
        screen = torch.stack((x, y, w), -1).to(torch.float32)
        sound, faces = torch.isfinite(screen).all(-1), self.faces.expand(batch, -1, -1)
        if not bool(sound.all()):
            # Vertices that are not finite would break the clipping of all faces: shrink their faces to points.
            screen = torch.where(sound[..., None], screen, torch.ones_like(screen))
            faces = torch.where(sound[:, self.faces].all(-1, keepdim=True), faces, faces[..., :1])
        ids, depth, _, _ = rasterizer.rasterize_meshes(
            meshes.Meshes(screen, faces),
            (height, width),
            blur_radius=0.0,
            faces_per_pixel=1,
            perspective_correct=True,
            cull_backfaces=self.cull,
            z_clip_value=self.near,
        )
        ids, depth = ids[..., 0], depth[..., 0]
        return torch.where(ids < 0, ids, ids % len(self.faces)), torch.where(ids < 0, torch.inf, depth)
