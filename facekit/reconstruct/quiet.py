"""Keeps what C++ libraries tell of themselves off the terminal; their errors come as exceptions or as no result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send the process's standard error nowhere for the time of a block, and ask MediaPipe for silence."""
    for name, level in (("GLOG_minloglevel", "3"), ("TF_CPP_MIN_LOG_LEVEL", "3")):
        os.environ.setdefault(name, level)
    try:
        stream = os.dup(2)
    except OSError:  # no terminal, nothing to keep clean
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stream, 2)
            os.close(stream)
