"""Fetch and remove models: one lock; upstream's files are downloaded, checked, converted once and cached."""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
import zlib
from pathlib import Path

from facekit.convert.download import download
from facekit.convert.sources import by_hand, check_source, forget, remember
from facekit.errors import FacekitError, InputError, WeightsError
from facekit.weights import store
from facekit.weights.cache import cache_folder, disk, downloads_folder, locked, say
from facekit.weights.manifest import ModelRecord, record


def ensure(name: str) -> None:
    """Fetch a model unless it is embedded or cached. Prints what it downloads."""
    if not store.ready(name):
        fetch(name)


def fetch(name: str) -> Path:
    """Download, check and convert a model into the cache, unless it is there. Resumes interrupted downloads.

    Safe to call from several processes: one downloads, the others wait.

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    InputError
        If the name is unknown.
    WeightsError
        If a file cannot be downloaded or is wrong; the message has the manual steps.
    FileError
        If the disk is full or the cache cannot be written.
    """
    entry = record(name)
    if store.ready(name):
        return store.model_folder(name)
    if not entry.sources:
        raise InputError("a model with download addresses", repr(name), "import it from files on your disk")
    with locked(name):
        if store.ready(name):  # another process was quicker
            return store.model_folder(name)
        say(f"fetching {name} from {entry.origin} to {cache_folder()}; {entry.notice or entry.licence}")
        hashes = {role: _obtain(entry, role) for role in entry.sources}
        _convert(name)
        remember(name, hashes)
        shutil.rmtree(downloads_folder(name), ignore_errors=True)
    return store.model_folder(name)


def remove(name: str) -> bool:
    """Delete a fetched model, its downloads, and the remembered hashes; return whether there was any.

    Raises
    ------
    InputError
        If the model is embedded.
    """
    if record(name).embedded:
        raise InputError("a model that was fetched or imported", repr(name), "the embedded one belongs to the package")
    with locked(name):
        folder, found = store.model_folder(name), False
        with contextlib.suppress(FacekitError):  # a damaged list of hashes must not prevent the removal
            found = forget(name)
        rubbish = cache_folder() / f".{name}.removed"
        for doomed in (folder, downloads_folder(name), cache_folder() / "importing" / name):
            if doomed.exists():
                found = True
                # Rename first: if this is interrupted, no half of it looks like a model.
                with disk(doomed):
                    shutil.rmtree(rubbish, ignore_errors=True)
                    os.replace(doomed, rubbish)
                    shutil.rmtree(rubbish)
    return found


def _obtain(entry: ModelRecord, role: str) -> str:
    """Return the sha256 of an upstream file after placing it, complete, in the downloads folder."""
    source = entry.sources[role]
    target = downloads_folder(entry.name) / source.name

    def check(file: Path) -> str:
        digest = check_source(entry.name, role, file)
        if source.sha256 is None and target.suffix == ".zip":
            _check_zip(file, source.name, by_hand(entry.name, role))
        return digest

    if not target.is_file():
        return download(source, target, check, by_hand(entry.name, role))
    try:
        return check(target)  # from an interrupted fetch, or put there manually
    except WeightsError as error:
        raise WeightsError(error.expected, f"{error.got} in {target}", f"delete it; {error.remedy}") from error


def _check_zip(file: Path, name: str, remedy: str) -> None:
    """Raise WeightsError unless a zip is complete, according to its own checksums."""
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise WeightsError(f"{name}, a whole zip", f"none ({error})", remedy) from error
    if damaged:
        raise WeightsError(f"{name}, a whole zip", f"a damaged {damaged} in it", remedy)


def _convert(name: str) -> Path:
    from facekit.convert.published import import_files  # imports torch

    folder = downloads_folder(name)
    return import_files(name, checkpoints=folder / record(name).sources["checkpoints"].name, data=folder)
