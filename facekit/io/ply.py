"""Binary PLY with vertex colours, through trimesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.files.atomic import atomic_write
from facekit.io.arrays import mesh_of, vertex_colours
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput

_FORMAT_LINE = b"format binary_little_endian 1.0\n"
_COMMENT = b"comment facekit; units: millimetres; axes: +X subject's left, +Y up, +Z out of the face\n"


def write(subject: FaceOutput | FaceMesh, path: Path, level: int = 0) -> Path:
    """Write positions (mm), triangles and, if there is a texture, sRGB vertex colours.

    Parameters
    ----------
    level:
        0 for the mesh as it is; above, the number of subdivisions before displacement, see
        :func:`facekit.geometry.displace.detailed_mesh`.
    """
    mesh = mesh_of(subject)
    data = encode_ply(mesh.detailed(level) if level else mesh)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def encode_ply(mesh: FaceMesh) -> bytes:
    """Return the bytes of the .ply file; vertices are in the order of ``verts``."""
    import trimesh

    shape = trimesh.Trimesh(
        vertices=mesh.verts[0].numpy(), faces=mesh.faces.numpy(), vertex_colors=vertex_colours(mesh), process=False
    )
    data: Any = shape.export(file_type="ply", encoding="binary", vertex_normal=False)  # binary PLY gives bytes
    return data.replace(_FORMAT_LINE, _FORMAT_LINE + _COMMENT, 1)
