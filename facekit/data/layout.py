"""Helpers shared by all data set loaders: check for required files, and report the expected tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.errors import FileError
from facekit.files.atomic import atomic_write, expanded
from facekit.io.obj import encode_obj
from facekit.io.reading import read_untextured
from facekit.mesh import FaceMesh
from facekit.metrics.scans import Surface

#: Suffixes of pictures and videos, in lower case.
PICTURES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp")
FILMS: tuple[str, ...] = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def read_surface(path: Path) -> Surface:
    """Read a mesh as a surface, vertices of an OBJ in the file's order."""
    mesh = read_untextured(path)
    return Surface(mesh.verts[0].double().numpy(), mesh.faces.numpy())


def write_surface(mesh: FaceMesh, path: Path) -> None:
    """Write one mesh as OBJ without material or colours, vertices in the topology's order."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(encode_obj(mesh, None))


def need(path: Path, tree: str) -> Path:
    """Return ``path`` if it is there.

    Raises
    ------
    FileError
        If it is missing, with the expected tree.
    """
    if not path.exists():
        raise FileError(tree, f"no {path}", "give the data set's own folder, unpacked whole")
    return path


def folders(root: str | Path, tree: str) -> list[Path]:
    """Return all folders in ``root`` by name; raise if there are none."""
    root = expanded(root)
    found = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not found:
        raise FileError(tree, f"no folders in {root}", "give the data set's own folder, unpacked whole")
    return found


def files(root: str | Path, suffixes: Iterable[str], tree: str, deep: bool = False) -> list[Path]:
    """Return all files in ``root`` with one of these suffixes, by name; raise if there are none.

    Parameters
    ----------
    deep:
        Whether to search subfolders.
    """
    root, wanted = expanded(root), {suffix.lower() for suffix in suffixes}
    paths = root.rglob("*") if deep else root.glob("*")
    found = sorted(path for path in paths if path.suffix.lower() in wanted and path.is_file())
    if not found:
        raise FileError(tree, f"none in {root}", "give the data set's own folder, unpacked whole")
    return found


def by_subject(
    root: str | Path, dataset: str, tree: str, suffixes: Iterable[str], fps: float | None = None, level: int = 2
) -> list[Clip]:
    """Return the clips of a tree ``<subject>/<clip>/<frame>``, with pictures or meshes, depending on the suffixes.

    Parameters
    ----------
    level:
        2 for that tree; 1 if frames are directly in the subject's folder.
    """
    wanted = tuple(suffix.lower() for suffix in suffixes)
    clips = []
    for subject in folders(root, tree):
        places = [subject] if level == 1 else sorted(path for path in subject.iterdir() if path.is_dir())
        for place in places:
            found = tuple(sorted(path for path in place.iterdir() if path.suffix.lower() in wanted))
            if found:
                pictures, meshes = (found, ()) if wanted[0] in PICTURES else ((), found)
                name = subject.name if level == 1 else f"{subject.name}/{place.name}"
                clips.append(Clip(dataset, subject.name, name, pictures, meshes=meshes, fps=fps))
    if not clips:
        raise FileError(tree, f"none in {root}", "give the data set's own folder, unpacked whole")
    return clips


def rows_of(path: Path, what: str) -> np.ndarray:
    """Return the numbers (R, C) float64 in a text with cells separated by commas or spaces.

    Raises
    ------
    FileError
        If the text is in another format; ``what`` describes the expected one.
    """
    try:
        lines = [line.replace(",", " ").split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        return np.array([[float(cell) for cell in line] for line in lines if line], np.float64)
    except (OSError, ValueError) as error:
        raise FileError(what, f"{path} ({error})", "take the data set's own file") from error
