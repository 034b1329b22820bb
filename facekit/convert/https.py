"""Download one file over HTTP to a ``.part``, with resumption and retries.

A ``.part`` has a ``.part.json`` beside it with the address and the version of the file that its bytes belong to.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facekit.errors import optional_import
from facekit.weights.cache import disk, require_room

#: Timeouts in seconds: to connect, and between two pieces of a response.
TIMEOUT = (10.0, 30.0)
#: Number of consecutive attempts without new bytes before a mirror is given up.
ATTEMPTS = 5
#: Pause in seconds after the first of them, doubled each time; and its limit, also for a server's Retry-After.
PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Status codes that ask to retry.
BUSY = (408, 425, 429, 500, 502, 503, 504)
_CHUNK = 1 << 15


class MirrorFailure(Exception):
    """A mirror failed for this reason; the next one is tried."""


class CutShort(MirrorFailure):
    """The server sent less than it announced; the received bytes are kept."""


class Again(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class _State:
    """Identity of the file that a ``.part`` belongs to."""

    url: str
    validator: str | None = None
    total: int | None = None

    @classmethod
    def read(cls, part: Path, url: str) -> _State:
        """Read the state beside ``part``; delete a part of another address, or without state."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            state = cls(**json.loads(_beside(part).read_text(encoding="utf-8")))
            # Without validator and length there is no way to know whether the server still has the same file.
            if state.url == url and (state.validator or state.total):
                return state
        discard(part)
        return cls(url)

    def write(self, part: Path) -> None:
        with disk(part):
            _beside(part).write_text(json.dumps(asdict(self)), encoding="utf-8")


def _beside(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    """Delete a part and its state."""
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)


def length(part: Path) -> int:
    """Return the size of a part in bytes; 0 if there is none."""
    return part.stat().st_size if part.is_file() else 0


def get(url: str, part: Path, size: int | None) -> bool:
    """Download ``url`` to ``part``; return whether bytes of an earlier call were continued.

    Parameters
    ----------
    size:
        Expected size in bytes, if known.

    Raises
    ------
    MirrorFailure
        If this address fails.
    FileError
        If the disk is full.
    """
    requests = optional_import("requests", "weights", "downloads")
    _State.read(part, url)  # drops parts of other addresses
    best, fruitless = length(part), 0
    resumed = best > 0
    with requests.Session() as session, bar(part.name.removesuffix(".part"), best) as shown:
        while True:
            try:
                _attempt(session, url, part, size, shown)
                return resumed
            except Again as again:
                fruitless = fruitless + 1 if length(part) <= best else 0
                best = max(best, length(part))
                if fruitless >= ATTEMPTS:
                    kind = CutShort if length(part) else MirrorFailure
                    raise kind(f"{again}, {ATTEMPTS} times in a row") from again
                time.sleep(max(min(again.wait, LONGEST_PAUSE), min(PAUSE * 2**fruitless, LONGEST_PAUSE)))


def _attempt(session: Any, url: str, part: Path, size: int | None, shown: Any) -> None:
    """Make one request and append the received bytes to ``part``. Returns when it is complete, as far as the server
    says.
    """
    import requests

    state, offset = _State.read(part, url), length(part)
    headers = {"Accept-Encoding": "identity"}  # offsets count bytes on disk
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if state.validator:
            headers["If-Range"] = state.validator  # if the file has changed, the server sends all of it
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416 and offset:
                _at_the_end(response, part, offset)
                return
            offset = _begin(response, state, part, offset)
            shown.reset(state.total)
            shown.update(offset)
            with disk(part):
                require_room(part.parent, (state.total or 0) - offset)
                file = part.open("ab")
            # Otherwise urllib3 drops the last bytes, and lengths are compared below anyway.
            response.raw.enforce_content_length = False
            with file:
                for chunk in response.iter_content(_CHUNK):
                    with disk(part):
                        file.write(chunk)
                    shown.update(len(chunk))
                    if size is not None and file.tell() > size:
                        discard(part)
                        raise MirrorFailure(f"more than the expected {size} bytes")
    except requests.exceptions.RequestException as error:
        raise explain(error) from error
    received, wanted = length(part), size if size is not None else state.total
    if wanted is not None and received < wanted:
        raise Again(f"the answer ended at {received} of {wanted} bytes")


