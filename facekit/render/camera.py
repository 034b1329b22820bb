"""Cameras: ways to make, convert and change them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import as_slice
from facekit.errors import InputError
from facekit.geometry.angles import direction
from facekit.render.pinhole import TENSORS, PinholeCamera, Vector, rotation_matrices, size_of, to_rows
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


@dataclass(frozen=True, init=False)
class Camera(PinholeCamera):
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
        super().__init__(position, look_at, fov, up, near, principal, aspect)

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
        shift = to_rows("translation", translation, 3, self.device)
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

    # -- a batch ----------------------------------------------------------------------------------------------------

    def to(self, device: str | torch.device) -> Camera:
        """Return a copy on another device."""
        moved = {name: getattr(self, name).to(device) for name in TENSORS}
        return dataclasses.replace(self, **moved)

    def __getitem__(self, index: int | slice) -> Camera:
        index = as_slice(index, len(self), "camera")
        picked = {name: getattr(self, name)[index] for name in TENSORS}
        return dataclasses.replace(self, **picked)
