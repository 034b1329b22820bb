"""Reading and writing faces: one table of suffixes, atomic writes.

>>> import facekit
>>> facekit.save(face, "smile.glb")            # doctest: +SKIP
>>> mesh = facekit.load("smile.glb")           # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.errors import FileError, InputError
from facekit.files.atomic import expanded
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh

__all__ = ["SUFFIXES", "Format", "load", "save"]


@dataclass(frozen=True)
class Format:
    """Entry of the suffix table.

    Parameters
    ----------
    summary:
        Content of such files, for ``--help`` and error messages.
    module:
        The module with ``write(subject, path, **options) -> Path``; imported on first use, as printing the table needs
        none of them.
    readable:
        Whether :func:`load` reads it.
    """

    summary: str
    module: str
    readable: bool = False


#: Suffixes that :func:`save` writes; the only place that maps suffixes to code.
SUFFIXES: dict[str, Format] = {
    ".obj": Format("mesh with MTL and PNG beside it, millimetres", "facekit.io.obj", readable=True),
    ".ply": Format("mesh with vertex colours, binary, millimetres", "facekit.io.ply", readable=True),
    ".glb": Format("textured mesh with 19 morph targets, metres", "facekit.io.glb", readable=True),
    ".zip": Format("all formats, maps, codes, metadata and a preview", "facekit.io.bundle"),
    ".png": Format("rendered picture", "facekit.io.picture"),
    ".jpg": Format("rendered picture", "facekit.io.picture"),
    ".webp": Format("rendered picture", "facekit.io.picture"),
}

#: Additional suffixes that :func:`load` reads: meshes that only other tools write.
FOREIGN: dict[str, str] = {
    ".gltf": "textured mesh with morph targets, metres",
    ".stl": "triangles alone",
    ".off": "mesh, with colours or without",
    ".3mf": "mesh for printers",
}

#: Other names for a suffix.
_ALIASES = {".jpeg": ".jpg"}


@with_torch_defaults
def save(face: FaceOutput | FaceMesh, path: str | Path, **options: Any) -> Path:
    """Write one face; the suffix of ``path`` chooses the format.

    Parameters
    ----------
    face:
        A FaceOutput or FaceMesh with B = 1. Only a FaceOutput has morph targets (.glb) and latents (.zip).
    path:
        Destination; ``~`` is the home folder, and missing folders are created. An existing file is replaced atomically.
    options:
        Passed to the format's writer: :func:`facekit.io.obj.write`, :func:`facekit.io.ply.write`,
        :func:`facekit.io.glb.write`, :func:`facekit.io.bundle.write`, :func:`facekit.io.picture.write`.

    Returns
    -------
    Path
        The file written (for OBJ the .obj; its MTL and PNG lie beside it).

    Raises
    ------
    InputError
        If the suffix or an option is unknown, the batch has several faces, or vertices are not finite.
    FileError
        If the folder cannot be written or the disk is full; no partial file is left.
    """
    path = expanded(path)
    format_ = format_of(path)
    if len(face) != 1:
        raise InputError("one face to save", f"a batch of {len(face)}", "pick one with face[i]")
    if not bool(face.verts.isfinite().all()):
        raise InputError("finite vertices", "NaN or infinity", "check where the face comes from")
    writer = importlib.import_module(format_.module).write
    known = list(inspect.signature(writer).parameters)[2:]
    open_ended = "options" in known  # pictures pass unknown options on to the renderer
    unknown = [name for name in options if name not in known]
    if unknown and not open_ended:
        allowed = ", ".join(known) or "no options"
        raise InputError(f"options for {path.suffix} out of: {allowed}", ", ".join(unknown), "drop or rename them")
    return writer(face, path, **options)


@with_torch_defaults
def load(path: str | Path, rest: bool = False) -> FaceMesh:
    """Read one mesh (B = 1) in millimetres with facekit's UV origin: .obj .ply .glb .gltf .stl .off .3mf.

    Files written by facekit keep their vertex order. Files of other tools are read through trimesh: node transforms are
    applied, all meshes are joined, several textures are packed into one. Morph targets are applied with the file's
    weights, and ``mesh.rig`` keeps base and targets. One warning lists all that could not be imported.

    Parameters
    ----------
    path:
        Path of the file; ``~`` is the home folder.
    rest:
        Whether to return the base of a file with morph targets, ignoring its weights.

    Raises
    ------
    InputError
        If the suffix cannot be read.
    FileError
        If the file is missing, truncated or not what its suffix says.
    MissingDependencyError
        If the file is compressed and the package to decompress it is not installed.
    """
    path = expanded(path)
    known_suffix(path, reading=True)
    if not path.is_file():
        raise FileError(f"a {path.suffix.lower()} file", f"none at {path}", "check the name and the folder")
    from facekit.io.reading import read_rig

    rig = read_rig(path)
    return rig.rest() if rest else rig.worn()


def format_of(path: str | Path) -> Format:
    """Return the table's entry for a path to write; raise InputError with a list of the suffixes if there is none."""
    return SUFFIXES[known_suffix(Path(path))]


def suffixes(reading: bool = False) -> list[str]:
    """Return every suffix that :func:`save`, or :func:`load`, supports."""
    return [s for s, row in SUFFIXES.items() if row.readable or not reading] + (list(FOREIGN) if reading else [])


def known_suffix(path: Path, reading: bool = False) -> str:
    suffix = _ALIASES.get(path.suffix.lower(), path.suffix.lower())
    known = suffixes(reading)
    if suffix not in known:
        verb = "load" if reading else "save"
        got = f"{path.name!r}" if not path.suffix else f"{path.suffix!r}"
        raise InputError(f"a file name to {verb} that ends in {' '.join(known)}", got, "choose one of these suffixes")
    return suffix
