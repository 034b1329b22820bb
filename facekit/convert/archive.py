"""Files chosen by the user: a folder, or a zip from an untrusted source, which is checked first.

A zip may contain only the requested files, checkpoints of other training steps and networks, files of desktop systems
(``__MACOSX/``, ``.DS_Store``), a README or licence, and upstream's material and pictures; all but the first are left
unopened. An archive of upstream's whole repository may also contain its code, which is left unopened as well. Any other
member is rejected by its name. In a folder, other files are ignored.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from facekit.errors import FileError

# Upstream's zip unpacks to a third of a GiB. Weights hardly compress; a ratio of 100 is far above theirs and a tenth of
# a zip bomb's.
_MAX_TOTAL, _MAX_MEMBERS, _MAX_RATIO, _RATIO_FROM = 2 << 30, 20_000, 100, 1 << 20
_MAX_DEPTH, _MAX_FILES = 8, 200_000
_CHUNK = 1 << 20
_NOISE = re.compile(r"(^|/)(__MACOSX/.*|\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini)$")
_UNOPENED = re.compile(
    r"(^|/)((ae|gan3d|texture_models)/[\w-]+/(\d+(\.\d+)?|\d+_\w+\.model)"  # other steps, other networks
    r"|(README|LICEN[CS]E)(\.\w+)?|base_mtl\.mtl|[\w-]+\.(jpg|png))$"
)
_REPOSITORY = re.compile(r"3DFaceCAM(-[\w.-]+)?/")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_UNPACK = "if you trust it, unpack it and give the folder: only the expected files are read"


class Files(Protocol):
    """Interface to files by relative path, with ``/``."""

    place: Path
    names: list[str]

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        """Yield the file's bytes, at most ``limit`` of them; raise if there are more."""
        ...

    def take(self, name: str, scratch: Path, limit: int) -> Path:
        """Return the path of the file on disk, unpacked to the folder ``scratch`` if necessary."""
        ...


class Folder:
    """Files below a folder, to a bounded depth; hidden folders are skipped, links to folders are not followed.

    With ``names`` only these are searched for.
    """

    def __init__(self, place: Path, names: Iterable[str] | None = None) -> None:
        self.place, self.names = place, []
        if names is not None:
            self.names = [name for name in names if (place / name).is_file()]
            return
        for folder, below, files in os.walk(place):
            relative = Path(folder).relative_to(place)
            below[:] = sorted(b for b in below if not b.startswith(".")) if len(relative.parts) < _MAX_DEPTH else []
            self.names += [(relative / name).as_posix() for name in sorted(files)]
            if len(self.names) > _MAX_FILES:
                raise FileError(
                    "the folder of the weights", f"{place} with over {_MAX_FILES} files", "give a more specific path"
                )

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        path, count = self.place / name, 0
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    count += len(chunk)
                    if count > limit:
                        raise _too_large(f"{path}", limit)
                    yield chunk
        except OSError as error:
            raise _unreadable(f"{path}", error) from error

    def take(self, name: str, scratch: Path, limit: int) -> Path:
        path = self.place / name
        try:
            if path.stat().st_size > limit:
                raise _too_large(f"{path}", limit)
        except OSError as error:
            raise _unreadable(f"{path}", error) from error
        return path


