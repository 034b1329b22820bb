"""One file over HTTP into a ``.part``: goes on where it was interrupted, waits and asks again, knows when to stop.

A ``.part`` has a ``.part.json`` beside it: of which address, and of which version of the file, its bytes are.
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

#: Seconds to connect, and between two pieces of an answer, before it counts as stalled.
TIMEOUT = (10.0, 30.0)
#: Attempts in a row that bring nothing new before a mirror is given up.
ATTEMPTS = 5
#: Seconds to wait after the first of them; doubles each time. A server's own Retry-After is heeded up to the limit.
PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Status codes that ask to come again.
BUSY = (408, 425, 429, 500, 502, 503, 504)
_CHUNK = 1 << 15


class MirrorFailure(Exception):
    """A mirror gave nothing, for this reason; the next one is tried."""


class CutShort(MirrorFailure):
    """The server never sent as much as it announced; what came is kept."""


class Again(Exception):
    """One attempt failed in a way that another may not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class _State:
    """The file that a ``.part`` is a part of."""

    url: str
    validator: str | None = None
    total: int | None = None

    @classmethod
    def read(cls, part: Path, url: str) -> _State:
        """The state beside ``part``; a part of another address, or without any, is deleted."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            state = cls(**json.loads(_beside(part).read_text(encoding="utf-8")))
            # Without validator and length nothing tells whether the server still has the same file.
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
    """Delete a part and what is known of it."""
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)


def length(part: Path) -> int:
    """Bytes of a part; 0 where there is none."""
    return part.stat().st_size if part.is_file() else 0


def get(url: str, part: Path, size: int | None) -> bool:
    """Download ``url`` into ``part``; returns whether it went on from bytes of an earlier call.

    Parameters
    ----------
    size:
        Bytes that it should have, where that is known.

    Raises
    ------
    MirrorFailure
        When this address will not give it.
    FileError
        When the disk is full.
    """
    requests = optional_import("requests", "weights", "downloads")
    _State.read(part, url)  # drops what does not belong to this address
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
    """One request: appends to ``part`` what comes. Returns when it is whole as far as the server knows."""
    import requests

    state, offset = _State.read(part, url), length(part)
    headers = {"Accept-Encoding": "identity"}  # offsets count the bytes on the disk
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if state.validator:
            headers["If-Range"] = state.validator  # a file that has changed comes whole
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
            # Else urllib3 throws away what came last before the end, and lengths are compared below anyway.
            response.raw.enforce_content_length = False
            with file:
                for chunk in response.iter_content(_CHUNK):
                    with disk(part):
                        file.write(chunk)
                    shown.update(len(chunk))
                    if size is not None and file.tell() > size:
                        discard(part)
                        raise MirrorFailure(f"more than the {size} bytes that it should have")
    except requests.exceptions.RequestException as error:
        raise explain(error) from error
    received, wanted = length(part), size if size is not None else state.total
    if wanted is not None and received < wanted:
        raise Again(f"the answer ended at {received} of {wanted} bytes")


def _begin(response: Any, state: _State, part: Path, offset: int) -> int:
    """Look at the answer's head; where its bytes go: behind those that are there, or in their place."""
    check_status(response)
    headers = response.headers
    if headers.get("Content-Type", "").startswith("text/html"):
        raise MirrorFailure(html_reason(response.text[:65536]))
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        total = int(match[2]) if match and match[2] != "*" else None
        # With a validator the server itself vouches for the file; else its length has to do.
        changed = not state.validator and state.total and total and total != state.total
        if not match or int(match[1]) != offset or changed:
            discard(part)
            raise Again("the server sent another piece than was asked for")
        state.total = total
        return offset
    if offset:
        discard(part)  # the server cannot go on, or the file has changed: from the beginning
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
    """The server has nothing behind the offset: the part is whole, unless it says otherwise."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdigit() and int(total) != offset:
        discard(part)
        raise Again(f"the server's file has {total} bytes, {offset} are here")


def check_status(response: Any) -> None:
    """Raise for a status that is no success: Again for one that passes, MirrorFailure for one that stays."""
    code = response.status_code
    if code in BUSY:
        after = response.headers.get("Retry-After", "")
        raise Again(f"the server is busy (HTTP {code})", float(after) if after.isdigit() else 0.0)
    if code not in (200, 206):
        raise MirrorFailure(f"HTTP {code} {response.reason or ''}".strip())


def html_reason(text: str) -> str:
    """Text of an HTML page that came in place of a file, in a few words."""
    match = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    title = " ".join(match[1].split())[:80] if match else "untitled"
    if re.search(r"quota|too many users", text, re.IGNORECASE):
        return f"the file's download quota is used up for today ({title})"
    return f"an HTML page in its place ({title})"


def explain(error: Exception) -> Exception:
    """The failure that an exception of requests stands for: Again, or MirrorFailure where waiting will not help."""
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
    """A progress bar in bytes: in a terminal or a notebook; nothing in a log file."""
    from tqdm.auto import tqdm

    silent = not sys.stderr.isatty() and "ipykernel" not in sys.modules
    return tqdm(desc=name, initial=initial, unit="B", unit_scale=True, unit_divisor=1000, disable=silent)
