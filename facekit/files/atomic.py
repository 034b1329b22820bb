"""Atomic writing of files: no partial file is ever visible."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from facekit.errors import FileError

#: Collects the names of written files; see :func:`recorded`.
_RECORD: ContextVar[list[Path] | None] = ContextVar("record", default=None)
#: Number of characters of a name that its temporary file repeats, as names have a maximal length.
_STEM = 80


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` as the home folder, also where the shell left it (``--out=~/face.glb``).

    Raises
    ------
    FileError
        If the user of the home folder is unknown.
    """
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise FileError("a folder", f"{path}, a home that is not known", "write the folder out") from error


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` if the block succeeds, else delete it.

    The temporary name keeps the suffix, since many writers choose the format by it. For a symbolic link, its target is
    replaced.

    Raises
    ------
    FileError
        If the folder cannot be created or written, or the disk is full.
    """
    path = expanded(path)
    temporary = None
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        temporary = target.with_name(f".{target.stem[:_STEM]}.{os.getpid()}.part{target.suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"to write {path}", error.strerror or str(error), "choose a writable folder with enough disk space"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # for instance if the folder could not be created
                temporary.unlink(missing_ok=True)
    record = _RECORD.get()
    if record is not None:
        record.append(path)


def write_files(files: Mapping[Path, bytes], stale: Sequence[Path] = ()) -> list[Path]:
    """Write files that belong together: none appears before all of them are written.

    Parameters
    ----------
    files:
        In the order in which they appear.
    stale:
        Files of an older set, deleted right before, that must not be mistaken for parts of this one.

    Returns
    -------
    list
        The files written.

    Raises
    ------
    FileError
        If one cannot be written; then none is, and existing files stay.
    """
    with contextlib.ExitStack() as stack:
        for path, data in reversed(list(files.items())):  # a stack unwinds in reverse
            stack.enter_context(atomic_write(path)).write_bytes(data)
        for path in stale:
            path.unlink(missing_ok=True)
    return list(files)


@contextlib.contextmanager
def recorded() -> Iterator[list[Path]]:
    """Collect the names of all files written in the block."""
    written: list[Path] = []
    token = _RECORD.set(written)
    try:
        yield written
    finally:
        _RECORD.reset(token)
