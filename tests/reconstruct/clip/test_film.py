"""Reading videos: frames with timestamps, upright; and files that are not videos."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from facekit.errors import FileError
from facekit.files.film import write_mp4
from facekit.reconstruct import is_film
from facekit.reconstruct.clip import film as films
from facekit.reconstruct.clip.film import Film

pytest.importorskip("cv2")
ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Twelve frames, 64 high and 96 wide, the left half of frame k as bright as 20 k."""
    frames = []
    for k in range(12):
        frame = np.zeros((64, 96, 3), np.uint8)
        frame[:, :48] = 20 * k
        frames.append(frame)
    return write_mp4(frames, tmp_path_factory.mktemp("film") / "made.mp4", 25)


def changed(made: Path, name: str, *options: str, before: tuple[str, ...] = ()) -> Path:
    target = made.parent / name
    subprocess.run([ffmpeg, "-y", "-loglevel", "error", *before, "-i", str(made), *options, str(target)], check=True)
    return target


def test_frames_in_their_order(made):
    film = Film.open(made)
    assert (film.size, film.fps, film.count) == ((64, 96), 25.0, 12)
    for _ in range(2):  # as often as wanted
        frames = list(film)
        assert [frame.number for frame in frames] == list(range(12))
        np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 25, atol=1e-3)
        assert [round(frame.pixels[:, :40].mean() / 20) for frame in frames] == list(range(12))


def test_a_telephone_held_upright(made):
    turned = changed(made, "turned.mp4", "-c", "copy", before=("-display_rotation", "90"))
    film = Film.open(turned)
    last = list(film)[-1].pixels
    assert film.size == (96, 64) == last.shape[:2]
    assert abs(float(last[:40].mean()) - float(last[56:].mean())) > 100, "bright half above or below, no longer aside"


def test_a_rate_that_varies_has_the_containers_times(made):
    varied = changed(made, "varied.mp4", "-vf", "select='not(eq(mod(n,4),1))'", "-fps_mode", "vfr")
    times = [frame.time for frame in Film.open(varied)]
    np.testing.assert_allclose(times, np.array([0, 2, 3, 4, 6, 7, 8, 10, 11]) / 25, atol=1e-3)


def test_large_frames_are_scaled_down(made, monkeypatch):
    monkeypatch.setattr(films, "LONGEST", 48)
    film = Film.open(made)
    assert film.size == (32, 48) and next(iter(film)).pixels.shape == (32, 48, 3)


@pytest.mark.parametrize("content", [b"", b"no film " * 40, None])
def test_what_is_no_film_is_told(tmp_path, content):
    path = tmp_path / "some.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"some\.mp4"):
        Film.open(path)


def test_a_film_that_is_cut_off_ends_early(made):
    cut = made.parent / "cut.ts"
    whole = changed(made, "whole.ts", "-c:v", "mpeg2video", "-g", "1", "-b:v", "2M")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert 0 < len(list(Film.open(cut))) < 12


def test_photographs_are_no_films():
    assert is_film("a.MP4") and is_film(Path("b.mov")) and not is_film("c.jpg") and not is_film(["a.mp4"])
