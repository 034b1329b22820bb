"""Write frames to an .mp4 through ffmpeg, one at a time."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from facekit.errors import FileError, InputError, optional_import
from facekit.files.atomic import atomic_write


def write_mp4(
    frames: Iterable[np.ndarray], path: Path, fps: float, audio: str | Path | None = None, quality: int = 92
) -> Path:
    """Write H.264 in a pixel format that every player supports.

    Parameters
    ----------
    frames:
        (H, W, 3) uint8 each, of one even size; consumed one by one, as ffmpeg takes them.
    audio:
        Sound file; truncated to the length of the video.
    quality:
        1 to 100; 85 looks like the original.

    Raises
    ------
    InputError
        If there are no frames, or sides are odd.
    MissingDependencyError
        If the package imageio-ffmpeg is not installed.
    FileError
        If ffmpeg fails.
    """
    ffmpeg = optional_import("imageio_ffmpeg", "video", "writing .mp4").get_ffmpeg_exe()
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError("at least one frame", "none", "pass pictures")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise InputError("an even image_size for .mp4", f"{height} x {width}", "choose even numbers")
    command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{fps:g}", "-i", "-"]
    if audio is not None:
        command += ["-i", str(audio), "-c:a", "aac", "-b:a", "160k", "-shortest", "-map", "0:v", "-map", "1:a"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", f"{round(40 - 0.25 * quality)}"]
    command += ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-threads", "1", "-f", "mp4"]
    with atomic_write(path) as temporary:
        with subprocess.Popen([*command, str(temporary)], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stderr is not None
            try:
                process.stdin.write(first.tobytes())
                for frame in frames:
                    process.stdin.write(frame.tobytes())
            except BrokenPipeError:
                pass  # ffmpeg stopped; its message is reported below
            finally:
                process.stdin.close()
            said = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            got = said.splitlines()[-1] if said else f"code {process.returncode}"
            raise FileError("ffmpeg to write the video", got, "check the sound file and the disk space")
    return path
