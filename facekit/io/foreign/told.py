"""What could not be taken over from a file, told in one line."""

from __future__ import annotations

import warnings
from pathlib import Path

#: Notes in one line; of more only the number is told.
_MOST = 6


class Told:
    """Collects notes about one file, each once, and tells them together.

    Parameters
    ----------
    path:
        The file, for the line's beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes: dict[str, None] = {}

    def note(self, text: str) -> None:
        """Remember a note: a sentence without a capital and a full stop."""
        self._notes[" ".join(text.split())] = None

    def tell(self) -> None:
        """Warn once of all that was noted."""
        notes = list(self._notes)
        if not notes:
            return
        more = [f"and {len(notes) - _MOST} more"] if len(notes) > _MOST else []
        warnings.warn(f"{self.path.name}: {'; '.join(notes[:_MOST] + more)}", stacklevel=5)
