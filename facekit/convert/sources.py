"""Verification of upstream's files, by the published hash or by the one remembered from the first time."""

from __future__ import annotations

import json
from pathlib import Path

from facekit.convert import https
from facekit.errors import WeightsError
from facekit.files.atomic import atomic_write
from facekit.weights.cache import cache_folder, downloads_folder, locked, say, sha256_of
from facekit.weights.manifest import Source, record


def check_source(name: str, role: str, file: Path) -> str:
    """Compare an upstream file with its published size and sha256, or with the remembered sha256.

    Returns
    -------
    str
        The file's sha256.

    Raises
    ------
    WeightsError
        If it is another file, or an HTML page in its place.
    """
    source = record(name).sources[role]
    remedy = by_hand(name, role)
    if page := html_page(file):
        raise WeightsError(f"{source.name}", page, remedy)
    size = file.stat().st_size
    if source.size is not None and size != source.size:
        raise WeightsError(f"{source.name} of {source.size} bytes", f"{size} bytes", remedy)
    digest = sha256_of(file)
    compare(name, role, source, digest, "the wrong hash")
    return digest


def compare(name: str, role: str, source: Source, digest: str, got: str) -> None:
    """Compare an upstream file's sha256 with the published one, or else with the remembered one.

    ``got`` is the beginning of the message on the actual file.

    Raises
    ------
    WeightsError
        If they differ.
    """
    remedy = by_hand(name, role)
    if source.sha256 is not None and digest != source.sha256:
        raise WeightsError(
            f"{source.name} with the published sha256 {source.sha256[:12]}…", f"{got} {digest[:12]}…", remedy
        )
    first = remembered(name).get(role)
    if source.sha256 is None and first not in (None, digest):
        raise WeightsError(
            f"{source.name} with the sha256 {first[:12]}… of the first download or import",
            f"{got} {digest[:12]}…",
            f"to accept the new file, run: facekit weights remove {name}; and then fetch or import it again; {remedy}",
        )


def remembered(name: str) -> dict[str, str]:
    """Return the remembered sha256 of a model's upstream files by role."""
    path = cache_folder() / "remembered.json"
    try:
        hashes = json.loads(path.read_text(encoding="utf-8")).get(name, {})
        return {role: str(digest) for role, digest in hashes.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError("a readable list of hashes", f"{path} ({error!r})", f"delete {path}") from error


def remember(name: str, hashes: dict[str, str]) -> None:
    """Remember the sha256 of files without a published one, by role, and print so once; others are ignored."""
    sources = record(name).sources
    fresh = {role: digest for role, digest in hashes.items() if sources[role].sha256 is None}
    known = remembered(name)
    for role in fresh.keys() - known.keys():
        say(
            f"{sources[role].name} is not verified against a published hash (none is known); "
            f"its sha256 {fresh[role][:12]}… is remembered and checked from now on"
        )
    if fresh.keys() - known.keys():
        _write(name, {**fresh, **known})


def forget(name: str) -> bool:
    """Delete the remembered hashes of a model; return whether there were any."""
    found = bool(remembered(name))
    if found:
        _write(name, {})
    return found


def _write(name: str, hashes: dict[str, str]) -> None:
    path = cache_folder() / "remembered.json"
    with locked("remembered"):  # one file for all models
        data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        data[name] = hashes
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def html_page(file: Path) -> str | None:
    """Return an excerpt of an HTML page; None for any other file."""
    with file.open("rb") as opened:
        text = opened.read(1 << 16).lstrip().decode("utf-8", errors="replace")
    return https.html_reason(text) if text[:9].lower().startswith(("<!doctype", "<html", "<head")) else None


def by_hand(name: str, role: str) -> str:
    """Return the manual steps that replace a download, one per line: the browser's link, the destination, the
    command.
    """
    entry = record(name)
    folder = downloads_folder(name)
    source = entry.sources[role]
    command = f"facekit weights import {name}"
    if "checkpoints" in entry.sources:
        command += f" --checkpoints {folder / entry.sources['checkpoints'].name} --data {folder}"
    others = [s for r, s in entry.sources.items() if r != role and not (folder / s.name).is_file()]
    steps = [f"open {s.mirrors[0].link} in a browser and save it as {folder / s.name}" for s in (source, *others)]
    steps.append(f"run: {command}")
    return "by hand:\n" + "\n".join(f"{k}. {step}" for k, step in enumerate(steps, 1))
