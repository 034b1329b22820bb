"""Cameras: where the picture is taken from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facekit.checks import as_slice, whole
from facekit.errors import InputError
from facekit.geometry.angles import direction

if TYPE_CHECKING:
    from pytorch3d.renderer import PerspectiveCameras
    from pytorch3d.renderer.cameras import CamerasBase

#: The head template's middle between crown and collar, mm: what the default cameras look at.
HEAD_CENTRE = (0.0, 8.0, 10.0)
#: A portrait lens: about 90 mm on a full-frame camera in portrait orientation.
PORTRAIT_FOV = 22.0
#: From the head's centre, mm: shows some 310 mm there, crown to collar, so that the bust's edge stays out.
PORTRAIT_DISTANCE = 800.0

#: Pixels along a side of a picture, at most.
_LARGEST = 16384

Vector = Sequence[float] | torch.Tensor


@dataclass(frozen=True)
class Camera:
    """N pinhole cameras with square pixels, the principal point in the middle of the picture.

    Camera space is right-handed: +X to the image right, +Y up, +Z toward the viewer; so depth, the distance along the
    view axis, is -z. Arguments may be single values or one a camera; they are stored as tensors.

    Parameters
    ----------
    position, look_at:
        (3,) or (N, 3), mm, in the space of the mesh.
    fov:
        Vertical field of view in degrees, a float or (N,).
    up:
        (3,) or (N, 3): the direction that is up in the picture.
    near:
        Surfaces nearer than this are not seen, mm.
    """

    position: Vector = (HEAD_CENTRE[0], HEAD_CENTRE[1], HEAD_CENTRE[2] + PORTRAIT_DISTANCE)
    look_at: Vector = HEAD_CENTRE
    fov: float | torch.Tensor = PORTRAIT_FOV
    up: Vector = (0.0, 1.0, 0.0)
    near: float = 1.0

    def __post_init__(self) -> None:
        device = next((v.device for v in (self.position, self.look_at) if isinstance(v, torch.Tensor)), None)
        vectors = {}
        for name in ("position", "look_at", "up"):
            value = torch.as_tensor(getattr(self, name), dtype=torch.float32, device=device)
            if value.ndim not in (1, 2) or value.shape[-1] != 3 or not bool(torch.isfinite(value).all()):
                raise InputError(f"a camera's {name} as 3 finite numbers, mm", f"{getattr(self, name)}", "see Camera")
            vectors[name] = value.reshape(-1, 3)
        fov = torch.as_tensor(self.fov, dtype=torch.float32, device=device).reshape(-1)
        if not bool(((fov > 0) & (fov < 180)).all()):
            raise InputError("a vertical field of view between 0 and 180°", f"{self.fov}", "a portrait has about 22")
        if not (math.isfinite(self.near) and self.near > 0):
            raise InputError("a near plane in front of the camera, mm", f"{self.near}", "pass for instance near=1.0")
        count = max(len(fov), *(len(v) for v in vectors.values()))
        for name, value in (*vectors.items(), ("fov", fov)):
            if len(value) not in (1, count):
                raise InputError(f"{count} values of {name}, or one", f"{len(value)}", "give one a camera")
            object.__setattr__(self, name, value.expand(count, *value.shape[1:]))
        if bool(((self.position - self.look_at).norm(dim=1) < 1e-6).any()):
            raise InputError("a camera that looks somewhere", "position equal to look_at", "move one of them")

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    def orbit(
        cls,
        azimuth: float | Sequence[float] | torch.Tensor,
        elevation: float | Sequence[float] | torch.Tensor = 0.0,
        distance: float = PORTRAIT_DISTANCE,
        target: Vector = HEAD_CENTRE,
        fov: float = PORTRAIT_FOV,
    ) -> Camera:
        """Cameras on a sphere around the target, upright.

        Parameters
        ----------
        azimuth:
            Degrees around the vertical axis, one or several: 0 is the front, positive shows the *subject's left* side
            (the camera moves toward +X), 180 the back.
        elevation:
            Degrees above the horizon, -89 to 89.
        distance:
            From the target, mm.
        target:
            (3,), mm.
        """
        azimuth, elevation = torch.broadcast_tensors(
            torch.as_tensor(azimuth, dtype=torch.float32).reshape(-1),
            torch.as_tensor(elevation, dtype=torch.float32).reshape(-1),
        )
        if bool((elevation.abs() > 89).any()):
            raise InputError("an elevation of -89 to 89°", f"{elevation.tolist()}", "or build a Camera with its own up")
        centre = torch.as_tensor(target, dtype=torch.float32).reshape(1, 3)
        return cls(centre + distance * direction(azimuth, elevation), centre, fov)

    @classmethod
    def front(cls, **options) -> Camera:
        """From straight ahead; options as of :meth:`orbit`."""
        return cls.orbit(0.0, **options)

    @classmethod
    def three_quarter(cls, side: str = "left", azimuth: float = 38.0, elevation: float = 4.0, **options) -> Camera:
        """From the side and a little above; ``side`` is the subject's side that is seen, "left" or "right"."""
        if side not in ("left", "right"):
            raise InputError('the subject\'s side, "left" or "right"', repr(side), "choose one of them")
        return cls.orbit(azimuth if side == "left" else -azimuth, elevation, **options)

    @classmethod
    def turntable(cls, count: int = 24, elevation: float = 4.0, start: float = 0.0, **options) -> Camera:
        """``count`` cameras once around, first the front, then the subject's left side."""
        if count < 1:
            raise InputError("at least one camera", f"{count}", "pass for instance count=24")
        return cls.orbit(start + torch.arange(count) * (360.0 / count), elevation, **options)

    @classmethod
    def fit(
        cls,
        verts: torch.Tensor,
        azimuth: float | Sequence[float] = 0.0,
        elevation: float = 0.0,
        fov: float = PORTRAIT_FOV,
        margin: float = 1.08,
    ) -> Camera:
        """Cameras around any mesh, far enough that its bounding sphere fills the picture's height.

        Parameters
        ----------
        verts:
            (V, 3) or (B, V, 3) float, mm; one framing for the whole batch.
        """
        points = verts.detach().reshape(-1, 3).to("cpu", torch.float32)
        low, high = points.amin(0), points.amax(0)
        centre = (low + high) / 2
        radius = float((points - centre).norm(dim=1).max().clamp_min(1e-3)) * margin
        return cls.orbit(azimuth, elevation, radius / math.sin(math.radians(fov / 2)), centre, fov)

    @classmethod
    def from_pytorch3d(cls, cameras: CamerasBase, image_size: int | tuple[int, int], near: float = 1.0) -> Camera:
        """The cameras that see the same as PyTorch3D's; see :func:`facekit.render.bridge.camera_from`."""
        from facekit.render.bridge import camera_from

        return cls(**camera_from(cameras, *size_of(image_size)), near=near)

    def to_pytorch3d(self, image_size: int | tuple[int, int]) -> PerspectiveCameras:
        """PyTorch3D's cameras that see the same; see :func:`facekit.render.bridge.camera_to`."""
        from facekit.render.bridge import camera_to

        return camera_to(self, *size_of(image_size))

    # -- using ------------------------------------------------------------------------------------------------------

    def rotation(self) -> torch.Tensor:
        """(N, 3, 3) float32: rows are the camera's right, up and backward axes in mesh space."""
        back = torch.nn.functional.normalize(self.position - self.look_at, dim=1)
        right = torch.linalg.cross(self.up, back)
        # Looking along the up vector: any other will do.
        spare = torch.linalg.cross(back.new_tensor([[0.0, 0.0, -1.0]]).expand_as(back), back)
        right = torch.where(right.norm(dim=1, keepdim=True) < 1e-6, spare, right)
        right = torch.nn.functional.normalize(right, dim=1)
        return torch.stack((right, torch.linalg.cross(back, right), back), dim=1)

    def view(self, verts: torch.Tensor) -> torch.Tensor:
        """Mesh space to camera space: (B, V, 3) mm to (max(B, N), V, 3) mm, where one of B and N may be 1."""
        rotation = self.rotation().to(verts)
        return (verts - self.position.to(verts)[:, None]) @ rotation.transpose(1, 2)

    def focal(self, height: int) -> torch.Tensor:
        """(N,) float32: focal length in pixels for a picture of this height."""
        return 0.5 * height / torch.tan(torch.deg2rad(self.fov) / 2)

    def project(self, verts: torch.Tensor, image_size: int | tuple[int, int]) -> torch.Tensor:
        """Places in the picture: (B, V, 3) mm to (max(B, N), V, 3), columns X and Y in pixels, depth in mm.

        The origin is the picture's upper left corner, pixel centres lie at +0.5. Behind the camera X and Y are
        mirrored, as the formula has it: look at the depth.
        """
        height, width = size_of(image_size)
        view = self.view(verts)
        depth = -view[..., 2]
        safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
        scale = self.focal(height).to(verts)[:, None] / safe
        return torch.stack((width / 2 + view[..., 0] * scale, height / 2 - view[..., 1] * scale, depth), dim=-1)

    @property
    def device(self) -> torch.device:
        return self.position.device

    def to(self, device: str | torch.device) -> Camera:
        """A copy on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("position", "look_at", "fov", "up")}
        return dataclasses.replace(self, **moved)

    def __len__(self) -> int:
        return self.position.shape[0]

    def __getitem__(self, index: int | slice) -> Camera:
        index = as_slice(index, len(self), "camera")
        picked = {name: getattr(self, name)[index] for name in ("position", "look_at", "fov", "up")}
        return dataclasses.replace(self, **picked)


def size_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of ``512`` or ``(height, width)``."""
    size = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    remedy = "pass for instance 512, or (height, width)"
    if len(size) != 2:
        raise InputError("an image size, or (height, width)", f"{image_size}", remedy)
    height, width = (whole(side, "image_size", 1, _LARGEST, remedy) for side in size)
    return height, width
