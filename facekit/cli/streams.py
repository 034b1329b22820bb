"""Standard output and error as shells really have them: pipes that close, full disks, closed, in any encoding."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class Stream:
    """A text stream that never raises: what happened to it is asked at the end.

    A reader that has seen enough (``| head -1``) is no reason to leave work half done, and no failure.

    Parameters
    ----------
    inner:
        The stream that is written to.
    """

    def __init__(self, inner: TextIO) -> None:
        self._inner = inner
        #: What went wrong, other than a reader who left.
        self.failure: OSError | None = None
        if isinstance(inner, io.TextIOWrapper):  # what an old terminal cannot show is written out, as \\u2026
            inner.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write, unless nobody reads any more."""
        try:
            return self._inner.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, unless nobody reads any more."""
        try:
            self._inner.flush()
        except OSError as error:
            self._give_up(error)
        except ValueError:  # closed meanwhile
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _give_up(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.failure = self.failure or error
        with contextlib.suppress(OSError, ValueError):  # without a file descriptor there is nothing left to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._inner.fileno())


@contextlib.contextmanager
def forgiving() -> Iterator[Stream | None]:
    """Replace both standard streams while a command runs; gives that of the output, None where it is closed."""
    if sys.stdout is None or sys.stderr is None:
        _occupy()
    before = sys.stdout, sys.stderr
    out = None if sys.stdout is None else Stream(sys.stdout)
    # A closed standard error must not turn ``print(..., file=sys.stderr)`` into one to the output.
    error = Stream(io.StringIO() if sys.stderr is None else sys.stderr)
    sys.stdout, sys.stderr = out, error  # type: ignore[assignment]
    try:
        yield out
    finally:
        for stream in (out, error):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Fill the places of closed streams: the next file that is opened would get their number, and all their output."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
