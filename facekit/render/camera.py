"""Pinhole cameras."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import as_slice, whole
from facekit.errors import InputError
from facekit.geometry.angles import direction
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from pytorch3d.renderer import PerspectiveCameras
    from pytorch3d.renderer.cameras import CamerasBase

    from facekit.mesh import FaceMesh

#: Centre of the head template between crown and collar, mm: target of the default cameras.
HEAD_CENTRE = (0.0, 8.0, 10.0)
#: Field of view in degrees of a portrait lens: about 90 mm on a full-frame camera in portrait orientation.
PORTRAIT_FOV = 22.0
#: Distance from the head's centre, mm: shows some 310 mm, crown to collar, so that the bust's edge is out of view.
PORTRAIT_DISTANCE = 800.0
#: The same for heads with hair, which needs more space.
HAIR_CENTRE, HAIR_DISTANCE = (0.0, 29.0, 10.0), 828.0

#: Arguments of :class:`Camera`'s views for a head with hair.
HAIR_FRAMING: dict[str, Any] = {"distance": HAIR_DISTANCE, "target": HAIR_CENTRE}

#: Default near plane for heads, mm.
NEAR = 1.0
#: Extent of a head: distance from the first to the last decile of its vertices along the diagonal, mm; largest number
#: of vertices sampled to measure it.
_HEAD_SPAN, _SAMPLE = 200.0, 2048
#: Largest side of a picture in pixels.
_LARGEST = 16384
_TENSORS = ("position", "look_at", "fov", "up", "principal", "aspect")

Vector = Sequence[float] | torch.Tensor


def _rows(name: str, value: Vector | float, width: int, device: torch.device | None) -> torch.Tensor:
    """Convert a camera's argument to (N, width) float32."""
    rows = torch.as_tensor(value, dtype=torch.float32, device=device)
    fits = rows.ndim <= 1 if width == 1 else rows.ndim in (1, 2) and rows.shape[-1] == width
    if not fits or not bool(torch.isfinite(rows).all()):
        numbers = "one finite number" if width == 1 else f"{width} finite numbers"
        raise InputError(f"a camera's {name} as {numbers}, or one row per camera", f"{value}", "see Camera")
    return rows.reshape(-1, width)


