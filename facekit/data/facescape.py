"""FaceScape (Yang et al., CVPR 2020; non-commercial research only): people in 20 expressions on one topology.

The layout of its "TU models"::

    <folder>/<person>/models_reg/<k>_<expression>.obj        k: 1 to 20
    <folder>/<person>/dpmap/<k>_<expression>.png             16 bits, 32768 is 0, 32768 more is the scale
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from facekit.conventions import EXPRESSIONS
from facekit.data.clip import Clip
from facekit.data.faceset import FaceSet
from facekit.errors import FileError
from facekit.files.atomic import expanded
from facekit.files.images import load_image
from facekit.io.reading import read_untextured
from facekit.progress import progress

#: Millimetres of a map's full range, as in the authors' own tools.
SCALE_MM = 0.914
_MIDDLE = 32768


@dataclass(frozen=True)
class Person:
    """A FaceScape person: number from 1, and per expression the mesh file, and the map file or None."""

    number: int
    files: dict[str, tuple[Path, Path | None]]


def find_people(folder: str | Path, maps: bool = True) -> list[Person]:
    """Find the people under ``folder`` with a neutral scan and at least one other, by number.

    Parameters
    ----------
    maps:
        Whether to require a displacement map for each expression.

    Raises
    ------
    FileError
        If there is nobody, with the expected tree.
    """
    folder = expanded(folder)
    people = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.isdigit():
            continue
        files = {}
        for mesh in sorted((path / "models_reg").glob("*.obj")):
            name = re.sub(r"^\d+_", "", mesh.stem)
            picture = path / "dpmap" / f"{mesh.stem}.png"
            if name in EXPRESSIONS and (picture.is_file() or not maps):
                files[name] = (mesh, picture if picture.is_file() else None)
        if EXPRESSIONS[0] in files and len(files) > 1:
            people.append(Person(int(path.name), files))
    if not people:
        second = " and <person>/dpmap/<k>_<expression>.png" if maps else ""
        raise FileError(
            f"folders <person>/models_reg/<k>_<expression>.obj{second}",
            f"none in {folder}",
            "give the folder that holds FaceScape's people 1, 2, …",
        )
    return sorted(people, key=lambda person: person.number)


def clips(folder: str | Path) -> list[Clip]:
    """Read all people, one clip each, with a mesh per expression; ``numbers["expression"]`` are the names."""
    found = []
    for person in find_people(folder, maps=False):
        names = [name for name in EXPRESSIONS if name in person.files]
        meshes = tuple(person.files[name][0] for name in names)
        found.append(
            Clip("FaceScape", str(person.number), str(person.number), meshes=meshes, numbers={"expression": names})
        )
    return found


def load(folder: str | Path, expressions: Sequence[str] = EXPRESSIONS) -> FaceSet:
    """Read the registered meshes of all people who have all ``expressions``.

    Raises
    ------
    FileError
        If nobody has, or meshes differ in topology.
    """
    people = [person for person in find_people(folder, maps=False) if set(expressions) <= set(person.files)]
    if not people:
        raise FileError(
            f"people with all of {', '.join(expressions)}",
            f"none in {folder}",
            "name fewer expressions, or get the rest",
        )
    verts, faces = [], None
    for person in progress(people, desc="scans"):
        for name in expressions:
            mesh = read_untextured(person.files[name][0])
            faces = mesh.faces if faces is None else faces
            if not torch.equal(mesh.faces, faces):
                raise FileError("meshes of one topology", f"{person.files[name][0]} differs", "take the TU models")
            verts.append(mesh.verts[0])
    assert faces is not None
    stacked = torch.stack(verts).unflatten(0, (len(people), len(expressions)))
    return FaceSet("FaceScape", tuple(str(p.number) for p in people), tuple(expressions), stacked, faces)


def read_displacement(path: Path, size: int, scale: float = SCALE_MM) -> torch.Tensor:
    """Read a 16-bit map as (size, size) float32 mm: ``(value - 32768) / 32768 * scale``, box filtered."""
    picture = load_image(path)
    if picture.ndim != 2 or picture.dtype.name != "uint16" or picture.shape[0] != picture.shape[1]:
        raise FileError(
            "a square 16-bit grey map", f"{path}: {picture.shape} {picture.dtype}", "take the original file"
        )
    values = (torch.from_numpy(picture.astype("float32")) - _MIDDLE) / _MIDDLE * scale
    return F.interpolate(values[None, None], size=(size, size), mode="area")[0, 0]
