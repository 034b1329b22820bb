"""Tests, which mirror the package; paths of the repository and of the optional folder beside it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Data for building and testing that is no part of the repository: tests that need it skip where it is absent.
SHARED = ROOT.parent / "shared"
TRAINING_PACK = SHARED / "training-pack"
UPSTREAM = SHARED / "3dfacecam"
