"""The cache: where fetched models lie, one lock a model, room on the disk.

::

    <cache>/3dfacecam/               the converted model; without its record.json it does not exist
    <cache>/downloads/3dfacecam/     upstream's files and their .part, until they are converted
    <cache>/importing/3dfacecam/     what is being converted
    <cache>/remembered.json          hashes of what was downloaded or imported first
    <cache>/locks/                   one file a model
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from facekit.errors import FileError, optional_import

#: Names whose lock this thread of execution holds, so that a step may ask for it again.
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


def cache_folder() -> Path:
    """The folder of fetched models: ``FACEKIT_CACHE``, else facekit's in the platform's cache folder; may not exist."""
    chosen = os.environ.get("FACEKIT_CACHE")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "facekit" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "facekit"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "facekit"  # XDG: ignore a relative one


def downloads_folder(name: str) -> Path:
    """Folder that upstream's files of a model are downloaded to."""
    return cache_folder() / "downloads" / name


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a model's lock, alone on this machine; says so in one line when it has to wait.

    The operating system lets go of it when a process dies. It may be asked for again inside the block.

    Raises
    ------
    FileError
        When the cache cannot be written or its file system knows no locks.
    """
    if name in _held.get():
        yield
        return
    filelock = optional_import("filelock", "weights", "the weight cache")
    path = cache_folder() / "locks" / f"{name}.lock"
    with disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(str(path))
    try:
        with disk(path):
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                say(f"waiting for another process that works on {name} ({path})")
                lock.acquire()
    except NotImplementedError as error:
        raise FileError("a cache folder that knows file locks", f"{path.parent} ({error})", _ELSEWHERE) from error
    token = _held.set(_held.get() | {name})
    try:
        yield
    finally:
        _held.reset(token)
        lock.release()


_ELSEWHERE = "set FACEKIT_CACHE to a local folder that is writable and has room"


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into a FileError that says whether the disk is full."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileError) or not error.errno:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        got = "a full disk" if full else error.strerror or str(error)
        raise FileError(f"to write {path}", got, _ELSEWHERE) from error


def require_room(folder: Path, size: int) -> None:
    """Raise FileError unless ``size`` bytes fit on the disk of ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < size:
        got = f"a full disk: {free / 1e6:.0f} MB free"
        raise FileError(f"{size / 1e6:.0f} MB of room in {folder}", got, f"free some, or {_ELSEWHERE}")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def say(text: str) -> None:
    """One line for the user, on the error stream: the output stream belongs to results."""
    print(f"facekit: {text}", file=sys.stderr, flush=True)
