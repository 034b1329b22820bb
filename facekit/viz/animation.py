"""Animations: WebP, GIF, animated PNG and MP4, and the turntable."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from facekit.checks import finite
from facekit.errors import InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.files.film import write_mp4
from facekit.mesh import FaceMesh
from facekit.viz.sheets import as_pictures

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.render import Camera

SUFFIXES = (".gif", ".webp", ".png", ".mp4")

# Bayer's 8 × 8 threshold matrix, -0.5 to 0.5. A fixed dither pattern is stable from frame to frame, where error
# diffusion would flicker.
_BAYER = np.array([[0]])
for _ in range(3):
    _BAYER = np.block([[4 * _BAYER, 4 * _BAYER + 2], [4 * _BAYER + 3, 4 * _BAYER + 1]])
_BAYER = (_BAYER + 0.5) / 64 - 0.5
# Amplitude in 8-bit steps: about the distance between neighbouring colours of a palette of skin tones.
_DITHER = 7.0


def save_animation(
    frames: torch.Tensor | Sequence[np.ndarray | Image.Image],
    path: str | Path,
    fps: float = 12.0,
    loop: bool = True,
    boomerang: bool = False,
    quality: int = 85,
) -> Path:
    """Write pictures as an animation; the suffix chooses .gif, .webp, .png (APNG) or .mp4 (H.264, extra ``video``).

    Parameters
    ----------
    frames:
        (N, 3, H, W) floats in [0, 1], or N arrays (H, W, 3) uint8 or PIL pictures, all of one size.
    fps:
        Frames per second, at most 50 (the limit of browsers for GIF).
    loop:
        Whether to repeat; ignored for .mp4.
    boomerang:
        Whether to append the frames in reverse, so that a sweep loops without a jump.
    quality:
        1 to 100, for .webp and .mp4.
    """
    path = expanded(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"an animation's name that ends in {' '.join(SUFFIXES)}", repr(path.name), "choose one of these"
        )
    fps = finite(fps, "fps", "pass for instance fps=12")
    if not 0 < fps <= 50:
        raise InputError("fps above 0 and up to 50", f"{fps}", "pass for instance fps=12")
    pictures = as_pictures(frames)
    # Both ends of a boomerang are shown once, or they would seem to pause.
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)] if boomerang else [*range(len(pictures))]
    if path.suffix.lower() == ".mp4":
        # An odd side is padded by a pixel.
        size = (pictures[0].width + pictures[0].width % 2, pictures[0].height + pictures[0].height % 2)
        even = (np.asarray(pictures[k].resize(size, Image.Resampling.BICUBIC)) for k in order)
        return write_mp4(even, path, fps, quality=quality)
    timing: dict[str, Any] = {"save_all": True, "duration": round(1000 / fps)}
    if loop:
        timing["loop"] = 0
    elif path.suffix.lower() != ".gif":
        timing["loop"] = 1  # a GIF without the loop block plays once; the other formats need the count
    buffer = io.BytesIO()
    if path.suffix.lower() == ".gif":
        pictures = _shared_palette(pictures)
        timing |= {"format": "GIF", "optimize": False, "disposal": 1}
    elif path.suffix.lower() == ".webp":
        # Store whole frames: with partial frames WebP leaves blocks of the previous frame in areas of little change,
        # which is visible in soft shadows. This takes 2 % more space.
        timing |= {"format": "WEBP", "quality": quality, "method": 3, "kmin": 0, "kmax": 1}
    else:
        timing |= {"format": "PNG", "compress_level": 3, "default_image": False}
    first, *rest = [pictures[k] for k in order]
    first.save(buffer, append_images=rest, **timing)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return path


def turntable(
    face: FaceOutput | FaceMesh, frames: int = 24, image_size: int = 512, camera: Camera | None = None, **options: Any
) -> torch.Tensor:
    """Render a face from all around, (frames, 3, H, W) float32 sRGB in [0, 1] on the CPU.

    Parameters
    ----------
    face:
        FaceOutput or FaceMesh with B = 1.
    frames:
        Number of views; the first is from the front.
    camera:
        Cameras to use instead; ``frames`` is then ignored.
    options:
        Options of :func:`facekit.render.render`.
    """
    from facekit.render import Camera, render
    from facekit.render.camera import HAIR_FRAMING

    if len(face) != 1:
        raise InputError("one face", f"a batch of {len(face)}", "pick one with face[i]")
    if isinstance(face, FaceMesh):
        mesh = face
    else:
        mesh, options = face.mesh, {"hair": face.hair or None, **options}
    framing = HAIR_FRAMING if options.get("hair") else {}
    cameras = Camera.turntable(frames, **framing) if camera is None else camera
    return render(mesh, camera=cameras, image_size=image_size, **options).rgb.cpu()


def _shared_palette(pictures: list[Image.Image]) -> list[Image.Image]:
    """Quantise the pictures to one palette of 256 colours: a shared palette does not flicker."""
    chosen = [
        pictures[k] for k in np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), 8)).round().astype(int))
    ]
    width = min(160, chosen[0].width)
    height = max(1, round(chosen[0].height * width / chosen[0].width))
    montage = Image.new("RGB", (width, height * len(chosen)))
    for k, picture in enumerate(chosen):
        montage.paste(picture.resize((width, height), Image.Resampling.BOX), (0, k * height))
    palette = montage.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=2)
    height, width = pictures[0].height, pictures[0].width
    pattern = np.tile(_BAYER, (height // 8 + 1, width // 8 + 1))[:height, :width, None] * _DITHER
    dithered = []
    for picture in pictures:
        values = np.clip(np.asarray(picture, dtype=np.float32) + pattern, 0, 255).astype(np.uint8)
        dithered.append(Image.fromarray(values).quantize(palette=palette, dither=Image.Dither.NONE))
    return dithered