class Zip:
    """Members of a zip, after all of them were checked.

    Parameters
    ----------
    expected:
        Ends of the requested paths: ``"ae/Decoder/2000"``, ``"face_v.npy"``.
    """

    def __init__(self, place: Path, expected: tuple[str, ...]) -> None:
        self.place = place
        try:
            with zipfile.ZipFile(place) as archive:
                members = archive.infolist()
        except _DAMAGE as error:
            raise _not_a_zip(place, error) from error
        if len(members) > _MAX_MEMBERS:
            raise FileError("a zip of the weights", f"{place} with {len(members)} members", _UNPACK)
        self._members: dict[str, zipfile.ZipInfo] = {}
        seen: set[str] = set()
        for member in members:
            name = _harmless(place, member)
            if name.casefold() in seen:
                raise FileError("a zip that holds every name once", f"{place} with two {name}", "pack it again")
            seen.add(name.casefold())
            if not member.is_dir() and not _NOISE.search(name):
                self._members[name] = member
        self._check_sizes()
        self.names = sorted(self._members)
        self._check_expected(expected)

    def _check_sizes(self) -> None:
        members = self._members.values()
        if sum(m.file_size for m in members) > _MAX_TOTAL:
            raise FileError(f"a zip of at most {_MAX_TOTAL >> 30} GiB unpacked", f"{self.place}", _UNPACK)
        # Overlapping members are how a small zip unpacks to a huge one at a modest ratio.
        if sum(m.compress_size for m in members) > self.place.stat().st_size:
            raise FileError("a zip without overlapping members", f"{self.place}, with overlapping members", _UNPACK)
        for name, member in self._members.items():
            _check_ratio(self.place, name, member.file_size, member.compress_size)

    def _check_expected(self, expected: tuple[str, ...]) -> None:
        tops = {name.split("/")[0] + "/" for name in self.names}
        if len(tops) == 1 and _REPOSITORY.fullmatch(tops.pop()):
            return
        strange = [name for name in self.names if not has_tail(name, expected) and not _UNOPENED.search(name)]
        if strange:
            shown = ", ".join(repr(name) for name in strange[:5]) + (", …" if len(strange) > 5 else "")
            raise FileError("a zip with the expected files only", f"{self.place}, which also contains {shown}", _UNPACK)

    def chunks(self, name: str, limit: int) -> Iterator[bytes]:
        member, count = self._members[name], 0
        label = f"{name} in {self.place}"
        try:
            with zipfile.ZipFile(self.place) as archive, archive.open(member) as stream:
                while chunk := stream.read(_CHUNK):
                    count += len(chunk)
                    if count > limit:
                        raise _too_large(label, limit)
                    _check_ratio(self.place, name, count, member.compress_size)  # the header may have lied
                    yield chunk
            if count != member.file_size:
                raise ValueError(f"{count} bytes where its header says {member.file_size}")
        except FileError:
            raise
        except _DAMAGE as error:
            raise FileError("a whole zip", f"{label} ({error})", "it is damaged: fetch it again") from error

    def take(self, name: str, scratch: Path, limit: int) -> Path:
        target = scratch / hashlib.sha256(name.encode()).hexdigest()[:16]  # never a name from the zip
        chunks = self.chunks(name, limit)
        try:
            with target.open("wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
        except FileError:
            raise
        except OSError as error:
            raise FileError(
                f"to unpack {name}", error.strerror or str(error), "make room on the cache's disk"
            ) from error
        return target


def open_files(place: Path, expected: tuple[str, ...]) -> Files:
    """Open the files of a folder or zip.

    Raises
    ------
    FileError
        If the path is neither, or a zip is damaged or contains unsafe or unexpected members.
    """
    if place.is_dir():
        return Folder(place)
    if place.is_file():
        return Zip(place, expected)
    raise FileError("a zip or a folder", f"{place}, which is not there", "check the path")


def has_tail(name: str, tails: tuple[str, ...]) -> bool:
    """Return True if a path ends with one of these, comparing whole components."""
    return any(name == tail or name.endswith("/" + tail) for tail in tails)


def digest(files: Files, name: str, limit: int) -> str:
    """Return the sha256 of a file, read in chunks."""
    sha = hashlib.sha256()
    for chunk in files.chunks(name, limit):
        sha.update(chunk)
    return sha.hexdigest()


def _harmless(place: Path, member: zipfile.ZipInfo) -> str:
    """Return the member's path without ``./`` and doubled slashes; raise if it is unsafe."""
    # zipfile truncates names at NUL and converts Windows' separators: check the original name.
    raw = member.orig_filename
    parts = PurePosixPath(raw).parts
    kind = stat.S_IFMT(member.external_attr >> 16)
    unsafe = {
        "an absolute name": raw.startswith("/"),
        "a drive letter or stream": ":" in raw,
        "'..' in it": ".." in parts,
        "a backslash in it": "\\" in raw,
        "control characters in it": any(ord(c) < 32 or ord(c) == 127 for c in raw),
        "no name": not parts,
        "a link or device for content": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "encrypted content": bool(member.flag_bits & 0x2041),
        "an unusual compression": member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
    }
    faults = [fault for fault, found in unsafe.items() if found]
    if faults:
        raise FileError("a zip of plain files", f"{place}: {raw!r} has {' and '.join(faults)}", "do not unpack it")
    return "/".join(parts)


def _check_ratio(place: Path, name: str, size: int, packed: int) -> None:
    if size > _RATIO_FROM and size > _MAX_RATIO * packed:
        raise FileError(
            f"files packed at most {_MAX_RATIO} to 1", f"{name} in {place}, a decompression bomb", "do not unpack it"
        )


def _too_large(label: str, limit: int) -> FileError:
    return FileError(f"a file of at most {limit} bytes", f"{label}, which is larger", "check that it is the right file")


def _unreadable(label: str, error: OSError) -> FileError:
    return (
        error if isinstance(error, FileError) else FileError("a readable file", f"{label} ({error})", "check the path")
    )


def _not_a_zip(place: Path, error: Exception) -> FileError:
    try:
        with place.open("rb") as stream:
            start = stream.read(256).lstrip().lower()
    except OSError as unreadable:
        return _unreadable(f"{place}", unreadable)
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return FileError(
            "a zip", f"{place}, a web page", "the download was refused: fetch it in a browser and try again"
        )
    return FileError("a whole zip or a folder", f"{place} ({error})", "it is damaged or not a zip: fetch it again")
