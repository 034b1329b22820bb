"""Models as folders, and on the Hugging Face Hub (extra ``hub``).

A folder contains the model's files and ``facekit.json``, its record with their hashes;
``FacePipeline.from_pretrained(folder)`` reads it, checked like every other model.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.errors import InputError, optional_import
from facekit.files.atomic import atomic_write
from facekit.weights import record, verified
from facekit.weights.manifest import FOLDER_RECORD
from facekit.weights.store import files

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline


def save_folder(pipe: FacePipeline, folder: str | Path) -> Path:
    """Write a pipeline's model to a folder, the record last: a folder without it is not a model.

    Raises
    ------
    InputError
        If the pipeline's parts are not from its model's files.
    FileError
        If the folder cannot be written.
    """
    folder, entry = Path(folder), record(pipe.name)
    if pipe.pretrained:
        told = ", ".join(f"{key}={value!r}" for key, value in pipe.pretrained.items())
        raise InputError("an unmodified pipeline", f"one with {told}", "load it without, and pass that to the copy")
    told = {}
    for role, file in files(pipe.name).items():
        with atomic_write(folder / file.name) as temporary:
            shutil.copyfile(verified(pipe.name, role), temporary)
        told[role] = {"name": file.name, "size": file.size, "sha256": file.sha256}
    about = {name: getattr(entry, name) for name in ("summary", "licence", "origin", "notice", "config")}
    with atomic_write(folder / FOLDER_RECORD) as temporary:
        text = json.dumps({"version": 1, **about, "files": told}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
    return folder


def push(pipe: FacePipeline, repository: str, **options: Any) -> str:
    """Upload a pipeline's model to the Hub; return the address of the commit.

    Parameters
    ----------
    repository:
        ``"owner/name"``.
    options:
        Options of ``huggingface_hub.ModelHubMixin.push_to_hub``: ``private``, ``token``, ``branch`` and others.

    Raises
    ------
    InputError
        If the model's licence does not allow redistribution.
    """
    if record(pipe.name).notice:
        got = f"{pipe.name!r} ({record(pipe.name).notice})"
        raise InputError("a model that may be redistributed", got, "share the address of its origin instead")
    return hub_class()(pipe).push_to_hub(repository, **options)


def hub_class() -> type[Any]:
    """Return the class that the Hub's code saves and loads, with the pipeline as its ``pipe``.

    ``hub_class().from_pretrained("owner/name").pipe`` is a pipeline from the Hub.
    """
    hub = optional_import("huggingface_hub", "hub", "models on the Hugging Face Hub")

    about: dict[str, Any] = {"library_name": "facekit", "license": "mit", "tags": ["3d", "face"]}

    class HubFace(hub.ModelHubMixin, **about):
        """Pipeline wrapped for the Hub."""

        def __init__(self, pipe: FacePipeline) -> None:
            self.pipe = pipe

        def _save_pretrained(self, save_directory: Path) -> None:
            save_folder(self.pipe, save_directory)

        @classmethod
        def _from_pretrained(cls, *, model_id: str, revision: str | None = None, **options: Any) -> HubFace:
            from facekit.pipeline import FacePipeline

            folder = Path(model_id)
            if not folder.is_dir():
                known = ("cache_dir", "force_download", "local_files_only", "token")
                kept = {name: options[name] for name in known if name in options}
                folder = Path(hub.snapshot_download(model_id, revision=revision, **kept))
            return cls(FacePipeline.from_pretrained(folder))

    return HubFace
