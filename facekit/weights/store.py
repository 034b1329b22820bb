"""The files of models, and their check before anything loads them.

The files of an embedded model come with the package and their hashes stand in the manifest. Those of a fetched one are
made on the user's machine: its folder in the cache holds ``record.json`` with their sizes and hashes, written when they
were converted. A folder without it does not exist as far as facekit is concerned.
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

#: Beside record.json: size and time of the files whose hash was found right, so that loading need not hash them again.
_STAMPS = "verified.json"


def assets_folder() -> Path:
    """The folder of the embedded default."""
    return Path(str(resources.files("facekit") / "assets"))


def model_folder(name: str) -> Path:
    """The folder of a model's files: the package's for an embedded one, else in the cache, where it may not exist."""
    entry = record(name)
    if entry.folder is not None:
        return entry.folder
    return assets_folder() if entry.embedded else cache_folder() / name


def ready(name: str) -> bool:
    """Tell whether a model is here: embedded, or fetched or imported."""
    return _complete(record(name)) or (model_folder(name) / "record.json").is_file()


def _complete(entry: ModelRecord) -> bool:
    """Tell whether a record itself knows its files' hashes: an embedded model's, or a folder's."""
    return entry.embedded or entry.folder is not None


def path(name: str, role: str | None = None) -> Path:
    """Path of a model's folder, or of its file of this role; says nothing on whether it is right."""
    return model_folder(name) if role is None else model_folder(name) / files(name)[role].name


def files(name: str) -> dict[str, WeightFile]:
    """A model's files by role, with sizes and hashes: from the manifest, or from record.json of a fetched one.

    Raises
    ------
    WeightsError
        When a model that is not embedded is not here, or its record.json is damaged.
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
    # Converted files have their hash in their names, so that a second import never touches those of the first.
    if found.keys() != entry.files.keys() or any(Path(f.name).name != f.name for f in found.values()):
        raise WeightsError(f"a record of {', '.join(entry.files)}", f"another in {file}", _again(name))
    return found


def verify(name: str) -> None:
    """Hash every file of a model and compare it with its record.

    Raises
    ------
    WeightsError
        When the model is not here, or a file is missing, truncated or altered.
    """
    for role in files(name):
        _verified(name, role, trust_stamps=False)


def verified(name: str, role: str) -> Path:
    """The path of one file after its size and sha256 were compared with its record.

    A fetched file, which may be large, is hashed again only when its size or time has changed since the last time.
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
        # A cache that cannot be written costs time at the next load, no more.
        temporary.write_text(json.dumps({**_stamps(name), role: stamp}, indent=2) + "\n", encoding="utf-8")


def _again(name: str) -> str:
    if record(name).embedded:
        return "reinstall facekit"
    if record(name).folder is not None:
        return "save or download the model again"
    return f"run: facekit weights remove {name}; then fetch or import it again"
