"""One progress bar for terminals and notebooks alike."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(iterable: Iterable[T], total: int | None = None, desc: str | None = None, initial: int = 0) -> Iterator[T]:
    """Go through ``iterable`` with a bar: a widget in a notebook, a line in a terminal, nothing in a log file.

    Parameters
    ----------
    total:
        Number of items; by default ``len(iterable)`` where it has one.
    desc:
        A word or two before the bar.
    initial:
        Items that were done earlier; the bar starts there.
    """
    notebook = _in_notebook()
    with warnings.catch_warnings():
        # Without ipywidgets tqdm falls back to text by itself; its warning about that only alarms people.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    # A notebook's output is no terminal either, so tqdm's own test (disable=None) would hide the bar there.
    silent = not notebook and (sys.stderr is None or not sys.stderr.isatty())
    if silent:  # programs without a terminal may have no standard error at all
        return iter(iterable)
    return iter(tqdm(iterable, total=total, desc=desc, initial=initial, leave=True))


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    kernel = None if shell is None else shell.get_ipython()
    return kernel is not None and hasattr(kernel, "kernel")
