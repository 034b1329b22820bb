"""Collect notes on what could not be imported from a file, for one warning."""

from __future__ import annotations

import warnings
from pathlib import Path

#: Largest number of notes in the warning; the others are only counted.
_MOST = 6


class ImportNotes:
    """Notes about one file, each once, for a single warning.

    Parameters
    ----------
    path:
        Path of the file, for the beginning of the warning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Add a note: a sentence without capital and full stop."""
        self._notes[" ".join(text.split())] = None

    def warn(self) -> None:
        """Issue one warning with all notes."""
        notes = list(self._notes)
        if not notes:
            return
        more = [f"and {len(notes) - _MOST} more"] if len(notes) > _MOST else []
        warnings.warn(f"{self.path.name}: {'; '.join(notes[:_MOST] + more)}", stacklevel=5)
