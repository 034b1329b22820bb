"""Pictures of a face that moves: .mp4 by ffmpeg, with its sound, or a looping .webp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write
from facekit.files.film import write_mp4
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
    faces = pipe.animate(
        face.latents, motion, chunk, detail, face.settings.detail_strength, face.settings.hair if face.hair else None
    )
    frames = progress(_pictures(faces, options), len(motion), "frames")
    if path.suffix.lower() == ".webp":
        return _webp(frames, path, motion.fps)
    return write_mp4(frames, path, motion.fps, audio)


def _pictures(faces: Iterator[FaceOutput], options: dict[str, Any]) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8, one after the other."""
    for some in faces:
        rgb = some.render(**options).rgb
        yield from (rgb * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _webp(frames: Iterator[np.ndarray], path: Path, fps: float) -> Path:
    """A looping WebP; the encoder takes the pictures one by one, too."""
    pictures = (Image.fromarray(frame) for frame in frames)
    timing: dict[str, Any] = {"save_all": True, "duration": round(1000 / fps), "loop": 0, "quality": 85, "method": 2}
    with atomic_write(path) as temporary:
        next(pictures).save(temporary, format="WEBP", append_images=pictures, **timing)
    return path
