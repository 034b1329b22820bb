"""The cache: folders of fetched models, one lock per model, disk space.

::

    <cache>/3dfacecam/               the converted model; it does not count without its record.json
    <cache>/downloads/3dfacecam/     upstream's files and their .part, until they are converted
    <cache>/importing/3dfacecam/     conversion in progress <cache>/remembered.json          hashes of files at their
    first download or import <cache>/locks/                   one file per model
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

#: Names whose locks this context holds, so that nested calls may lock them again.
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


def cache_folder() -> Path:
    """Return the folder of fetched models: ``FACEKIT_CACHE``, else facekit's folder in the platform's cache; may not
    exist.
    """
    chosen = os.environ.get("FACEKIT_CACHE")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "facekit" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "facekit"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "facekit"  # XDG: ignore a relative path


def downloads_folder(name: str) -> Path:
    """Return the folder for downloads of a model's upstream files."""
    return cache_folder() / "downloads" / name


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a model's exclusive lock on this machine; prints a line if it has to wait.

    The operating system releases it when the process dies. The lock is reentrant.

    Raises
    ------
    FileError
        If the cache cannot be written or its file system does not support locks.
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
                say(f"waiting for another process that uses {name} ({path})")
                lock.acquire()
    except NotImplementedError as error:
        raise FileError("a cache folder that supports file locks", f"{path.parent} ({error})", _ELSEWHERE) from error
    token = _held.set(_held.get() | {name})
    try:
        yield
    finally:
        _held.reset(token)
        lock.release()


_ELSEWHERE = "set FACEKIT_CACHE to a local folder that is writable and has room"


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn errors of the file system into a FileError that says whether the disk is full."""
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
        raise FileError(f"{size / 1e6:.0f} MB of free space in {folder}", got, f"free some, or {_ELSEWHERE}")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def say(text: str) -> None:
    """Print one line for the user to standard error: standard output is for results."""
    print(f"facekit: {text}", file=sys.stderr, flush=True)
