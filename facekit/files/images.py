"""Read and write PNG and other picture files. Values are unchanged: no gamma, no colour profile."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.checks import whole
from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.forks import lock

if TYPE_CHECKING:
    import torch
    from PIL import Image

# zlib level 1 is 5 to 10 times faster than Pillow's default 6 on skin textures and costs about a tenth in size.
_COMPRESSION = 1

#: Textures with a longer side are scaled down by an integer, to a side of at most the second number.
_LARGEST_SIDE, _REDUCED_SIDE = 8192, 4096
#: Largest plausible number of pixels, and of pixels per byte (deflate's largest compression ratio): larger files are
#: rejected.
_MOST_PIXELS, _PIXELS_A_BYTE = 1 << 29, 1100
#: Lock on Pillow's limit, which is global to the process.
_LIMIT = lock()

_LOSSY = {".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0}, ".webp": {"format": "WEBP", "quality": 92}}


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """Convert (C, H, W) or (1, C, H, W) floats in [0, 1] to (H, W, C) uint8, rounded; C is 1, 3 or 4, and 1 is
    dropped.
    """
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise InputError(
            "one picture (C, H, W) with 1, 3 or 4 channels", f"{tuple(image.shape)}", "pick one of a batch"
        )
    array = (image.detach().clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).cpu().contiguous().numpy()
    return array[..., 0] if array.shape[2] == 1 else array


def to_float(array: np.ndarray) -> torch.Tensor:
    """Convert (H, W) or (H, W, C) uint8 or uint16 to (1, C, H, W) float32 in [0, 1]."""
    import torch

    _check(array)
    limit = np.iinfo(array.dtype).max
    image = torch.from_numpy(array.astype(np.float32) / limit)
    image = image[..., None] if image.ndim == 2 else image
    return image.permute(2, 0, 1)[None].contiguous()


def encode_png(array: np.ndarray) -> bytes:
    """Return a PNG of (H, W), (H, W, 3) or (H, W, 4) uint8, or of (H, W) uint16 (for displacement maps)."""
    _check(array)
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def encode_npy(array: np.ndarray) -> bytes:
    """Return an .npy file of numbers."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def encode(array: np.ndarray, suffix: str = ".png", quality: int | None = None) -> bytes:
    """Return a .png, .jpg (or .jpeg) or .webp of uint8 pixels; ``quality`` (1 to 100) is for the last two."""
    suffix = suffix.lower().replace(".jpeg", ".jpg")
    if suffix == ".png":
        return encode_png(array)
    if suffix not in _LOSSY:
        raise InputError(f"a picture suffix out of .png {' '.join(_LOSSY)}", repr(suffix), "choose one of these")
    from PIL import Image

    _check(array)
    if array.dtype != np.uint8:
        raise InputError(f"8-bit pixels for {suffix}", f"{array.dtype}", "use .png for 16 bits")
    options = dict(_LOSSY[suffix])
    if quality is not None:
        options["quality"] = whole(quality, "quality", 1, 100, "pass for instance quality=90")
    picture = Image.fromarray(np.ascontiguousarray(array))
    if suffix == ".jpg" and picture.mode == "RGBA":
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def save_image(array: np.ndarray, path: str | Path, quality: int | None = None) -> Path:
    """Write pixels in the format of :func:`encode` that the suffix chooses."""
    path = expanded(path)
    data = encode(array, path.suffix, quality)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def load_image(path: str | Path) -> np.ndarray:
    """Read the pixels of a picture file: (H, W), (H, W, 3) or (H, W, 4) uint8, or (H, W) uint16 for 16-bit grey."""
    path = expanded(path)
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise FileError("a whole picture file", f"{path} ({error})", "check the file, or write it again") from error


def decode(data: bytes) -> np.ndarray:
    """Decode a picture; inverse of :func:`encode`. Raises FileError for data that is not a complete picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode.startswith("I;16") or picture.mode == "I":
                return np.asarray(picture).astype(np.uint16)
            if picture.mode not in ("L", "RGB", "RGBA"):
                picture = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            return np.array(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        got = "unknown or damaged data" if isinstance(error, UnidentifiedImageError) else str(error)
        raise FileError("a whole PNG, JPEG or WebP", got, "check the file, or write it again") from error


def decode_texture(data: bytes) -> tuple[np.ndarray, int]:
    """Decode a picture in any format and mode that Pillow supports to colours.

    Returns
    -------
    tuple
        (H, W, 3) or, with transparency, (H, W, 4) uint8; and the integer by which a picture with a side of more than
        8192 pixels was scaled down, else 1.

    Raises
    ------
    FileError
        If the data is not a complete picture, or claims more pixels than its bytes can hold.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with _LIMIT, _open_large(data) as picture:
            width, height = picture.size
            if width * height > min(_MOST_PIXELS, len(data) * _PIXELS_A_BYTE):
                raise ValueError(f"{width} x {height} pixels in {len(data)} bytes")
            factor = 1 if max(width, height) <= _LARGEST_SIDE else -(-max(width, height) // _REDUCED_SIDE)
            if factor > 1:
                picture.draft(
                    "RGB", (max(width // factor, 1), max(height // factor, 1))
                )  # decodes JPEG at low resolution
                kind = "I" if picture.mode.startswith("I;16") else "RGBA" if picture.has_transparency_data else "RGB"
                kind = picture.mode if picture.mode in ("L", "I", "F") else kind
                large = picture if picture.mode == kind else picture.convert(kind)
                picture = large.reduce(max(1, -(-max(picture.size) // _REDUCED_SIDE)))
            return _as_colours(picture), factor
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        got = "unknown or damaged data" if isinstance(error, UnidentifiedImageError) else str(error)
        raise FileError("a whole picture", got, "check the file, or write it again") from error
    except (MemoryError, OverflowError, ArithmeticError, LookupError, TypeError, struct.error) as error:
        raise FileError("a whole picture", f"damaged data ({error!r})", "check the file, or write it again") from error


@contextlib.contextmanager
def _open_large(data: bytes) -> Iterator[Image.Image]:
    """Open a picture beyond Pillow's size limit: :func:`decode_texture` has its own limits."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(data)) as picture:
            yield picture
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _as_colours(picture: Image.Image) -> np.ndarray:
    mode = picture.mode
    if mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.float32) / 257.0
    elif mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(picture).astype(np.float32))
        top = float(values.max(initial=0.0))
        # Grey values of unknown range: 0 to 1, 8 bits or 16, whichever holds them.
        values = values * (255.0 if top <= 1.0 and mode == "F" else 1.0 if top <= 255.0 else 1.0 / 257.0)
    else:
        return np.array(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _check(array: np.ndarray) -> None:
    grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    colour = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    if not (grey or colour):
        raise InputError(
            "(H, W) uint8 or uint16, or (H, W, 3 or 4) uint8",
            f"{array.shape} {array.dtype}",
            "16 bits are for one channel; convert colours with to_uint8",
        )
