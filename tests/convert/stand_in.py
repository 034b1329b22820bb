"""Stands in for facekit.convert.published, which loads torch: unzips instead of converting. Also the fetching process.

``python stand_in.py MANIFEST`` fetches the model "small" and prints the sha256 of its files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import types
import zipfile
from pathlib import Path

from facekit.convert import fetch
from facekit.weights import files, manifest, path, verified, verify
from facekit.weights.cache import cache_folder, locked


def import_files(name: str, checkpoints: Path, data: Path | None = None) -> Path:
    """As facekit.convert.published publishes: everything into a scratch folder, the record last."""
    scratch, folder = cache_folder() / "importing" / name, cache_folder() / name
    with locked(name):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        contents = {"mesh": (data / "mesh.obj").read_bytes()}
        with zipfile.ZipFile(checkpoints) as archive:
            contents |= {role: archive.read(f"checkpoints/{role}") for role in ("a", "b")}
        folder.mkdir(exist_ok=True)
        record = {}
        for role, content in contents.items():
            (scratch / role).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            (scratch / role).replace(folder / f"{role}.bin")
            record[role] = {"name": f"{role}.bin", "size": len(content), "sha256": digest}
        (scratch / "record.json").write_text(json.dumps({"files": record}))
        (scratch / "record.json").replace(folder / "record.json")
        shutil.rmtree(scratch)
        verify(name)
    return folder


def module() -> types.ModuleType:
    """The stand-in as a module."""
    made = types.ModuleType("facekit.convert.published")
    made.import_files = import_files
    return made


def main() -> None:
    manifest._manifest_path = lambda: Path(sys.argv[1])
    sys.modules["facekit.convert.published"] = module()
    fetch("small")
    loaded = {role: hashlib.sha256(verified("small", role).read_bytes()).hexdigest() for role in files("small")}
    assert path("small", "a").is_file()
    assert "torch" not in sys.modules, "fetching needs no torch"
    print(json.dumps(loaded))


if __name__ == "__main__":
    main()
