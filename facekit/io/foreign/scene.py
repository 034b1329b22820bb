"""Read a repaired input with trimesh, and return its scene as transformed parts."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import FileError
from facekit.io.foreign.parts import PLAIN, Mended, Part

if TYPE_CHECKING:
    import trimesh

#: Units of 3MF in mm, as reported by trimesh.
_UNITS = {
    "micron": 1e-3,
    "millimeter": 1.0,
    "millimeters": 1.0,
    "centimeter": 10.0,
    "inch": 25.4,
    "foot": 304.8,
    "meter": 1000.0,
}


def _resolver(files: Mapping[str, bytes]) -> Any:
    """Return a resolver that gives trimesh access to the repaired files and no others."""
    from trimesh.resolvers import Resolver

    class Files(Resolver):
        def __init__(self) -> None:
            pass

        def get(self, key: str) -> bytes:
            return files[key.strip()]

        def keys(self) -> list[str]:
            return list(files)

        def namespaced(self, namespace: str) -> Files:
            return self

        def write(self, name: str, data: Any) -> None:
            raise FileError("to read", f"an attempt to write {name}", "report this")

    return Files()


def open_scene(data: bytes, kind: str, files: Mapping[str, bytes] | None = None) -> trimesh.Scene:
    """Read a file in one of trimesh's formats.

    Raises
    ------
    FileError
        If trimesh cannot read it: for damaged files it raises arbitrary exceptions.
    """
    import trimesh  # here, since it takes a second and facekit's own files do without

    try:
        source = io.BytesIO(data)
        with _quiet():
            found = trimesh.load(source, file_type=kind, process=False, force="scene", resolver=_resolver(files or {}))
        if not isinstance(found, trimesh.Scene):
            raise TypeError(f"{type(found).__name__} where a scene is wanted")
        return found
    except MemoryError as error:
        raise FileError(
            f"a whole {kind.upper()} file", "sizes beyond the available memory", "export it again"
        ) from error
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise FileError(f"a whole {kind.upper()} file", got, "check the file, or export it again") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress trimesh's log, including tracebacks: facekit reports errors itself."""
    logger = logging.getLogger("trimesh")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def read_parts(mended: Mended) -> list[Part]:
    """Return every geometry of the scene, once for each node that shows it."""
    scene = open_scene(mended.data, mended.kind, mended.files)
    parts = []
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        shape = scene.geometry[name]
        if hasattr(shape, "faces") and len(shape.faces):  # points and lines have none
            parts.append(_part(shape, np.asarray(transform, dtype=np.float64), mended))
    return parts


def _part(shape: trimesh.Trimesh, transform: np.ndarray, mended: Mended) -> Part:
    verts, faces = np.array(shape.vertices, dtype=np.float64), np.array(shape.faces, dtype=np.int64)
    scale = mended.scale * _UNITS.get(str(shape.metadata.get("units", "")).lower(), 1.0)
    verts, faces = placed(verts, transform) * scale, turned(faces, transform)
    uvs = colours = None
    material = PLAIN
    visual: Any = shape.visual  # one of two classes, depending on its kind
    if visual.kind == "texture":
        uv, own = getattr(visual, "uv", None), getattr(visual, "material", None)
        uvs = None if uv is None or len(uv) != len(verts) else np.array(uv, dtype=np.float64)
        material = mended.materials.get(str(getattr(own, "name", "")), mended.materials.get("", PLAIN))
    elif visual.kind in ("vertex", "face"):
        colours = np.asarray(visual.vertex_colors)[:, :3] / 255.0
    numbers = None
    if mended.verts is not None:  # see facekit.io.foreign.obj: the normals hold the indices
        numbers = np.rint(np.asarray(shape.vertex_normals)[:, :2]).astype(np.int64) - 1
    return Part(verts, faces, uvs, colours, material=material, numbers=numbers)


def placed(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Apply a transform (4, 4) to points (N, 3)."""
    return points @ transform[:3, :3].T + transform[:3, 3]


def turned(faces: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Flip faces (F, 3) if a transform mirrors them."""
    return faces[:, ::-1].copy() if np.linalg.det(transform[:3, :3]) < 0 else faces
