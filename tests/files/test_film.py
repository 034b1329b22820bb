"""Video files: frames are written and read back one at a time, and failed writes leave no file."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from facekit.errors import FileError, InputError
from facekit.files.film import write_mp4

ffmpeg = pytest.importorskip("imageio_ffmpeg")


def ramp(count: int) -> Iterator[np.ndarray]:
    for k in range(count):
        yield np.full((32, 48, 3), 40 + 10 * k, np.uint8)


def test_frames_come_back_in_order(tmp_path):
    path = write_mp4(ramp(12), tmp_path / "a.mp4", fps=24)
    frames = ffmpeg.read_frames(str(path))
    told = next(frames)
    assert told["size"] == (48, 32) and told["fps"] == 24
    levels = [np.frombuffer(frame, np.uint8).mean() for frame in frames]
    assert len(levels) == 12 and np.abs(np.array(levels) - (40 + 10 * np.arange(12))).max() < 3


def test_no_frame_is_kept(tmp_path):
    """While the last frame is generated, at most the previous one is still in memory."""
    alive: list[weakref.ref[np.ndarray]] = []

    def watched() -> Iterator[np.ndarray]:
        for frame in ramp(8):
            alive.append(weakref.ref(frame))
            yield frame
            gc.collect()
            held = sum(reference() is not None for reference in alive)
            assert held <= 3, f"{held} of {len(alive)} frames are held"

    write_mp4(watched(), tmp_path / "a.mp4", fps=24)
    assert len(alive) == 8


def test_refusals_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="at least one frame"):
        write_mp4([], tmp_path / "a.mp4", 24)
    with pytest.raises(InputError, match="even image_size"):
        write_mp4([np.zeros((31, 48, 3), np.uint8)], tmp_path / "a.mp4", 24)
    (tmp_path / "sound.wav").write_bytes(b"no sound")
    with pytest.raises(FileError, match="ffmpeg"):
        write_mp4(ramp(3), tmp_path / "a.mp4", 24, audio=tmp_path / "sound.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["sound.wav"]
