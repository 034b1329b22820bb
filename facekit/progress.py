"""Progress bar for terminals and notebooks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_NOTEBOOK_COLUMNS = 88


def progress(iterable: Iterable[T], total: int | None = None, desc: str | None = None, initial: int = 0) -> Iterator[T]:
    """Iterate over ``iterable`` with a progress bar, as text in notebooks and terminals; silent in log files.

    Parameters
    ----------
    total:
        Number of items; by default ``len(iterable)`` if it has one.
    desc:
        Short label before the bar.
    initial:
        Number of items done earlier, at which the bar starts.
    """
    from tqdm import tqdm

    # Text in notebooks, too: a widget's bar is gone when the notebook is opened again without its kernel.
    notebook = _in_notebook()
    stream = sys.stdout if notebook else sys.stderr
    if not notebook and (stream is None or not stream.isatty()):  # programs without a terminal may have no stream
        return iter(iterable)
    width = _NOTEBOOK_COLUMNS if notebook else None
    return iter(tqdm(iterable, desc=desc, total=total, initial=initial, leave=True, file=stream, ncols=width))


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    kernel = None if shell is None else shell.get_ipython()
    return kernel is not None and hasattr(kernel, "kernel")
