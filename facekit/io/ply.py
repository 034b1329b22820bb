"""Binary PLY with vertex colours, through trimesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.errors import FileError
from facekit.files.atomic import atomic_write
from facekit.io.arrays import mesh_of, vertex_colours
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput

_FORMAT_LINE = b"format binary_little_endian 1.0\n"
_COMMENT = b"comment facekit; units: millimetres; axes: +X subject's left, +Y up, +Z out of the face\n"


def write(subject: FaceOutput | FaceMesh, path: Path, level: int = 0) -> Path:
    """Write positions (mm), triangles and, if there is a texture, its sRGB colour at each vertex.

    Parameters
    ----------
    level:
        0 for the mesh as it is; above, it is subdivided so many times and displaced, see
        :func:`facekit.geometry.displace.detailed_mesh`.
    """
    mesh = mesh_of(subject)
    data = encode_ply(mesh.detailed(level) if level else mesh)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def encode_ply(mesh: FaceMesh) -> bytes:
    """The bytes of the .ply file; vertices stand in the order of ``verts``."""
    import trimesh

    shape = trimesh.Trimesh(
        vertices=mesh.verts[0].numpy(), faces=mesh.faces.numpy(), vertex_colors=vertex_colours(mesh), process=False
    )
    data = shape.export(file_type="ply", encoding="binary", vertex_normal=False)
    return data.replace(_FORMAT_LINE, _FORMAT_LINE + _COMMENT, 1)


def read(path: Path) -> FaceMesh:
    """Read positions and triangles.

    A PLY has no UVs: ``uvs`` is a single zero and ``texture`` None. Its vertex colours are left out, since FaceMesh
    carries colour as a texture; use OBJ or GLB where it matters.

    Raises
    ------
    FileError
        For a file that is no PLY or is cut off.
    """
    import trimesh

    if path.read_bytes()[:3] != b"ply":
        raise FileError("a PLY file", f"{path}, which does not begin like one", "check the file's format")
    try:
        shape = trimesh.load(path, file_type="ply", process=False, force="mesh")
        verts = np.array(shape.vertices, dtype=np.float32)
        faces = np.array(shape.faces, dtype=np.int64)
        if not len(verts) or not len(faces) or not np.isfinite(verts).all() or faces.max() >= len(verts):
            raise ValueError("no whole mesh inside")
    except Exception as error:  # trimesh raises all kinds of errors for damaged files
        raise FileError("a whole PLY mesh", f"{path} ({error})", "check the file, or export it again") from error
    return FaceMesh(
        verts=torch.from_numpy(verts)[None],
        faces=torch.from_numpy(faces),
        uvs=torch.zeros(1, 2),
        faces_uvs=torch.zeros(faces.shape, dtype=torch.int64),
    )
