"""What all loaders of data sets share: files that have to be there, told with the tree that was expected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from facekit.errors import FileError
from facekit.files.atomic import expanded
from facekit.io.reading import read_untextured
from facekit.metrics.scans import Surface

#: Of pictures and films, in lower case.
PICTURES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp")
FILMS: tuple[str, ...] = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def read_surface(path: Path) -> Surface:
    """Read a mesh as a surface, vertices in the file's order."""
    mesh = read_untextured(path)
    return Surface(mesh.verts[0].double().numpy(), mesh.faces.numpy())


def need(path: Path, tree: str) -> Path:
    """Return ``path`` if it is there.

    Raises
    ------
    FileError
        With the tree that was expected.
    """
    if not path.exists():
        raise FileError(tree, f"no {path}", "give the data set's own folder, unpacked whole")
    return path


def folders(root: str | Path, tree: str) -> list[Path]:
    """All folders in ``root``, by name; there has to be one."""
    root = expanded(root)
    found = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not found:
        raise FileError(tree, f"no folders in {root}", "give the data set's own folder, unpacked whole")
    return found


def files(root: str | Path, suffixes: Iterable[str], tree: str, deep: bool = False) -> list[Path]:
    """All files of ``root`` with one of these suffixes, by name; there has to be one.

    Parameters
    ----------
    deep:
        Whether to look into folders within.
    """
    root, wanted = expanded(root), {suffix.lower() for suffix in suffixes}
    paths = root.rglob("*") if deep else root.glob("*")
    found = sorted(path for path in paths if path.suffix.lower() in wanted and path.is_file())
    if not found:
        raise FileError(tree, f"none in {root}", "give the data set's own folder, unpacked whole")
    return found
