"""Robust standard output and error: closed pipes, full disks, closed streams, any encoding."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class Stream:
    """Text stream that never raises; errors are recorded and checked at the end.

    A reader that stops early (``| head -1``) neither interrupts the work nor counts as a failure.

    Parameters
    ----------
    inner:
        The wrapped stream.
    """

    def __init__(self, inner: TextIO) -> None:
        self._inner = inner
        #: Error of the stream, other than a reader that stopped.
        self.failure: OSError | None = None
        if isinstance(inner, io.TextIOWrapper):  # characters that an old terminal cannot show are escaped as \\u2026
            inner.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write, unless the reader stopped."""
        try:
            return self._inner.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush, unless the reader stopped."""
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
    """Replace both standard streams while a command runs; yield that of the output, None if it is closed."""
    if sys.stdout is None or sys.stderr is None:
        _occupy()
    before = sys.stdout, sys.stderr
    out = None if sys.stdout is None else Stream(sys.stdout)
    # If standard error is closed, ``print(..., file=sys.stderr)`` must not write to standard output.
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
    """Occupy the file descriptors of closed streams: the next opened file would get them, and all output."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
