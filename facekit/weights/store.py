"""Files of models, and their verification before loading.

The files of an embedded model ship with the package, with hashes in the manifest. Those of a fetched model are made on
the user's machine: its folder in the cache contains ``record.json`` with their sizes and hashes, written on conversion.
A folder without it does not count as a model.
"""

from __future__ import annotations

import contextlib
import json
from importlib import resources
from pathlib import Path

from facekit.errors import InputError, WeightsError
from facekit.files.atomic import atomic_write
from facekit.weights.cache import cache_folder, sha256_of
from facekit.weights.manifest import ModelRecord, WeightFile, record

#: File beside record.json with size and time of verified files, so that loading does not hash them again.
_STAMPS = "verified.json"


def assets_folder() -> Path:
    """Return the folder of the embedded default."""
    return Path(str(resources.files("facekit") / "assets"))


def model_folder(name: str) -> Path:
    """Return the folder of a model's files: in the package for an embedded one, else in the cache, where it may not
    exist.
    """
    entry = record(name)
    if entry.folder is not None:
        return entry.folder
    return assets_folder() if entry.embedded else cache_folder() / name


def ready(name: str) -> bool:
    """Return True if a model is available: embedded, fetched or imported."""
    return _complete(record(name)) or (model_folder(name) / "record.json").is_file()


def _complete(entry: ModelRecord) -> bool:
    """Return True if a record contains its files' hashes, as for an embedded model or a model folder."""
    return entry.embedded or entry.folder is not None


def path(name: str, role: str | None = None) -> Path:
    """Return the path of a model's folder, or of its file with this role, without checking it."""
    return model_folder(name) if role is None else model_folder(name) / files(name)[role].name


def files(name: str) -> dict[str, WeightFile]:
    """Return a model's files by role, with sizes and hashes: from the manifest, or from record.json for a fetched one.

    Raises
    ------
    WeightsError
        If a model is neither embedded nor fetched, or its record.json is damaged.
    """
    entry = record(name)
    if _complete(entry):
        return entry.files
    file = model_folder(name) / "record.json"
    if not ready(name):
        raise WeightsError(
            f"the converted files of {name!r}",
            f"none in {file.parent}",
            f"fetch or import them ({entry.notice}):\n"
            f"facekit weights fetch {name}\n"
            f"facekit weights import {name} --checkpoints PATH --data PATH  (files from your disk)",
        )
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["files"]
        found = {role: WeightFile(e["name"], int(e["size"]), str(e["sha256"])) for role, e in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"the record of {name!r}", f"{file} ({error!r})", _again(name)) from error
    # Names of converted files contain their hash, so that a second import never touches those of the first.
    if found.keys() != entry.files.keys() or any(Path(f.name).name != f.name for f in found.values()):
        raise WeightsError(f"a record of {', '.join(entry.files)}", f"another in {file}", _again(name))
    return found


def verify(name: str) -> None:
    """Hash every file of a model and compare with its record.

    Raises
    ------
    WeightsError
        If the model is not available, or a file is missing, truncated or modified.
    """
    for role in files(name):
        _verified(name, role, trust_stamps=False)


def verified(name: str, role: str) -> Path:
    """Return the path of a file after comparing its size and sha256 with its record.

    A fetched file, which may be large, is hashed again only if its size or time has changed.
    """
    return _verified(name, role, trust_stamps=not _complete(record(name)))


def _verified(name: str, role: str, trust_stamps: bool) -> Path:
    known, remedy = files(name), _again(name)
    if role not in known:
        raise InputError(f"a role out of {', '.join(known)}", repr(role), "choose one of them")
    entry = known[role]
    file = model_folder(name) / entry.name
    if not file.is_file():
        raise WeightsError(f"the {role} file of {name!r}", f"none at {file}", remedy)
    status = file.stat()
    if status.st_size != entry.size:
        raise WeightsError(f"{entry.name} of {entry.size} bytes", f"{status.st_size} bytes", f"it is damaged: {remedy}")
    stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": entry.sha256}
    if trust_stamps and _stamps(name).get(role) == stamp:
        return file
    digest = sha256_of(file)
    if digest != entry.sha256:
        raise WeightsError(
            f"{entry.name} with sha256 {str(entry.sha256)[:12]}…", f"{digest[:12]}…", f"it is damaged: {remedy}"
        )
    if not _complete(record(name)):
        _stamp(name, role, stamp)
    return file


def _stamps(name: str) -> dict[str, dict[str, object]]:
    try:
        stamps = json.loads((model_folder(name) / _STAMPS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # then every file is hashed
    return stamps if isinstance(stamps, dict) else {}


def _stamp(name: str, role: str, stamp: dict[str, object]) -> None:
    with contextlib.suppress(OSError), atomic_write(model_folder(name) / _STAMPS) as temporary:
        # An unwritable cache only costs time at the next load.
        temporary.write_text(json.dumps({**_stamps(name), role: stamp}, indent=2) + "\n", encoding="utf-8")


def _again(name: str) -> str:
    if record(name).embedded:
        return "reinstall facekit"
    if record(name).folder is not None:
        return "save or download the model again"
    return f"run: facekit weights remove {name}; then fetch or import it again"
