"""Animations: frames, timing, loops, one palette, and the turntable."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from facekit.errors import InputError, MissingDependencyError
from facekit.viz.animation import save_animation, turntable

SUFFIXES = ("gif", "webp", "png")


def ramp(count: int = 5, size: int = 40) -> torch.Tensor:
    """(count, 3, size, size): a skin-coloured ramp that gets brighter."""
    x = torch.linspace(0.3, 0.8, size).expand(size, -1)
    return torch.stack([torch.stack([x, 0.75 * x, 0.6 * x]) * (0.7 + 0.3 * k / count) for k in range(count)])


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as picture:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]


def test_webp_leaves_nothing_of_the_frame_before(tmp_path):
    """A picture that darkens slightly from frame to frame: blocks that are not updated would be off by 17."""
    slow = torch.cat([ramp(1, 128) * (0.8 - 0.03 * k) for k in range(10)])
    last = frames_of(save_animation(slow, tmp_path / "a.webp", quality=80))[-1]
    assert np.abs(last - 255 * slow[-1].permute(1, 2, 0).numpy()).max() < 8


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("boomerang", "count"), [(False, 5), (True, 8)])
def test_frames_timing_and_loop(tmp_path, suffix, boomerang, count):
    path = save_animation(ramp(), tmp_path / f"a.{suffix}", fps=10, boomerang=boomerang)
    with Image.open(path) as picture:
        assert picture.n_frames == count
        assert picture.info["loop"] == 0
        picture.load()
        assert picture.info["duration"] == pytest.approx(100)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_come_close(tmp_path, suffix):
    back = frames_of(save_animation(ramp(), tmp_path / f"a.{suffix}"))
    wanted = (ramp() * 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.stack(back) - wanted).mean() < 4


def test_gif_noise_stands_still(tmp_path):
    """Equal frames stay equal, and so does the unchanged part of frames that differ elsewhere."""
    frames = ramp(1).repeat(3, 1, 1, 1)
    frames[1, :, :8] = 0.9
    frames[2, :, :8] = 0.1
    back = frames_of(save_animation(frames, tmp_path / "a.gif"))
    assert (back[0][8:] == back[1][8:]).all() and (back[1][8:] == back[2][8:]).all()


def test_gif_has_one_palette(tmp_path):
    path = save_animation(ramp(), tmp_path / "a.gif")
    used = np.unique(np.concatenate([frame.reshape(-1, 3) for frame in frames_of(path)]), axis=0)
    assert len(used) <= 256


def test_once(tmp_path):
    with Image.open(save_animation(ramp(), tmp_path / "a.gif", loop=False)) as picture:
        assert "loop" not in picture.info


@pytest.mark.parametrize(("name", "fps"), [("a.avi", 10), ("a.gif", 0), ("a.gif", 500)])
def test_refusals(tmp_path, name, fps):
    with pytest.raises(InputError):
        save_animation(ramp(), tmp_path / name, fps=fps)
    assert not list(tmp_path.iterdir())


def test_turntable(tiny_face, tiny_sweep):
    frames = turntable(tiny_face, frames=4, image_size=32)
    assert frames.shape == (4, 3, 32, 32)
    assert (frames[0] - frames[1]).abs().max() > 0.01
    assert turntable(tiny_face.mesh, frames=2, image_size=32).shape == (2, 3, 32, 32)
    with pytest.raises(InputError, match="one face"):
        turntable(tiny_sweep)


def test_a_turntable_has_room_for_hair(default_pipeline):
    face = default_pipeline(seed=15, hair="short01", detail=False)
    frames = turntable(face, frames=2, image_size=48, background=(1.0, 1.0, 1.0))
    assert frames[:, :, 0].min() == 1.0 and frames[:, :, 12].min() < 0.5  # nothing of it is cut off at the top


@pytest.mark.parametrize("size", [40, 41])
def test_video(tmp_path, size):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = save_animation(ramp(5, size), tmp_path / "a.mp4", fps=10, boomerang=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    frames = ffmpeg.read_frames(str(path))
    told = next(frames)
    even = size + size % 2
    assert told["size"] == (even, even) and told["fps"] == 10 and "yuv420p" in told["pix_fmt"]
    back = np.stack([np.frombuffer(frame, np.uint8).reshape(even, even, 3) for frame in frames])
    assert len(back) == 8
    wanted = (ramp(5, size) * 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(back[:5, : size - 1, : size - 1] - wanted[:, : size - 1, : size - 1]).mean() < 6


def test_video_without_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match=r"\[video\]"):
        save_animation(ramp(), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())