def _begin(response: Any, state: _State, part: Path, offset: int) -> int:
    """Check the response's headers; return the offset of its bytes: after the existing ones, or 0 to replace them."""
    check_status(response)
    headers = response.headers
    if headers.get("Content-Type", "").startswith("text/html"):
        raise MirrorFailure(html_reason(response.text[:65536]))
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        total = int(match[2]) if match and match[2] != "*" else None
        # With a validator the server itself confirms the file; otherwise compare its length.
        changed = not state.validator and state.total and total and total != state.total
        if not match or int(match[1]) != offset or changed:
            discard(part)
            raise Again("the server sent another piece than was asked for")
        state.total = total
        return offset
    if offset:
        discard(part)  # the server cannot resume, or the file has changed: start over
    announced = headers.get("Content-Length", "")
    plain = headers.get("Content-Encoding", "identity") == "identity"
    state.total = int(announced) if announced.isdigit() and plain else None
    strong = headers.get("ETag", "")
    state.validator = strong if strong and not strong.startswith("W/") else headers.get("Last-Modified")
    with disk(part):
        part.touch()
    state.write(part)
    return 0


def _at_the_end(response: Any, part: Path, offset: int) -> None:
    """Handle a server with nothing beyond the offset: the part is complete, unless the server says otherwise."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdigit() and int(total) != offset:
        discard(part)
        raise Again(f"the server's file has {total} bytes, {offset} are here")


def check_status(response: Any) -> None:
    """Raise for an unsuccessful status: Again if it may pass, else MirrorFailure."""
    code = response.status_code
    if code in BUSY:
        after = response.headers.get("Retry-After", "")
        raise Again(f"the server is busy (HTTP {code})", float(after) if after.isdigit() else 0.0)
    if code not in (200, 206):
        raise MirrorFailure(f"HTTP {code} {response.reason or ''}".strip())


def html_reason(text: str) -> str:
    """Return a short excerpt of an HTML page received in place of a file."""
    match = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    title = " ".join(match[1].split())[:80] if match else "untitled"
    if re.search(r"quota|too many users", text, re.IGNORECASE):
        return f"the file's download quota is used up for today ({title})"
    return f"an HTML page in its place ({title})"


def explain(error: Exception) -> Exception:
    """Convert an exception of requests: to Again, or to MirrorFailure if retrying will not help."""
    from requests import exceptions

    text, reason = str(error), getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        try:
            check_status(error.response)
        except (Again, MirrorFailure) as failure:
            return failure
    if isinstance(error, exceptions.SSLError):
        return MirrorFailure(f"no secure connection ({text})")
    if isinstance(error, exceptions.ProxyError):
        return MirrorFailure(f"the proxy refuses ({text})")
    if isinstance(error, exceptions.Timeout) or "timed out" in text.lower():
        return Again("the server stalled")
    if type(reason).__name__ in ("NameResolutionError", "NewConnectionError"):
        return MirrorFailure("no network: the server cannot be reached")
    if isinstance(error, (exceptions.ConnectionError, exceptions.ChunkedEncodingError)):
        return Again("the connection was cut")
    return MirrorFailure(f"{type(error).__name__}: {text}")


def bar(name: str, initial: int) -> Any:
    """Return a progress bar in bytes, in a terminal or a notebook; silent in a log file."""
    from tqdm.auto import tqdm

    silent = not sys.stderr.isatty() and "ipykernel" not in sys.modules
    return tqdm(desc=name, initial=initial, unit="B", unit_scale=True, unit_divisor=1000, disable=silent)
