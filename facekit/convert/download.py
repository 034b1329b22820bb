"""Download an upstream file from the first working mirror: https, or Google Drive through gdown."""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from facekit.convert import https
from facekit.convert.https import Again, CutShort, MirrorFailure
from facekit.errors import FileError, MissingDependencyError, WeightsError, optional_import
from facekit.weights.cache import disk, say
from facekit.weights.manifest import Mirror, Source

# Largest number of gdown calls per file: version 5 can append to its own partial file forever.
_CALLS = 20
# Exceptions of gdown when Drive's pages are not as expected: it has no errors of its own for that.
_CONFUSED = (LookupError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError)


def download(source: Source, target: Path, check: Callable[[Path], str], remedy: str) -> str:
    """Download a file to ``target``; it has another name until it is complete and checked.

    Parameters
    ----------
    check:
        Function that returns the sha256 of the downloaded file, and raises WeightsError if it is wrong.
    remedy:
        Advice if no mirror works.

    Raises
    ------
    WeightsError
        If no mirror works, with the reason for each.
    FileError
        If the disk is full or the folder cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    with disk(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for mirror in source.mirrors:
        size = "" if source.size is None else f" ({source.size / 1e6:.1f} MB)"
        say(f"downloading {source.name}{size} from {mirror.label}")
        try:
            digest = _from(mirror, source, part, check)
        except MirrorFailure as failure:
            reasons.append(f"{mirror.label}: {failure}")
            continue
        except FileError as error:
            raise FileError(error.expected, error.got, f"{error.remedy}; then try again, or {remedy}") from error
        os.replace(part, target)
        https.discard(part)
        return digest
    raise WeightsError(f"{source.name} from one of {len(source.mirrors)} mirrors", "; ".join(reasons), remedy)


def _from(mirror: Mirror, source: Source, part: Path, check: Callable[[Path], str]) -> str:
    """Download and check ``part`` from a mirror; raise MirrorFailure."""
    while True:
        try:
            resumed = _drive(mirror.drive, part) if mirror.drive else https.get(mirror.link, part, source.size)
        except CutShort as short:
            # Servers may announce a wrong length: the received bytes may be complete.
            with contextlib.suppress(WeightsError):
                return check(part)
            raise MirrorFailure(f"{short}") from short
        try:
            return check(part)
        except WeightsError as error:
            https.discard(part)
            if not resumed:  # otherwise bytes from earlier may be to blame: retry from the beginning
                raise MirrorFailure(error.got) from error


# -- Google Drive -----------------------------------------------------------------------------------------------------


def _drive(file_id: str, part: Path) -> bool:
    """Download a Drive file to ``part`` with gdown 5 or 6; return whether earlier bytes were continued."""
    try:
        gdown = optional_import("gdown", "weights", "downloads from Google Drive")
    except MissingDependencyError as error:
        raise MirrorFailure(f"gdown is missing; {error.remedy}") from error
    folder = part.with_name(f"{part.name}.gdown")  # its partial files have random names
    output = folder / part.name.removesuffix(".part")
    resumed = _leftovers(folder) > 0
    best, fruitless = _leftovers(folder), 0
    for call in range(1, _CALLS + 1):
        with disk(folder):
            folder.mkdir(exist_ok=True)
        try:
            _gdown(gdown, file_id, output)
            break
        except Again as again:
            here = _leftovers(folder)
            fruitless = fruitless + 1 if here <= best else 0
            best = max(best, here)
            if fruitless >= https.ATTEMPTS or call == _CALLS:
                raise MirrorFailure(f"{again}, again and again") from again
            time.sleep(min(https.PAUSE * 2**fruitless, https.LONGEST_PAUSE))
        except MirrorFailure:
            if not resumed:
                raise
            shutil.rmtree(folder, ignore_errors=True)  # perhaps only the earlier bytes are wrong
            resumed, best = False, 0
    if not output.is_file():
        raise MirrorFailure("gdown downloaded nothing")
    os.replace(output, part)
    shutil.rmtree(folder, ignore_errors=True)
    return resumed


def _leftovers(folder: Path) -> int:
    """Return the size of gdown's partial file; of several, among which it refuses to choose, keep the largest."""
    parts = sorted(folder.glob("*.part"), key=lambda p: p.stat().st_size) if folder.is_dir() else []
    for smaller in parts[:-1]:
        smaller.unlink()
    return parts[-1].stat().st_size if parts else 0


def _gdown(gdown: Any, file_id: str, output: Path) -> None:
    """Call gdown once to create ``output``; raise MirrorFailure, or _Again if another call may succeed."""
    import requests

    known = inspect.signature(gdown.download).parameters
    options: dict[str, Any] = {"quiet": not sys.stderr.isatty() and "ipykernel" not in sys.modules, "resume": True}
    if "timeout" in known:
        options["timeout"] = https.TIMEOUT
    try:
        with contextlib.nullcontext() if "timeout" in known else _timeouts(requests):
            result = gdown.download(id=file_id, output=str(output), **options)
    except _errors(gdown) as error:  # gdown 6; in version 5 only for some failures
        text = " ".join(str(error).split())
        if "incomplete" in text:
            raise Again("the answer ended early") from error
        quota = "public link" in text or "Too many users" in text or "quota" in text.lower()
        raise MirrorFailure(f"{_QUOTA} (gdown: {text[:160]})" if quota else f"gdown: {text[:240]}") from error
    except requests.exceptions.RequestException as error:
        raise https.explain(error) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            with disk(output):
                raise
        raise MirrorFailure(f"gdown: {error}") from error
    except _CONFUSED as error:
        raise MirrorFailure(f"gdown: {type(error).__name__}: {error}") from error
    if result is None or not output.is_file():  # gdown 5
        raise MirrorFailure(f"{_QUOTA}: gdown downloaded nothing")


_QUOTA = "the file's download quota is used up for today, or it is no longer shared"


def _errors(gdown: Any) -> tuple[type[Exception], ...]:
    """Return the exception classes of the installed gdown."""
    places = (gdown, getattr(gdown, "exceptions", None))
    names = ("DownloadError", "FileURLRetrievalError")
    return tuple({getattr(place, name) for place in places for name in names if hasattr(place, name)})


@contextlib.contextmanager
def _timeouts(requests: Any) -> Iterator[None]:
    """Add a timeout to requests without one. gdown 5 has none, accepts none, and would wait forever for a silent
    server.
    """
    adapter = requests.adapters.HTTPAdapter
    plain = adapter.send

    def send(self: Any, request: Any, **options: Any) -> Any:
        return plain(self, request, **{**options, "timeout": options.get("timeout") or https.TIMEOUT})

    adapter.send = send
    try:
        yield
    finally:
        adapter.send = plain
