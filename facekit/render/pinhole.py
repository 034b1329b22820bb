"""Pinhole cameras as numbers: their axes, intrinsics and projection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from facekit.checks import whole
from facekit.errors import InputError
from facekit.torch_defaults import with_torch_defaults

#: Default near plane for heads, mm.
NEAR = 1.0
#: Extent of a head: distance from the first to the last decile of its vertices along the diagonal, mm; largest number
#: of vertices sampled to measure it.
_HEAD_SPAN, _SAMPLE = 200.0, 2048
#: Largest side of a picture in pixels.
_LARGEST = 16384
#: Fields that are tensors.
TENSORS = ("position", "look_at", "fov", "up", "principal", "aspect")

Vector = Sequence[float] | torch.Tensor


def to_rows(name: str, value: Vector | float, width: int, device: torch.device | None) -> torch.Tensor:
    """Convert a camera's argument to (N, width) float32."""
    rows = torch.as_tensor(value, dtype=torch.float32, device=device)
    fits = rows.ndim <= 1 if width == 1 else rows.ndim in (1, 2) and rows.shape[-1] == width
    if not fits or not bool(torch.isfinite(rows).all()):
        numbers = "one finite number" if width == 1 else f"{width} finite numbers"
        raise InputError(f"a camera's {name} as {numbers}, or one row per camera", f"{value}", "see Camera")
    return rows.reshape(-1, width)


