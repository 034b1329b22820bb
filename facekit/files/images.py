"""PNG and other picture files to and from arrays. Values pass through as they are: no gamma, no colour profile."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write

if TYPE_CHECKING:
    import torch

# zlib level 1 is 5 to 10 times faster than Pillow's default 6 on skin textures and costs about a tenth in size.
_COMPRESSION = 1

_LOSSY = {".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0}, ".webp": {"format": "WEBP", "quality": 92}}


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """(C, H, W) or (1, C, H, W) floats in [0, 1] as (H, W, C) uint8, rounded; C is 1, 3 or 4, and 1 is dropped."""
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise InputError(
            "one picture (C, H, W) with 1, 3 or 4 channels", f"{tuple(image.shape)}", "pick one of a batch"
        )
    array = (image.detach().clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).cpu().contiguous().numpy()
    return array[..., 0] if array.shape[2] == 1 else array


def to_float(array: np.ndarray) -> torch.Tensor:
    """(H, W) or (H, W, C) uint8 or uint16 as (1, C, H, W) float32 in [0, 1]."""
    import torch

    _check(array)
    limit = np.iinfo(array.dtype).max
    image = torch.from_numpy(array.astype(np.float32) / limit)
    image = image[..., None] if image.ndim == 2 else image
    return image.permute(2, 0, 1)[None].contiguous()


def encode_png(array: np.ndarray) -> bytes:
    """A PNG of (H, W), (H, W, 3) or (H, W, 4) uint8, or of (H, W) uint16 (for displacement maps)."""
    _check(array)
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def encode(array: np.ndarray, suffix: str = ".png", quality: int | None = None) -> bytes:
    """A .png, .jpg or .webp of uint8 pixels; ``quality`` (1 to 100) is for the last two."""
    suffix = suffix.lower()
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
        options["quality"] = quality
    picture = Image.fromarray(np.ascontiguousarray(array))
    if suffix == ".jpg" and picture.mode == "RGBA":
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def save_image(array: np.ndarray, path: str | Path, quality: int | None = None) -> Path:
    """Write pixels as :func:`encode` makes them; the suffix chooses the format."""
    path = Path(path)
    data = encode(array, path.suffix, quality)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def load_image(path: str | Path) -> np.ndarray:
    """Pixels of a picture file: (H, W), (H, W, 3) or (H, W, 4) uint8, or (H, W) uint16 for 16-bit grey."""
    path = Path(path)
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise FileError("a whole picture file", f"{path} ({error})", "check the file, or write it again") from error


def decode(data: bytes) -> np.ndarray:
    """The inverse of :func:`encode`; raises FileError for data that is not a whole picture."""
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


def _check(array: np.ndarray) -> None:
    grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    colour = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    if not (grey or colour):
        raise InputError(
            "(H, W) uint8 or uint16, or (H, W, 3 or 4) uint8",
            f"{array.shape} {array.dtype}",
            "16 bits are for one channel; convert colours with to_uint8",
        )
