"""Reading and writing faces: one suffix table, every file written whole or not at all.

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
from facekit.plainly import plainly

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh

__all__ = ["SUFFIXES", "Format", "load", "save"]


@dataclass(frozen=True)
class Format:
    """One row of the suffix table.

    Parameters
    ----------
    summary:
        What such a file holds, for ``--help`` and for error messages.
    module:
        The module with ``write(subject, path, **options) -> Path``; imported when first used: none of them is needed to
        print the table.
    readable:
        Whether :func:`load` takes it.
    """

    summary: str
    module: str
    readable: bool = False


#: Every suffix that :func:`save` takes; the one place that ties suffixes to code.
SUFFIXES: dict[str, Format] = {
    ".obj": Format("mesh with MTL and PNG beside it, millimetres", "facekit.io.obj", readable=True),
    ".ply": Format("mesh with vertex colours, binary, millimetres", "facekit.io.ply", readable=True),
    ".glb": Format("textured mesh with 19 morph targets, metres", "facekit.io.glb", readable=True),
    ".zip": Format("all formats, maps, codes, metadata and a preview", "facekit.io.bundle"),
    ".png": Format("rendered picture", "facekit.io.picture"),
    ".jpg": Format("rendered picture", "facekit.io.picture"),
    ".webp": Format("rendered picture", "facekit.io.picture"),
}

#: Suffixes that :func:`load` takes besides: meshes that only other tools write.
FOREIGN: dict[str, str] = {
    ".gltf": "textured mesh with morph targets, metres",
    ".stl": "triangles alone",
    ".off": "mesh, with colours or without",
    ".3mf": "mesh for printers",
}

#: Other names for a suffix.
_ALIASES = {".jpeg": ".jpg"}


@plainly
def save(face: FaceOutput | FaceMesh, path: str | Path, **options: Any) -> Path:
    """Write one face; the suffix of ``path`` chooses the format.

    Parameters
    ----------
    face:
        A FaceOutput or FaceMesh with B = 1. Only a FaceOutput knows morph targets (.glb) and codes (.zip).
    path:
        Where to; ``~`` is the home folder, and missing folders are made. A file already there is replaced in one step.
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
        For an unknown suffix or option, a batch of several faces, or vertices that are not finite.
    FileError
        When the folder cannot be written or the disk is full; nothing half-written is left.
    """
    path = expanded(path)
    format_ = format_of(path)
    if len(face) != 1:
        raise InputError("one face to save", f"a batch of {len(face)}", "pick one with face[i]")
    if not bool(face.verts.isfinite().all()):
        raise InputError("finite vertices", "NaN or infinity", "check where the face comes from")
    writer = importlib.import_module(format_.module).write
    known = list(inspect.signature(writer).parameters)[2:]
    open_ended = "options" in known  # pictures pass what they do not know on to the renderer
    unknown = [name for name in options if name not in known]
    if unknown and not open_ended:
        allowed = ", ".join(known) or "no options"
        raise InputError(f"options for {path.suffix} out of: {allowed}", ", ".join(unknown), "drop or rename them")
    return writer(face, path, **options)


@plainly
def load(path: str | Path, rest: bool = False) -> FaceMesh:
    """Read one mesh (B = 1) in millimetres and with facekit's UV origin: .obj .ply .glb .gltf .stl .off .3mf.

    What facekit wrote comes back in its own vertex order. Files of other tools are read through trimesh: nodes at their
    places, all meshes as one, several textures in one. A file with morph targets is worn as its weights say, and
    ``mesh.rig`` keeps its base and targets. What could not be taken over is told in one warning.

    Parameters
    ----------
    path:
        The file; ``~`` is the home folder.
    rest:
        Whether to give the base of a file with morph targets, whatever it wears.

    Raises
    ------
    InputError
        For a suffix that cannot be read.
    FileError
        For a file that is missing, cut off or not what its suffix says.
    MissingDependencyError
        For a compressed file without the package that unpacks it.
    """
    path = expanded(path)
    known_suffix(path, reading=True)
    if not path.is_file():
        raise FileError(f"a {path.suffix.lower()} file", f"none at {path}", "check the name and the folder")
    from facekit.io.reading import read_rig

    rig = read_rig(path)
    return rig.rest() if rest else rig.worn()


def format_of(path: str | Path) -> Format:
    """The row of the table for a path to write; raises InputError that lists the suffixes for one it does not have."""
    return SUFFIXES[known_suffix(Path(path))]


def suffixes(reading: bool = False) -> list[str]:
    """Every suffix that :func:`save`, or :func:`load`, takes."""
    return [s for s, row in SUFFIXES.items() if row.readable or not reading] + (list(FOREIGN) if reading else [])


def known_suffix(path: Path, reading: bool = False) -> str:
    suffix = _ALIASES.get(path.suffix.lower(), path.suffix.lower())
    known = suffixes(reading)
    if suffix not in known:
        verb = "load" if reading else "save"
        got = f"{path.name!r}" if not path.suffix else f"{path.suffix!r}"
        raise InputError(f"a file name to {verb} that ends in {' '.join(known)}", got, "choose one of these suffixes")
    return suffix