@dataclass(frozen=True, init=False)
class PinholeCamera:
    """N pinhole cameras by their numbers, which are checked, and what follows: axes, intrinsics, projection.

    Parameters
    ----------
    position, look_at, fov, up, near, principal, aspect:
        See :class:`facekit.Camera`, which has defaults for them, and the ways to make, convert and change cameras.
    """

    position: torch.Tensor
    look_at: torch.Tensor
    fov: torch.Tensor
    up: torch.Tensor
    near: float | None
    principal: torch.Tensor
    aspect: torch.Tensor

    def __init__(
        self,
        position: Vector,
        look_at: Vector,
        fov: float | torch.Tensor,
        up: Vector,
        near: float | None,
        principal: Vector,
        aspect: float | torch.Tensor,
    ) -> None:
        device = next((v.device for v in (position, look_at) if isinstance(v, torch.Tensor)), None)
        given = {
            "position": (position, 3),
            "look_at": (look_at, 3),
            "up": (up, 3),
            "principal": (principal, 2),
            "fov": (fov, 1),
            "aspect": (aspect, 1),
        }
        values = {name: to_rows(name, value, width, device) for name, (value, width) in given.items()}
        if not bool(((values["fov"] > 0) & (values["fov"] < 180)).all()):
            raise InputError("a vertical field of view between 0 and 180°", f"{fov}", "a portrait has about 22")
        if not bool((values["aspect"] > 0).all()):
            raise InputError("an aspect above 0", f"{aspect}", "1 is for square pixels")
        if near is not None and not (math.isfinite(near) and near > 0):
            raise InputError("a near plane in front of the camera", f"{near}", "leave it out, or pass a distance")
        count = max(len(value) for value in values.values())
        for name, value in values.items():
            if len(value) not in (1, count):
                raise InputError(f"{count} values of {name}, or one", f"{len(value)}", "give one per camera")
            value = value.expand(count, *value.shape[1:])
            object.__setattr__(self, name, value[:, 0] if given[name][1] == 1 else value)
        object.__setattr__(self, "near", None if near is None else float(near))
        if bool(((self.position - self.look_at).norm(dim=1) == 0).any()):
            raise InputError("a camera with position and look_at apart", "equal ones", "move one of them")

    def rotation(self) -> torch.Tensor:
        """Return rotations (N, 3, 3) float32: rows are the camera's right, up and backward axes in mesh space."""
        back = torch.nn.functional.normalize(self.position - self.look_at, dim=1)
        right = torch.linalg.cross(self.up, back)
        # If the view direction is parallel to the up vector, use another one.
        spare = torch.linalg.cross(back.new_tensor([[0.0, 0.0, -1.0]]).expand_as(back), back)
        right = torch.where(right.norm(dim=1, keepdim=True) < 1e-6, spare, right)
        right = torch.nn.functional.normalize(right, dim=1)
        return torch.stack((right, torch.linalg.cross(back, right), back), dim=1)

    @with_torch_defaults
    def view(self, verts: torch.Tensor) -> torch.Tensor:
        """Transform from mesh to camera space: (B, V, 3) mm to (max(B, N), V, 3) mm; one of B and N may be 1."""
        rotation = self.rotation().to(verts)
        return (verts - self.position.to(verts)[:, None]) @ rotation.transpose(1, 2)

    def focal(self, height: int) -> torch.Tensor:
        """Return the focal length along Y in pixels for a picture of this height, (N,) float32."""
        return 0.5 * height / torch.tan(torch.deg2rad(self.fov) / 2)

    def intrinsics(self, image_size: int | tuple[int, int]) -> torch.Tensor:
        """Return focal lengths along X and Y and the principal point x and y in pixels, (N, 4) float32."""
        height, width = size_of(image_size)
        focal = self.focal(height)
        return torch.stack((focal * self.aspect, focal, self.principal[:, 0] * width, self.principal[:, 1] * height), 1)

    @with_torch_defaults
    def project(self, verts: torch.Tensor, image_size: int | tuple[int, int]) -> torch.Tensor:
        """Project to the picture: (B, V, 3) to (max(B, N), V, 3), columns X and Y in pixels, and depth.

        The origin is the picture's upper left corner; pixel centres lie at +0.5. For points behind the camera (depth
        below 0) X and Y are mirrored.
        """
        fx, fy, cx, cy = self.intrinsics(image_size).to(verts).unbind(1)
        view = self.view(verts)
        depth = -view[..., 2]
        safe = torch.where(depth == 0, torch.full_like(depth, 1e-9), depth)
        x, y = view[..., 0] * (fx[:, None] / safe), view[..., 1] * (fy[:, None] / safe)
        return torch.stack((cx[:, None] + x, cy[:, None] - y, depth), dim=-1)

    def near_plane(self, verts: torch.Tensor) -> float:
        """Return the near plane for these vertices: the camera's own, or one that suits their size."""
        return scene_unit(verts) * NEAR if self.near is None else self.near

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return all tensors that pictures are differentiable with respect to."""
        return tuple(getattr(self, name) for name in TENSORS)

    @property
    def device(self) -> torch.device:
        return self.position.device

    def __len__(self) -> int:
        return self.position.shape[0]


def rotation_matrices(rotation: torch.Tensor) -> torch.Tensor:
    """Convert rotation matrices to (N, 3, 3) float32.

    Raises
    ------
    InputError
        If the shape is wrong, or a matrix scales, shears or mirrors.
    """
    turn = torch.as_tensor(rotation)
    if turn.ndim not in (2, 3) or turn.shape[-2:] != (3, 3):
        raise InputError("rotations (3, 3) or (N, 3, 3)", f"{tuple(turn.shape)}", "give matrices, not angles")
    turn = turn.reshape(-1, 3, 3).to(torch.float32)
    eye = torch.eye(3, device=turn.device)
    with torch.no_grad():
        proper = (turn @ turn.transpose(1, 2) - eye).abs().amax() < 1e-3 and torch.linalg.det(turn).amin() > 0
    if not bool(proper):
        raise InputError("rotation matrices", "other matrices", "orthonormalise them, determinant 1")
    return turn


def scene_unit(verts: torch.Tensor) -> float:
    """Return the unit of length in which the mesh has about a head's size in millimetres: a power of two, so that
    scaling is exact.

    Near plane, shadow bias and cavity size are tuned for heads in millimetres; in this unit they suit any mesh. Heads
    in millimetres have the unit 1. ``verts`` (B, V, 3): the size is that of the first mesh in the batch, measured
    robustly against outliers.
    """
    points = verts[0].detach()
    points = points[:: max(1, len(points) // _SAMPLE)].float()
    if not points.numel():
        return 1.0
    low, high = torch.nanquantile(points, points.new_tensor([0.1, 0.9]), dim=0)
    size = float((high - low).norm())
    return 2.0 ** round(math.log2(size / _HEAD_SPAN)) if 0 < size < math.inf else 1.0


def size_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width for ``512`` or ``(height, width)``."""
    size = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    remedy = "pass for instance 512, or (height, width)"
    if len(size) != 2:
        raise InputError("an image size, or (height, width)", f"{image_size}", remedy)
    height, width = (whole(side, "image_size", 1, _LARGEST, remedy) for side in size)
    return height, width
