"""Rendered pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.files.atomic import atomic_write
from facekit.files.images import encode

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh
    from facekit.render import Camera


def write(
    subject: FaceOutput | FaceMesh,
    path: Path,
    camera: Camera | None = None,
    image_size: int = 1024,
    quality: str = "high",
    **options: Any,
) -> Path:
    """Render the face ``subject`` and write the picture.

    Parameters
    ----------
    camera:
        Camera; None for the front view.
    image_size:
        Side length in pixels.
    quality:
        ``"high"`` or ``"standard"``.
    options:
        Further options of :func:`facekit.render.render`, for instance ``lights`` and ``background``.
    """
    from facekit.mesh import FaceMesh
    from facekit.render import render

    if isinstance(subject, FaceMesh):
        mesh = subject
    else:
        mesh, options = subject.mesh, {"hair": subject.hair or None, **options}
    picture = render(mesh, camera=camera, image_size=image_size, quality=quality, **options)
    data = encode(picture.to_uint8()[0].numpy(), path.suffix)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path
