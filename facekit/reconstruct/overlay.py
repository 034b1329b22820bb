"""Visualise a fit: the photograph, the mesh on it, the face rendered into it, and the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.mesh import FaceMesh
from facekit.render import Camera, Lights, render

if TYPE_CHECKING:
    from PIL import Image

#: Margin around the head's box, as a fraction of it; opacity of the mesh on the photograph; gain on differences.
_MARGIN, _CLAY, _RAISED = 0.25, 0.75, 1.6
_CLAY_TONE = (0.72, 0.74, 0.78)


def overlay(
    pixels: np.ndarray, mesh: FaceMesh, camera: Camera, lights: Lights | None = None, height: int = 512
) -> Image.Image:
    """Return four pictures side by side.

    Parameters
    ----------
    pixels:
        (H, W, 3) uint8, the photograph.
    mesh, camera:
        One face and the camera that took it.
    lights:
        Lights of the photograph; None for studio light.
    height:
        Height of each picture in pixels.
    """
    from PIL import Image

    size = pixels.shape[:2]
    top, left, side = _square(mesh, camera, size)
    view = camera.crop(top, left, (side, side), size)
    photo = cropped(pixels, top, left, side, height)
    made = [
        render(one, view, height, lights=light, background="transparent")
        for one, light in (
            (FaceMesh(mesh.verts, mesh.faces, mesh.uvs, mesh.faces_uvs, ao=mesh.ao), "studio"),
            (mesh, "studio" if lights is None else lights),
        )
    ]
    clay, face = (
        torch.lerp(photo, m.rgb[0].cpu(), m.alpha[0].cpu() * share) for m, share in zip(made, (_CLAY, 1.0), strict=True)
    )
    difference = ((face - photo).abs() * made[1].alpha[0].cpu() * _RAISED).clamp(0, 1)
    row = torch.cat((photo, clay, face, difference), dim=2).clamp(0, 1)
    return Image.fromarray((row.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8))


def _square(mesh: FaceMesh, camera: Camera, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return top, left and side, in pixels, of a square around the head."""
    places = camera.project(mesh.verts, size)[0, :, :2]
    neck = mesh.verts[0, :, 1] > mesh.verts[0, mesh.landmarks[8], 1] - 15 if mesh.landmarks is not None else slice(None)
    low, high = places[neck].amin(dim=0), places[neck].amax(dim=0)
    side = int(float((high - low).max()) * (1 + _MARGIN))
    middle = (low + high) / 2
    return int(middle[1] - side / 2), int(middle[0] - side / 2), max(side, 8)


def cropped(pixels: np.ndarray, top: int, left: int, side: int, height: int) -> torch.Tensor:
    """Return a square crop (3, height, height) float32; the square may extend beyond the picture."""
    from PIL import Image

    part = Image.fromarray(pixels).crop((left, top, left + side, top + side))
    part = part.resize((height, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(part)).permute(2, 0, 1).float() / 255
