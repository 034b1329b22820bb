"""The manifest: one record per model with names, files, sizes, hashes, licences and origins; their only source.

``weights_manifest.json`` is at the top of the repository; the build copies it into the package. Its schema is
``manifest.schema.json``, which the tests check.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from facekit.checks import one_of
from facekit.errors import FileError

_MANIFEST = "weights_manifest.json"
#: Name of a record in a model's own folder, see :mod:`facekit.hub`.
FOLDER_RECORD = "facekit.json"


@dataclass(frozen=True)
class WeightFile:
    """File of a model: name, size in bytes and sha256.

    Size and sha256 are None if the file is made on the user's machine: they are then in its ``record.json``.
    """

    name: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Mirror:
    """Place to download from: the id of a Google Drive file, or an address."""

    drive: str | None = None
    url: str | None = None

    @property
    def link(self) -> str:
        """Address to open in a browser."""
        return self.url or f"https://drive.google.com/file/d/{self.drive}/view"

    @property
    def label(self) -> str:
        """Name for messages."""
        return "Google Drive" if self.drive else str(urlsplit(self.url).netloc)


@dataclass(frozen=True)
class Source:
    """Upstream file to download: name, size and sha256 if known, and mirrors in order of preference."""

    name: str
    size: int | None
    sha256: str | None
    mirrors: tuple[Mirror, ...]


@dataclass(frozen=True)
class ModelRecord:
    """One record of the manifest.

    Parameters
    ----------
    name:
        Name for ``FacePipeline.from_pretrained``.
    summary, licence, origin:
        One line each.
    embedded:
        Whether the files ship with the package.
    config:
        Sizes of the networks and kind of composer: ``{"shape": {...}, "texture": {...}, "composer": "default"}``.
    files:
        Files by role: template, shape, texture, …
    notice:
        Notice for users who fetch it, in one line; empty for the embedded default.
    by_hand:
        Manual steps if the download fails, one per line.
    sources:
        Upstream files, by role, that ``files`` are converted from.
    folder:
        Folder of its files, for a model in its own folder.
    """

    name: str
    summary: str
    licence: str
    origin: str
    embedded: bool
    config: dict[str, Any]
    files: dict[str, WeightFile]
    notice: str = ""
    by_hand: tuple[str, ...] = ()
    sources: dict[str, Source] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True)
class ToolRecord:
    """Third-party model that facekit uses unchanged.

    Parameters
    ----------
    name, summary, licence, origin:
        As in :class:`ModelRecord`.
    package:
        The distribution that contains the file.
    file:
        Name, size and sha256 of the file.
    url:
        Address of the original publication.
    """

    name: str
    summary: str
    licence: str
    origin: str
    package: str
    file: WeightFile
    url: str


def _manifest_path() -> Path:
    package = Path(str(resources.files("facekit")))
    for folder in (package, package.parent):  # in a wheel inside the package, in a checkout beside it
        if (folder / _MANIFEST).is_file():
            return folder / _MANIFEST
    raise FileError(f"{_MANIFEST} in the package", "none", "reinstall facekit")


@functools.cache
def models() -> dict[str, ModelRecord]:
    """Return all model records of the manifest by name."""
    path = _manifest_path()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: _record(name, entry) for name, entry in data["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError("a readable weights manifest", f"{path} ({error!r})", "reinstall facekit") from error


def tool(name: str) -> ToolRecord:
    """Return the record of a tool.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    return tools()[one_of(name, tools(), "a tool")]


@functools.cache
def tools() -> dict[str, ToolRecord]:
    """Return all tools of the manifest by name."""
    path = _manifest_path()
    try:
        entries = json.loads(path.read_text(encoding="utf-8")).get("tools", {})
        return {n: ToolRecord(n, **{**entry, "file": WeightFile(**entry["file"])}) for n, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError("a readable weights manifest", f"{path} ({error!r})", "reinstall facekit") from error


def _record(name: str, entry: dict[str, Any]) -> ModelRecord:
    return ModelRecord(
        name=name,
        **{key: entry[key] for key in ("summary", "licence", "origin", "embedded", "config")},
        files={role: WeightFile(**file) for role, file in entry["files"].items()},
        notice=entry.get("notice", ""),
        by_hand=tuple(entry.get("by_hand", ())),
        sources={
            role: Source(**{**source, "mirrors": tuple(Mirror(**mirror) for mirror in source["mirrors"])})
            for role, source in entry.get("sources", {}).items()
        },
    )


def known(name: str) -> bool:
    """Return True if there is a model with this name, or in this folder."""
    return name in models() or (Path(name) / FOLDER_RECORD).is_file()


def record(name: str) -> ModelRecord:
    """Return the record of a model, by its name or its folder.

    Raises
    ------
    InputError
        If the name is unknown; the message lists the known ones.
    """
    named = models()
    if name not in named and (Path(name) / FOLDER_RECORD).is_file():
        return _folder_record(Path(name).absolute())
    return named[one_of(name, named, "a model")]


def _folder_record(folder: Path) -> ModelRecord:
    path = folder / FOLDER_RECORD
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        entry = _record(str(folder), {**told, "embedded": False})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError("a readable record of a model", f"{path} ({error!r})", "save the model again") from error
    if any(Path(file.name).name != file.name or not file.sha256 for file in entry.files.values()):
        raise FileError("files that match their sha256", f"other files in {path}", "save the model again")
    return dataclasses.replace(entry, folder=folder)
