"""Exact labels, computed from the scene: UV per pixel, landmarks, pose, gaze."""

from __future__ import annotations

import math
from typing import Any

import torch

from facekit.mesh import FaceMesh
from facekit.models.eyes import Eyeball
from facekit.render import Camera
from facekit.render.labels import visible
from facekit.render.rasterize import pixel_points


def pixel_uvs(mesh: FaceMesh, camera: Camera, face_ids: torch.Tensor) -> torch.Tensor:
    """Return the UVs at pixel centres, (2, H, W) float32, -1 for background.

    Parameters
    ----------
    face_ids:
        (H, W) int64: face ids of a picture of the mesh (B = 1).
    """
    height, width = face_ids.shape
    found = torch.full((2, height, width), -1.0)
    rows, columns = (face_ids >= 0).nonzero(as_tuple=True)
    if mesh.uvs is None or mesh.faces_uvs is None or not len(rows):
        return found
    ids = face_ids[rows, columns]
    corners = pixel_points(mesh.verts, camera, height, width)[0][mesh.faces[ids]]  # (n, 3 corners, 3)
    place = torch.stack((columns + 0.5, rows + 0.5, torch.ones_like(columns)), dim=1).to(corners)
    # Solve for the combination of homogeneous corners along the pixel's ray: barycentric weights up to scale.
    a, b, c = corners.unbind(1)
    weights = torch.stack([(place * torch.linalg.cross(*pair)).sum(-1) for pair in ((b, c), (c, a), (a, b))], dim=1)
    weights = weights / weights.sum(dim=1, keepdim=True)
    uvs = mesh.uvs.double()[mesh.faces_uvs[ids]]
    found[:, rows, columns] = (weights[..., None] * uvs).sum(dim=1).T.float()
    return found


def landmarks(points: torch.Tensor, camera: Camera, depth: torch.Tensor) -> dict[str, Any]:
    """Project points (n, 3) in mm; return 2D and 3D positions and visibility.

    Returns
    -------
    dict
        ``points``: x and y in pixels, pixel centres at +0.5; ``camera``: mm in OpenCV's camera space, x right, y down,
        z forward; ``visible``: within the picture and not occluded.
    """
    height, width = depth.shape
    projected = camera.project(points[None], (height, width))[0]
    viewed = camera.view(points[None])[0] * torch.tensor([1.0, -1.0, -1.0])
    return {
        "points": _rounded(projected[:, :2], 3),
        "camera": _rounded(viewed, 3),
        "visible": visible(projected, depth).tolist(),
    }


def box_of(points: torch.Tensor) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of points (n, 2) in pixels."""
    (left, top), (right, bottom) = points.amin(dim=0).tolist(), points.amax(dim=0).tolist()
    return left, top, right, bottom


def camera_label(camera: Camera, size: int) -> dict[str, Any]:
    """Return intrinsics and extrinsics in OpenCV's convention: ``K`` (3, 3) in pixels, ``R`` (3, 3) and ``t`` (3,) in
    mm from model space.
    """
    rotation, translation, intrinsics = camera.to_opencv(size)
    parts = {"K": intrinsics[0], "R": rotation[0], "t": translation[0].reshape(-1)}
    return {name: _rounded(value, 6) for name, value in parts.items()} | {"fov": round(float(camera.fov[0]), 5)}


def pose_label(turn: torch.Tensor, camera: Camera) -> dict[str, Any]:
    """Return the head's pose relative to the camera.

    Parameters
    ----------
    turn:
        (3, 3): rotation of the head on the neck.

    Returns
    -------
    dict
        ``yaw`` to the subject's left, ``pitch`` up, ``roll`` to the left shoulder, degrees, applied in the order roll,
        pitch, yaw; ``rotation`` (3, 3) in camera space, +Y up, +Z to the viewer.
    """
    rotation = camera.rotation()[0].to(turn) @ turn
    # R = Ry(yaw) Rx(-pitch) Rz(-roll), see facekit.motion.head.rotation.
    yaw = math.degrees(math.atan2(float(rotation[0, 2]), float(rotation[2, 2])))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, float(rotation[1, 2])))))
    roll = math.degrees(math.atan2(-float(rotation[1, 0]), float(rotation[1, 1])))
    angles = {name: round(value, 4) for name, value in (("yaw", yaw), ("pitch", pitch), ("roll", roll))}
    return angles | {"rotation": _rounded(rotation, 6)}


class Pupils:
    """Pupil centres on the eyeballs of a topology, right eye first."""

    def __init__(self, eyes: list[Eyeball], template_verts: torch.Tensor) -> None:
        self.eyes = sorted(eyes, key=lambda eye: float(template_verts[eye.ball, 0].mean()))
        self.front = [int(eye.ball[template_verts[eye.ball, 2].argmax()]) for eye in self.eyes]

    def centres(self, verts: torch.Tensor) -> torch.Tensor:
        """Return the eyeball centres (2, 3) in mm for vertices (1, V, 3)."""
        return torch.cat([eye.centre(verts)[0] for eye in self.eyes])

    def __call__(self, verts: torch.Tensor) -> torch.Tensor:
        """Return the pupils (2, 3) in mm."""
        return verts[0, self.front]

    def gaze(self, verts: torch.Tensor, camera: Camera) -> list[list[float]]:
        """Return the gaze directions as unit vectors in camera space, +X right, +Y up, +Z to the viewer, right eye
        first.
        """
        ahead = self(verts) - self.centres(verts)
        seen = torch.nn.functional.normalize(ahead, dim=1) @ camera.rotation()[0].to(ahead).T
        return _rounded(seen, 5)


def _rounded(values: torch.Tensor, digits: int) -> list:
    return [_rounded(row, digits) if row.ndim else round(float(row), digits) for row in values]
