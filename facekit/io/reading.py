"""Read meshes: facekit's own files by a fast path, all others through trimesh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from facekit.errors import FacekitError, FileError, InputError
from facekit.io import glb_read, obj
from facekit.io.foreign import gltf, plain, ply
from facekit.io.foreign import obj as foreign_obj
from facekit.io.foreign.join import join
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import Mended
from facekit.io.foreign.scene import read_parts
from facekit.mesh import FaceMesh
from facekit.source import FaceRig

_MENDERS: dict[str, Callable[[Path, bytes, ImportNotes], Mended]] = {
    ".obj": foreign_obj.mend,
    ".ply": ply.mend,
    ".stl": plain.mend_stl,
    ".off": plain.mend_off,
    ".3mf": plain.mend_3mf,
}


def read_rig(path: Path) -> FaceRig:
    """Read a mesh in millimetres with its morph targets; one warning lists all that could not be imported.

    Raises
    ------
    FileError
        If the file is not what its suffix says, is truncated, or contains no faces.
    MissingDependencyError
        If the package to decompress the file is not installed.
    """
    notes = ImportNotes(path)
    rig = _guarded(path, lambda data: _rig(path, data, notes))
    notes.warn()
    return rig


def read_untextured(path: Path) -> FaceMesh:
    """Read an OBJ without its materials, which may be missing, or a PLY."""
    notes = ImportNotes(path)

    def read(data: bytes) -> FaceRig:
        if path.suffix.lower() == ".ply":
            return _foreign(ply.mend(path, data, notes), notes)
        mesh = obj.read_own(path, data, notes, textured=False)
        return (
            _still(mesh) if mesh is not None else _foreign(foreign_obj.mend(path, data, notes, textured=False), notes)
        )

    return _guarded(path, read).neutral


def _rig(path: Path, data: bytes, notes: ImportNotes) -> FaceRig:
    suffix = path.suffix.lower()
    if suffix in (".glb", ".gltf"):
        return glb_read.read_own(data) or join(gltf.read_parts(path, data, notes), notes, weld=True)
    if suffix == ".obj":
        mesh = obj.read_own(path, data, notes)
        if mesh is not None:
            return _still(mesh)
    return _foreign(_MENDERS[suffix](path, data, notes), notes)


def _foreign(mended: Mended, notes: ImportNotes) -> FaceRig:
    parts = read_parts(mended)
    if mended.verts is None and mended.colours is not None:
        parts[0].colours = mended.colours
    return join(parts, notes, mended, mended.weld)


def _still(mesh: FaceMesh) -> FaceRig:
    """Return a rig without morph targets."""
    return FaceRig(mesh, (), mesh.verts.new_zeros(0, mesh.verts.shape[1], 3), mesh.verts.new_zeros(0))


def _guarded(path: Path, read: Callable[[bytes], FaceRig]) -> FaceRig:
    """Read the file, and add its path to every error."""
    try:
        with np.errstate(all="ignore"):  # damaged numbers are checked for explicitly
            return read(path.read_bytes())
    except FileError as error:
        got = error.got if str(path) in error.got else f"{path} ({error.got})"
        raise FileError(error.expected, got, error.remedy) from error
    except InputError as error:  # from FaceMesh, which checks its arrays
        raise FileError(error.expected, f"{path} ({error.got})", "check the file, or export it again") from error
    except FacekitError:
        raise
    except MemoryError as error:
        raise FileError("a file that fits in memory", f"{path}", "make it smaller") from error
    except OSError as error:
        raise FileError(
            f"to read {path}", error.strerror or str(error), "check the file and its permissions"
        ) from error
