"""Pictures of a face that moves: .mp4 by ffmpeg, with its sound, or a looping .webp."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from facekit.errors import FileError, InputError, optional_import
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write
from facekit.motion.motion import Motion
from facekit.pipeline import FacePipeline
from facekit.progress import progress

if TYPE_CHECKING:
    from facekit.render import Camera


def save_video(
    motion: Motion,
    path: Path,
    face: FaceOutput,
    *,
    audio: str | Path | None = None,
    image_size: int | tuple[int, int] = 512,
    camera: Camera | None = None,
    fps: float | None = None,
    quality: str = "standard",
    lights: str = "studio",
    detail: bool | str | None = None,
    chunk: int = 8,
) -> Path:
    """Render a face's motion, a few frames at a time, into an .mp4 (H.264) or a .webp.

    Parameters
    ----------
    face:
        B = 1, of a pipeline: who it is, with the expression worn.
    audio:
        A file with the take's sound, for .mp4; what of it is longer than the motion is cut off.
    image_size:
        Pixels, or (height, width); even numbers, as the codec wants.
    camera:
        One camera; by default the portrait's.
    fps:
        Frames a second of the film; None for the motion's.
    quality, lights:
        See :func:`facekit.render.render`.
    detail:
        As of the pipeline's call; None for the face's own.
    chunk:
        Frames in memory at a time.

    Raises
    ------
    InputError
        For sound that is not there or goes with no .mp4, an odd size, or a face that no pipeline made.
    MissingDependencyError
        For .mp4 without the package imageio-ffmpeg.
    """
    motion = motion if fps is None else motion.resample(fps)
    if audio is not None and path.suffix.lower() != ".mp4":
        raise InputError("an .mp4 for sound", f"{path.name!r}", "leave audio out, or rename the file")
    if audio is not None and not Path(audio).is_file():
        raise InputError("a file of sound", f"none at {audio}", "check its name")
    options = {"image_size": image_size, "camera": camera, "quality": quality, "lights": lights}
    pipe = face.resolve_source()
    if not isinstance(pipe, FacePipeline):
        raise InputError("a face of FacePipeline", f"one of {type(pipe).__name__}", "make it with FacePipeline")
    detail = face.settings.detail if detail is None else detail
    faces = pipe.animate(face.latents, motion, chunk, detail, face.settings.detail_strength)
    frames = progress(_pictures(faces, options), len(motion), "frames")
    if path.suffix.lower() == ".webp":
        return _webp(frames, path, motion.fps)
    return _mp4(frames, path, motion.fps, audio)


def _pictures(faces: Iterator[FaceOutput], options: dict[str, Any]) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8, one after the other."""
    for some in faces:
        rgb = some.render(**options).rgb
        yield from (rgb * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _mp4(frames: Iterator[np.ndarray], path: Path, fps: float, audio: str | Path | None) -> Path:
    ffmpeg = optional_import("imageio_ffmpeg", "video", "writing .mp4").get_ffmpeg_exe()
    first = next(frames)
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise InputError("an even image_size for .mp4", f"{height} x {width}", "choose even numbers")
    command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{fps:g}", "-i", "-"]
    if audio is not None:
        command += ["-i", str(audio), "-c:a", "aac", "-b:a", "160k", "-shortest", "-map", "0:v", "-map", "1:a"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "17", "-pix_fmt", "yuv420p"]
    command += ["-movflags", "+faststart", "-threads", "1", "-f", "mp4"]
    with atomic_write(path) as temporary:
        with subprocess.Popen([*command, str(temporary)], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stderr is not None
            try:
                process.stdin.write(first.tobytes())
                for frame in frames:
                    process.stdin.write(frame.tobytes())
            except BrokenPipeError:
                pass  # ffmpeg stopped; what it says of it comes below
            finally:
                process.stdin.close()
            said = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            got = said.splitlines()[-1] if said else f"code {process.returncode}"
            raise FileError("ffmpeg to write the film", got, "check the sound's file and the room on the disk")
    return path


def _webp(frames: Iterator[np.ndarray], path: Path, fps: float) -> Path:
    """A looping WebP; the encoder takes the pictures one by one, too."""
    pictures = (Image.fromarray(frame) for frame in frames)
    timing: dict[str, Any] = {"save_all": True, "duration": round(1000 / fps), "loop": 0, "quality": 85, "method": 2}
    with atomic_write(path) as temporary:
        next(pictures).save(temporary, format="WEBP", append_images=pictures, **timing)
    return path
