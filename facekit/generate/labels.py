"""Labels that are exact because they are computed: where every pixel lies, landmarks, pose, gaze."""

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
    """UVs at the pixel centres, (2, H, W) float32, -1 where nothing is.

    Parameters
    ----------
    face_ids:
        (H, W) int64 of a picture of the mesh (B = 1).
    """
    height, width = face_ids.shape
    found = torch.full((2, height, width), -1.0)
    rows, columns = (face_ids >= 0).nonzero(as_tuple=True)
    if mesh.uvs is None or mesh.faces_uvs is None or not len(rows):
        return found
    ids = face_ids[rows, columns]
    corners = pixel_points(mesh.verts, camera, height, width)[0][mesh.faces[ids]]  # (n, 3 corners, 3)
    place = torch.stack((columns + 0.5, rows + 0.5, torch.ones_like(columns)), dim=1).to(corners)
    # Where homogeneous corners add up to the pixel's ray: barycentric weights in space, up to their sum.
    a, b, c = corners.unbind(1)
    weights = torch.stack([(place * torch.linalg.cross(*pair)).sum(-1) for pair in ((b, c), (c, a), (a, b))], dim=1)
    weights = weights / weights.sum(dim=1, keepdim=True)
    uvs = mesh.uvs.double()[mesh.faces_uvs[ids]]
    found[:, rows, columns] = (weights[..., None] * uvs).sum(dim=1).T.float()
    return found


def landmarks(points: torch.Tensor, camera: Camera, depth: torch.Tensor) -> dict[str, Any]:
    """Points (n, 3) mm in the picture and in space.

    Returns
    -------
    dict
        ``points``: x and y in pixels, centres at +0.5; ``camera``: mm in OpenCV's camera, x right, y down, z away;
        ``visible``: in the picture, and nothing in front.
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
    """Left, top, right and bottom around points (n, 2), pixels."""
    (left, top), (right, bottom) = points.amin(dim=0).tolist(), points.amax(dim=0).tolist()
    return left, top, right, bottom


def camera_label(camera: Camera, size: int) -> dict[str, Any]:
    """Intrinsics and extrinsics as OpenCV has them: ``K`` (3, 3) in pixels, ``R`` (3, 3) and ``t`` (3,) mm from the
    model's space."""
    rotation, translation, intrinsics = camera.to_opencv(size)
    parts = {"K": intrinsics[0], "R": rotation[0], "t": translation[0].reshape(-1)}
    return {name: _rounded(value, 6) for name, value in parts.items()} | {"fov": round(float(camera.fov[0]), 5)}


def pose_label(turn: torch.Tensor, camera: Camera) -> dict[str, Any]:
    """The head against the camera.

    Parameters
    ----------
    turn:
        (3, 3) how the head turns on the neck.

    Returns
    -------
    dict
        ``yaw`` to the subject's left, ``pitch`` up, ``roll`` to the left shoulder, degrees, as they are turned by:
        first the roll, then the pitch, then the yaw; ``rotation`` (3, 3) in camera space, +Y up, +Z to the viewer.
    """
    rotation = camera.rotation()[0].to(turn) @ turn
    # R = Ry(yaw) Rx(-pitch) Rz(-roll), see facekit.motion.head.rotation.
    yaw = math.degrees(math.atan2(float(rotation[0, 2]), float(rotation[2, 2])))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, float(rotation[1, 2])))))
    roll = math.degrees(math.atan2(-float(rotation[1, 0]), float(rotation[1, 1])))
    angles = {name: round(value, 4) for name, value in (("yaw", yaw), ("pitch", pitch), ("roll", roll))}
    return angles | {"rotation": _rounded(rotation, 6)}


class Pupils:
    """The middles of both pupils on the eyeballs of a topology, right eye first."""

    def __init__(self, eyes: list[Eyeball], template_verts: torch.Tensor) -> None:
        self.eyes = sorted(eyes, key=lambda eye: float(template_verts[eye.ball, 0].mean()))
        self.front = [int(eye.ball[template_verts[eye.ball, 2].argmax()]) for eye in self.eyes]

    def centres(self, verts: torch.Tensor) -> torch.Tensor:
        """Centres (2, 3) mm of the eyeballs of vertices (1, V, 3)."""
        return torch.cat([eye.centre(verts)[0] for eye in self.eyes])

    def __call__(self, verts: torch.Tensor) -> torch.Tensor:
        """Pupils (2, 3) mm."""
        return verts[0, self.front]

    def gaze(self, verts: torch.Tensor, camera: Camera) -> list[list[float]]:
        """Unit vectors in camera space, +X right, +Y up, +Z to the viewer, along which the eyes look, right first."""
        ahead = self(verts) - self.centres(verts)
        seen = torch.nn.functional.normalize(ahead, dim=1) @ camera.rotation()[0].to(ahead).T
        return _rounded(seen, 5)


def _rounded(values: torch.Tensor, digits: int) -> list:
    return [_rounded(row, digits) if row.ndim else round(float(row), digits) for row in values]
