"""Videos of a moving face: .mp4 through ffmpeg, with sound, or looping .webp."""

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
from facekit.render.frames import ahead

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
    """Render a face's motion in chunks of frames to an .mp4 (H.264) or a .webp.

    Parameters
    ----------
    face:
        Face (B = 1) made by a pipeline; its expression is kept.
    audio:
        Sound file, for .mp4; truncated to the length of the motion.
    image_size:
        Size in pixels, or (height, width); even numbers, as the codec requires.
    camera:
        One camera; by default the portrait camera.
    fps:
        Frames per second of the video; None for the motion's.
    quality, lights:
        See :func:`facekit.render.render`.
    detail:
        As in the pipeline's call; None for the face's own.
    chunk:
        Frames in memory at a time.

    Raises
    ------
    InputError
        If the sound file is missing or the format is not .mp4, the size is odd, or the face was not made by a pipeline.
    MissingDependencyError
        If the package imageio-ffmpeg is missing, for .mp4.
    """
    motion = motion if fps is None else motion.resample(fps)
    if audio is not None and path.suffix.lower() != ".mp4":
        raise InputError("an .mp4 for sound", f"{path.name!r}", "leave audio out, or rename the file")
    if audio is not None and not Path(audio).is_file():
        raise InputError("a sound file", f"none at {audio}", "check its name")
    options = {"image_size": image_size, "camera": camera, "quality": quality, "lights": lights}
    pipe = face.resolve_source()
    if not isinstance(pipe, FacePipeline):
        raise InputError("a face of FacePipeline", f"one of {type(pipe).__name__}", "make it with FacePipeline")
    detail = face.settings.detail if detail is None else detail
    faces = pipe.animate(
        face.latents, motion, chunk, detail, face.settings.detail_strength, face.settings.hair if face.hair else None
    )
    frames = progress(_pictures(ahead(faces, pipe.device), options), len(motion), "frames")
    if path.suffix.lower() == ".webp":
        return _webp(frames, path, motion.fps)
    return write_mp4(frames, path, motion.fps, audio)


def _pictures(faces: Iterator[FaceOutput], options: dict[str, Any]) -> Iterator[np.ndarray]:
    """Yield frames (H, W, 3) uint8."""
    for some in faces:
        rgb = some.render(**options).rgb
        yield from (rgb * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _webp(frames: Iterator[np.ndarray], path: Path, fps: float) -> Path:
    """Write a looping WebP; frames are encoded one at a time."""
    pictures = (Image.fromarray(frame) for frame in frames)
    timing: dict[str, Any] = {"save_all": True, "duration": round(1000 / fps), "loop": 0, "quality": 85, "method": 2}
    with atomic_write(path) as temporary:
        next(pictures).save(temporary, format="WEBP", append_images=pictures, **timing)
    return path
