"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from facekit.errors import FileError

#: Where a file's name is noted once it is written; see :func:`recorded`.
_RECORD: ContextVar[list[Path] | None] = ContextVar("record", default=None)
#: Characters of a name that its temporary file repeats: the longest names have no room for more.
_STEM = 80


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` as the home folder, also where the shell left it (``--out=~/face.glb``).

    Raises
    ------
    FileError
        For the home of somebody who is not known.
    """
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise FileError("a folder", f"{path}, a home that is not known", "write the folder out") from error


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else delete it.

    The temporary name keeps the suffix, since many writers choose the format by it. A symbolic link stays one: what it
    points to is replaced.

    Raises
    ------
    FileError
        When the folder cannot be made or written, or the disk is full.
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
            f"to write {path}", error.strerror or str(error), "choose a folder that is writable and has room"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # for instance when the folder could not be made
                temporary.unlink(missing_ok=True)
    record = _RECORD.get()
    if record is not None:
        record.append(path)


def write_files(files: Mapping[Path, bytes], stale: Sequence[Path] = ()) -> list[Path]:
    """Write files that belong together: none appears before all of them are on the disk.

    Parameters
    ----------
    files:
        In the order in which they appear.
    stale:
        Files of an older set that must not be taken for parts of this one: deleted right before.

    Returns
    -------
    list
        The files written.

    Raises
    ------
    FileError
        When one cannot be written; then none is, and what was there before stays.
    """
    with contextlib.ExitStack() as stack:
        for path, data in reversed(list(files.items())):  # a stack ends in reverse
            stack.enter_context(atomic_write(path)).write_bytes(data)
        for path in stale:
            path.unlink(missing_ok=True)
    return list(files)


@contextlib.contextmanager
def recorded() -> Iterator[list[Path]]:
    """Collect the names of all files that are written in the block, as they are."""
    written: list[Path] = []
    token = _RECORD.set(written)
    try:
        yield written
    finally:
        _RECORD.reset(token)
