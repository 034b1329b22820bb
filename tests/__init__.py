"""The tests mirror the package. Where the repository is, and the folder beside it that not every machine has."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Data for building and testing that is no part of the repository: tests that need it skip where it is absent.
SHARED = ROOT.parent / "shared"
TRAINING_PACK = SHARED / "training-pack"
UPSTREAM = SHARED / "3dfacecam"
