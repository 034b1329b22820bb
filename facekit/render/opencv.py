"""Conversion of cameras to and from OpenCV. All of its conventions are handled here.

Its camera space has +X right, +Y down and +Z into the scene, ours +X right, +Y up and +Z toward the viewer: half a turn
about X. K is in pixels, with the first pixel's centre at 0.5; for calibrations that put it at 0, add 0.5 to cx and cy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from facekit.errors import InputError
from facekit.render.pinhole import rotation_matrices

if TYPE_CHECKING:
    from facekit.render.camera import Camera

_TURN = (1.0, -1.0, -1.0)


def camera_to(camera: Camera, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return R (N, 3, 3), t (N, 3) and K (N, 3, 3) with ``x = K (R X + t)`` for a picture of this size."""
    rotation = camera.rotation() * camera.position.new_tensor(_TURN)[:, None]
    translation = -(rotation @ camera.position[..., None])[..., 0]
    fx, fy, cx, cy = camera.intrinsics((height, width)).unbind(1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = ((fx, zero, cx), (zero, fy, cy), (zero, zero, one))
    return rotation, translation, torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def camera_from(
    rotation: torch.Tensor, translation: torch.Tensor, intrinsics: torch.Tensor, height: int, width: int
) -> dict[str, torch.Tensor]:
    """Return the arguments of our equivalent camera; see :meth:`facekit.render.Camera.from_opencv`."""
    turn = rotation_matrices(rotation)
    shift, matrix = (torch.as_tensor(t, dtype=torch.float32, device=turn.device) for t in (translation, intrinsics))
    if shift.ndim not in (1, 2) or shift.shape[-1] != 3:
        raise InputError("translations (3,) or (N, 3)", f"{tuple(shift.shape)}", "give OpenCV's t")
    if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (3, 3):
        raise InputError("intrinsics (3, 3) or (N, 3, 3)", f"{tuple(matrix.shape)}", "give OpenCV's K")
    shift, matrix = shift.reshape(-1, 3), matrix.reshape(-1, 3, 3)
    fx, fy, cx, cy = matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2]
    with torch.no_grad():
        rest = torch.stack((matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 2, 0], matrix[:, 2, 1], matrix[:, 2, 2] - 1))
        plain = bool((rest.abs() <= 1e-6 * fy.abs()).all()) and bool((fx > 0).all()) and bool((fy > 0).all())
    if not plain:
        raise InputError(
            "intrinsics with positive focal lengths and without skew", "other intrinsics", "undistort the picture"
        )
    position = -(turn.transpose(1, 2) @ shift[..., None])[..., 0]
    right_up_back = turn * turn.new_tensor(_TURN)[:, None]
    distance = shift.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return {
        "position": position,
        "look_at": position - right_up_back[:, 2] * distance,
        "up": right_up_back[:, 1],
        "fov": 2 * torch.rad2deg(torch.atan(0.5 * height / fy)),
        "principal": torch.stack((cx / width, cy / height), dim=1),
        "aspect": fx / fy,
    }
