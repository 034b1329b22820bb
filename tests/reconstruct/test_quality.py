"""Warnings about photographs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from facekit.reconstruct.quality import _told

pytest.importorskip("cv2", reason="the photo extra is not installed")


def told_of(pixels: np.ndarray, yaw: float = 0.0, error: float = 1.0) -> str:
    face = SimpleNamespace(box=(20.0, 20.0, 180.0, 180.0))
    return "; ".join(_told(pixels, face, yaw, 0.0, error))


def test_what_a_photograph_cannot_tell_is_told():
    grain = np.random.default_rng(0).integers(0, 255, (200, 200, 1)).astype(np.uint8)
    tinted = np.concatenate((grain, grain // 2, grain // 3), axis=2)
    assert told_of(tinted) == ""
    assert "no colour" in told_of(grain.repeat(3, axis=2))
    assert told_of(tinted // 12).startswith("the face is dark")
    assert "far side is a guess" in told_of(tinted, yaw=-50.0)
    assert "may cover the face" in told_of(tinted, error=9.0)
