"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from facekit.errors import FileError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else delete it.

    The temporary name keeps the suffix, since many writers choose the format by it.

    Raises
    ------
    FileError
        When the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"to write {path}", error.strerror or str(error), "choose a folder that is writable and has room"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # for instance when the folder could not be made
            temporary.unlink(missing_ok=True)