@dataclass(frozen=True, init=False)
class Camera:
    """N pinhole cameras.

    Camera space is right-handed: +X to the image right, +Y up, +Z toward the viewer; so depth, the distance along the
    optical axis, is -z. Lengths are in the unit of the mesh, millimetres for facekit's own. Arguments may be single
    values or one per camera; they are stored as tensors for N cameras. A camera does not depend on the size of the
    picture: resized pictures have the same camera.

    Parameters
    ----------
    position, look_at:
        (3,) or (N, 3), in the space of the mesh.
    fov:
        Vertical field of view in degrees, a float or (N,): twice the arctangent of half the picture's height over the
        focal length, wherever the principal point lies.
    up:
        (3,) or (N, 3): the direction that is up in the picture.
    near:
        Near plane; None for a small fraction of the mesh's size.
    principal:
        (2,) or (N, 2): principal point, as fractions of the picture's width and height from the upper left corner.
        Off-centre crops move it.
    aspect:
        A float or (N,): the focal length along X over that along Y, in pixels; 1 for square pixels.

    Raises
    ------
    InputError
        If shapes do not match, numbers are not finite or out of range, or position and target coincide.
    """

    position: torch.Tensor
    look_at: torch.Tensor
    fov: torch.Tensor
    up: torch.Tensor
    near: float | None
    principal: torch.Tensor
    aspect: torch.Tensor

    @with_torch_defaults
    def __init__(
        self,
        position: Vector = (HEAD_CENTRE[0], HEAD_CENTRE[1], HEAD_CENTRE[2] + PORTRAIT_DISTANCE),
        look_at: Vector = HEAD_CENTRE,
        fov: float | torch.Tensor = PORTRAIT_FOV,
        up: Vector = (0.0, 1.0, 0.0),
        near: float | None = None,
        principal: Vector = (0.5, 0.5),
        aspect: float | torch.Tensor = 1.0,
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
        values = {name: _rows(name, value, width, device) for name, (value, width) in given.items()}
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

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    @with_torch_defaults
    def orbit(
        cls,
        azimuth: float | Sequence[float] | torch.Tensor,
        elevation: float | Sequence[float] | torch.Tensor = 0.0,
        distance: float = PORTRAIT_DISTANCE,
        target: Vector = HEAD_CENTRE,
        fov: float = PORTRAIT_FOV,
    ) -> Camera:
        """Return upright cameras on a sphere around the target.

        Parameters
        ----------
        azimuth:
            Degrees around the vertical axis, one or several: 0 is the front, positive shows the *subject's left* side
            (the camera moves toward +X), 180 the back.
        elevation:
            Degrees above the horizon, -89 to 89.
        distance:
            Distance from the target, mm.
        target:
            (3,), mm.
        """
        around, above = torch.broadcast_tensors(
            torch.as_tensor(azimuth, dtype=torch.float32).reshape(-1),
            torch.as_tensor(elevation, dtype=torch.float32).reshape(-1),
        )
        if bool((above.abs() > 89).any()):
            raise InputError("an elevation of -89 to 89°", f"{above.tolist()}", "or build a Camera with its own up")
        centre = torch.as_tensor(target, dtype=torch.float32).reshape(1, 3)
        far = torch.as_tensor(distance, dtype=torch.float32)
        return cls(centre + far * direction(around, above), centre, fov)

    @classmethod
    def front(cls, **options) -> Camera:
        """Return a camera straight ahead; options as in :meth:`orbit`."""
        return cls.orbit(0.0, **options)

    @classmethod
    def three_quarter(cls, side: str = "left", azimuth: float = 38.0, elevation: float = 4.0, **options) -> Camera:
        """Return a camera from the side and a little above; ``side`` is the visible side of the subject, "left" or
        "right".
        """
        if side not in ("left", "right"):
            raise InputError('the subject\'s side, "left" or "right"', repr(side), "choose one of them")
        return cls.orbit(azimuth if side == "left" else -azimuth, elevation, **options)

    @classmethod
    def turntable(cls, count: int = 24, elevation: float = 4.0, start: float = 0.0, **options) -> Camera:
        """Return ``count`` cameras once around, beginning at the front and turning to the subject's left side."""
        if count < 1:
            raise InputError("at least one camera", f"{count}", "pass for instance count=24")
        return cls.orbit(start + torch.arange(count) * (360.0 / count), elevation, **options)

    @classmethod
    @with_torch_defaults
    def fit(
        cls,
        shape: FaceMesh | torch.Tensor,
        azimuth: float | Sequence[float] = 0.0,
        elevation: float = 0.0,
        fov: float = PORTRAIT_FOV,
        margin: float = 1.08,
    ) -> Camera:
        """Return cameras around any mesh, at a distance at which its bounding sphere fills the picture's height.

        Parameters
        ----------
        shape:
            A mesh (only vertices used by its faces count), or vertices (V, 3) or (B, V, 3) float; the whole batch is
            framed alike.
        """
        verts = shape if isinstance(shape, torch.Tensor) else shape.verts[:, shape.used()]
        points = verts.detach().reshape(-1, 3).to("cpu", torch.float32)
        points = points[points.isfinite().all(1)]
        if not len(points):
            raise InputError("a mesh with vertices", "no finite vertex that faces use", "check where it comes from")
        low, high = points.amin(0), points.amax(0)
        centre = (low + high) / 2
        radius = float((points - centre).norm(dim=1).max()) * margin or 1.0
        return cls.orbit(azimuth, elevation, radius / math.sin(math.radians(fov / 2)), centre, fov)

    @classmethod
    @with_torch_defaults
    def from_opencv(
        cls,
        rotation: torch.Tensor,
        translation: torch.Tensor,
        intrinsics: torch.Tensor,
        image_size: int | tuple[int, int],
        near: float | None = None,
    ) -> Camera:
        """Convert OpenCV's R, t and K: ``x = K (R X + t)``, +X right, +Y down, +Z into the scene.

        ``look_at`` is as far from the camera as the origin. Differentiable.

        Parameters
        ----------
        rotation, translation:
            (3, 3) or (N, 3, 3), (3,) or (N, 3): from mesh space to OpenCV's camera space, in the mesh's unit.
        intrinsics:
            (3, 3) or (N, 3, 3), pixels; the first pixel's centre lies at 0.5.
        image_size:
            Size of the picture that the intrinsics belong to: pixels, or (height, width).

        Raises
        ------
        InputError
            If shapes do not match, a matrix is not a rotation, or the intrinsics have skew.
        """
        from facekit.render.opencv import camera_from

        return cls(**camera_from(rotation, translation, intrinsics, *size_of(image_size)), near=near)

    def to_opencv(self, image_size: int | tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return R (N, 3, 3), t (N, 3) and K (N, 3, 3) of :meth:`from_opencv` for pictures of this size.
        Differentiable.
        """
        from facekit.render.opencv import camera_to

        return camera_to(self, *size_of(image_size))

    @classmethod
    @with_torch_defaults
    def from_pytorch3d(
        cls, cameras: CamerasBase, image_size: int | tuple[int, int], near: float | None = None
    ) -> Camera:
        """Convert PyTorch3D's cameras; see :func:`facekit.render.bridge.camera_from`."""
        from facekit.render.bridge import camera_from

        return cls(**camera_from(cameras, *size_of(image_size)), near=near)

    def to_pytorch3d(self, image_size: int | tuple[int, int]) -> PerspectiveCameras:
        """Convert to PyTorch3D's cameras; see :func:`facekit.render.bridge.camera_to`."""
        from facekit.render.bridge import camera_to

        return camera_to(self, *size_of(image_size))

    # -- changing ---------------------------------------------------------------------------------------------------

    @with_torch_defaults
    def with_head_pose(self, rotation: torch.Tensor, translation: torch.Tensor) -> Camera:
        """Return cameras that see the unposed mesh as these see it after a head pose (rotation, then translation).
        Differentiable.

        For a photograph of a posed head, rendering the unposed mesh with this camera gives the same picture, and lights
        in the camera's frame stay in place.

        Parameters
        ----------
        rotation:
            (3, 3) or (N, 3, 3): rotation of the head.
        translation:
            (3,) or (N, 3), in the mesh's unit.
        """
        turn = rotation_matrices(rotation).to(self.position)
        shift = _rows("translation", translation, 3, self.device)
        back = turn.transpose(1, 2)
        position, look_at = ((back @ (value - shift)[..., None])[..., 0] for value in (self.position, self.look_at))
        return dataclasses.replace(self, position=position, look_at=look_at, up=(back @ self.up[..., None])[..., 0])

    @with_torch_defaults
    def crop(self, top: float, left: float, size: tuple[int, int], image_size: int | tuple[int, int]) -> Camera:
        """Return cameras for a part of the picture.

        Parameters
        ----------
        top, left:
            Upper left corner of the part in pixels; it may lie outside of the picture.
        size:
            (height, width) of the part in pixels.
        image_size:
            Size of the whole picture: pixels, or (height, width).
        """
        height, width = size_of(size)
        fx, fy, cx, cy = self.intrinsics(image_size).unbind(1)
        fov = 2 * torch.rad2deg(torch.atan(0.5 * height / fy))
        principal = torch.stack(((cx - left) / width, (cy - top) / height), dim=1)
        return dataclasses.replace(self, fov=fov, principal=principal)

    def scaled(self, factor: float) -> Camera:
        """Return cameras that see a mesh of ``factor`` times the size as these see the mesh."""
        near = None if self.near is None else self.near * factor
        return dataclasses.replace(self, position=self.position * factor, look_at=self.look_at * factor, near=near)

    # -- using ------------------------------------------------------------------------------------------------------

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
        return tuple(getattr(self, name) for name in _TENSORS)

    @property
    def device(self) -> torch.device:
        return self.position.device

    def to(self, device: str | torch.device) -> Camera:
        """Return a copy on another device."""
        moved = {name: getattr(self, name).to(device) for name in _TENSORS}
        return dataclasses.replace(self, **moved)

    def __len__(self) -> int:
        return self.position.shape[0]

    def __getitem__(self, index: int | slice) -> Camera:
        index = as_slice(index, len(self), "camera")
        picked = {name: getattr(self, name)[index] for name in _TENSORS}
        return dataclasses.replace(self, **picked)


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
