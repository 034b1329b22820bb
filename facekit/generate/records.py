"""Records of a set of meshes: a manifest with a line per face, and a sidecar per face until it is collected."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write
from facekit.version import __version__
from facekit.weights.cache import sha256_of

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class MeshStatus:
    """Progress of a set of meshes.

    Parameters
    ----------
    made:
        Faces whose files exist with their recorded sizes, and with ``verify`` hashes.
    broken:
        Seeds of faces with missing or modified files.
    """

    made: int
    broken: list[int]


def mesh_status(folder: str | Path, verify: bool = False) -> MeshStatus:
    """Return the progress of the set of meshes in ``folder``.

    Parameters
    ----------
    verify:
        Whether to hash every file; otherwise only sizes are compared.

    Raises
    ------
    FileError
        If there is no set.
    """
    folder = Path(folder).expanduser()
    _, records = read_manifest(folder / MANIFEST)
    broken = [seed for seed, record in sorted(records.items()) if not complete(folder, record, verify)]
    return MeshStatus(len(records) - len(broken), broken)


def read_manifest(path: str | Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """Return the settings and the records by seed of a manifest; a truncated last line is ignored.

    Raises
    ------
    FileError
        If the file is not a manifest.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
        records = [json.loads(line) for line in lines[:-1] if line.strip()]
        return records[0]["settings"], {record["seed"]: record for record in records[1:]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FileError("a manifest of generated faces", f"{path} ({error!r})", "choose another folder") from error


def open_manifest(path: Path, settings: dict[str, Any]) -> None:
    """Create a manifest, or check that the existing one has these settings."""
    if not path.exists():
        if path.parent.is_dir() and any(path.parent.glob("face_*")):
            raise InputError("an empty folder", f"faces without a manifest in {path.parent}", "choose another folder")
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"facekit": __version__, "settings": settings}) + "\n", encoding="utf-8")
        return
    stored, _ = read_manifest(path)
    different = [key for key in settings if stored.get(key) != settings[key]]
    if different:
        was = ", ".join(f"{key} {stored.get(key)!r}" for key in different)
        now = ", ".join(f"{key} {settings[key]!r}" for key in different)
        raise InputError(f"the settings of the set in {path.parent} ({was})", now, "choose another folder")
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:  # the machine stopped in the middle of a line
        with atomic_write(path) as temporary:
            temporary.write_bytes(whole)


def leave_record(folder: Path, seed: int, files: Mapping[str, int]) -> None:
    """Write a face's sidecar after its files."""
    hashes = {name: sha256_of(folder / name) for name in files}
    with atomic_write(folder / _sidecar(seed)) as temporary:
        temporary.write_text(json.dumps({"seed": seed, "files": files, "sha256": hashes}), encoding="utf-8")


def _sidecar(seed: int) -> str:
    return f".face_{seed:06d}.json"


def gather(path: Path, seeds: Iterable[int] | None = None) -> None:
    """Move records from sidecars, of these seeds or all, into the manifest."""
    if seeds is None:
        found = sorted(p for p in path.parent.glob(".face_*.json") if ".part." not in p.name)
    else:
        found = [p for p in (path.parent / _sidecar(seed) for seed in seeds) if p.is_file()]
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{sidecar.read_text(encoding='utf-8')}\n" for sidecar in found)
            stream.flush()
            os.fsync(stream.fileno())
        for sidecar in found:
            sidecar.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"to write {path}", str(error), "choose a writable folder with enough disk space") from error


def tidy(path: Path) -> None:
    """Rewrite the manifest with one line per face, by seed, keeping the newest of each."""
    lines = path.read_bytes().splitlines(keepends=True)
    records = read_manifest(path)[1]
    wanted = [lines[0], *(f"{json.dumps(records[seed])}\n".encode() for seed in sorted(records))]
    if wanted != lines:
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"".join(wanted))


def complete(folder: Path, record: dict[str, Any] | None, verify: bool = False) -> bool:
    """Return True if every file of a record exists with its recorded size, and optionally its hash."""
    if record is None:
        return False
    if not all((folder / n).is_file() and (folder / n).stat().st_size == s for n, s in record["files"].items()):
        return False
    return not verify or all(sha256_of(folder / name) == value for name, value in record.get("sha256", {}).items())
