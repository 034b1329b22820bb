"""Storage: a local folder, or anything supported by fsspec (``s3://``, ``gs://``, ``memory://``)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from facekit.errors import InputError, optional_import
from facekit.files.atomic import atomic_write


class Storage(Protocol):
    """Files by name in one place; writes are atomic."""

    def writing(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """Yield a local path to write to; if the block succeeds, it is stored, replacing a file of the same name."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it does not exist."""
        ...

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        ...

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, -1 if it does not exist."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file."""
        ...


class Folder:
    """Local folder with atomic writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def writing(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """Yield a local path to write to; if the block succeeds, it is stored, replacing a file of the same name."""
        return atomic_write(self.path / name)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it does not exist."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(p.name for p in self.path.iterdir() if p.is_file()) if self.path.is_dir() else []

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, -1 if it does not exist."""
        path = self.path / name
        return path.stat().st_size if path.is_file() else -1

    def remove(self, name: str) -> None:
        """Delete a file."""
        (self.path / name).unlink(missing_ok=True)


class Remote:
    """Location in fsspec; object stores show complete files only."""

    def __init__(self, url: str) -> None:
        fsspec = optional_import("fsspec", "data", "storage elsewhere")
        self.files: Any
        try:
            self.files, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:  # missing package, unknown protocol
            raise InputError(
                "an address supported by fsspec", f"{url}: {error}", "s3:// needs s3fs, gs:// gcsfs"
            ) from error
        self.root = self.root.rstrip("/")

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a local path to write to; if the block succeeds, it is stored, replacing a file of the same name."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            yield path
            self.files.makedirs(self.root, exist_ok=True)
            self.files.put_file(str(path), f"{self.root}/{name}")

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it does not exist."""
        try:
            return self.files.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        self.files.invalidate_cache()
        if not self.files.isdir(self.root):
            return []
        return sorted(os.path.basename(p) for p in self.files.ls(self.root, detail=False))

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, -1 if it does not exist."""
        try:
            return int(self.files.info(f"{self.root}/{name}")["size"])
        except FileNotFoundError:
            return -1

    def remove(self, name: str) -> None:
        """Delete a file."""
        if self.read(name) is not None:
            self.files.rm_file(f"{self.root}/{name}")


def storage_of(place: str | Path) -> Storage:
    """Return the storage for a path or an address."""
    text = str(place)
    return Remote(text) if "://" in text else Folder(Path(text).expanduser().absolute())


def write(storage: Storage, name: str, data: bytes) -> None:
    """Write a file, replacing one of the same name."""
    with storage.writing(name) as path:
        path.write_bytes(data)
