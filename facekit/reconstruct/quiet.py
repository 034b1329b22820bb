"""Silence the messages of C++ libraries; their errors are raised as exceptions or show as missing results."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Redirect the process's standard error to nowhere inside a ``with`` block, and silence MediaPipe."""
    for name, level in (("GLOG_minloglevel", "3"), ("TF_CPP_MIN_LOG_LEVEL", "3")):
        os.environ.setdefault(name, level)
    try:
        stream = os.dup(2)
    except OSError:  # no terminal to keep clean
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stream, 2)
            os.close(stream)
