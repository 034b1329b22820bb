"""NeRSemble's benchmark of single-view reconstructions: 391 pictures of 20 people, evaluated on its authors' server.

The layout of its pictures, and of a submission::

    <folder>/svfr/<person>/<sequence>_<frame>_<camera>/rgb.png
    <name>.zip: <person>/<sequence>_<frame>_<camera>/{mesh_posed,mesh_neutral}.ply and landmarks_{posed,neutral}.npy

with three digits for the person, and for the frame in a submission. Landmarks are the seven of NoW, (7, 3).

Not tested with the real data, which is available on application.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.checks import one_of
from facekit.data.clip import Clip
from facekit.data.layout import folders, need
from facekit.data.now import LANDMARKS
from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.io.ply import encode_ply
from facekit.mesh import FaceMesh

TASKS: tuple[str, ...] = ("posed", "neutral")
_TREE = "svfr/<person>/<sequence>_<frame>_<camera>/rgb.png"
_NAME = re.compile(r"(.+)_(\d+)_(\d+)")


@dataclass(frozen=True)
class Item:
    """A picture: person, sequence, frame, camera, and file."""

    person: int
    sequence: str
    frame: int
    camera: str
    picture: Path

    @property
    def place(self) -> str:
        """Folder of the picture in a submission."""
        return f"{self.person:03d}/{self.sequence}_{self.frame:03d}_{self.camera}"


def items(folder: str | Path) -> list[Item]:
    """List all pictures.

    Raises
    ------
    FileError
        If there are none, with the expected tree.
    """
    root = expanded(folder)
    root = root / "svfr" if (root / "svfr").is_dir() else root
    found = []
    for person in folders(root, _TREE):
        for path in folders(person, _TREE) if person.name.isdigit() else ():
            name = _NAME.fullmatch(path.name)
            if name is not None:
                picture = need(path / "rgb.png", _TREE)
                found.append(Item(int(person.name), name[1], int(name[2]), name[3], picture))
    if not found:
        raise FileError(_TREE, f"none in {root}", "give the benchmark's own folder")
    return found


def clips(folder: str | Path) -> list[Clip]:
    """Read all people, a clip each; ``numbers["place"]`` are the pictures' folders in a submission."""
    people: dict[int, list[Item]] = {}
    for item in items(folder):
        people.setdefault(item.person, []).append(item)
    return [
        Clip(
            "NeRSemble SVFR",
            f"{person:03d}",
            f"{person:03d}",
            tuple(item.picture for item in found),
            numbers={"place": [item.place for item in found]},
            split="test",
        )
        for person, found in people.items()
    ]


class Submission:
    """A submission being written; see :func:`submission`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive, self.written = archive, set[tuple[str, str]]()

    def add(self, item: Item, mesh: FaceMesh, task: str) -> None:
        """Add a picture's mesh with landmarks, either "posed" or "neutral"."""
        one_of(task, TASKS, "a task")
        if len(mesh) != 1 or not bool(mesh.verts.isfinite().all()):
            raise InputError("one mesh with finite vertices", f"{len(mesh)}", "pick one of a batch")
        marks = mesh.verts[0, mesh.need("landmarks")[list(LANDMARKS)]].double().numpy()
        buffer = io.BytesIO()
        np.save(buffer, marks, allow_pickle=False)
        self._archive.writestr(f"{item.place}/mesh_{task}.ply", encode_ply(mesh))
        self._archive.writestr(f"{item.place}/landmarks_{task}.npy", buffer.getvalue())
        self.written.add((item.place, task))


@contextmanager
def submission(path: str | Path) -> Iterator[Submission]:
    """Open a submission; the zip is created when the block succeeds."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        yield Submission(archive)
