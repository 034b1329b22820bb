"""Read photographs in any format as upright 8-bit sRGB, with the focal length from EXIF.

OpenCV decodes them; Pillow, with ``pillow-heif`` if it is installed, decodes the formats that OpenCV does not know.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.errors import FacekitError, FileError, InputError, optional_import
from facekit.files.atomic import expanded
from facekit.reconstruct.quiet import quiet

#: Largest number of pixels in a picture, and the shortest side that can show a face.
MOST_PIXELS, LEAST_SIDE = 100_000_000, 32
#: Suffixes of files that are read from a folder.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif")
#: Diagonal of a 35 mm film frame, mm, for EXIF's equivalent focal length; grey level behind transparent pixels; EXIF
#: tags.
_DIAGONAL, _BEHIND = math.hypot(36.0, 24.0), 0.5
_ORIENTATION, _EXIF, _FOCAL_35, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0xA405, 0xA002, 0xA003
#: Number of counter-clockwise quarter turns, and whether to mirror first, by EXIF orientation.
_TURNS = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (1, 1), 6: (3, 0), 7: (3, 1), 8: (1, 0)}
#: A picture whose aspect ratio differs by more from its camera's was cropped.
_SAME_SHAPE = 0.02


@dataclass(frozen=True)
class Picture:
    """A photograph.

    Parameters
    ----------
    pixels:
        (H, W, 3) uint8 sRGB, upright.
    name:
        Name for messages.
    focal:
        Focal length in pixels from EXIF; None if unknown.
    notes:
        Messages for the user on how the picture was changed.
    """

    pixels: np.ndarray
    name: str
    focal: float | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def turned(self, quarters: int) -> Picture:
        """Return the picture after counter-clockwise quarter turns."""
        pixels = np.ascontiguousarray(np.rot90(self.pixels, quarters))
        note = f"{self.name}: turned by {90 * (quarters % 4)}°, so that the face is upright"
        return Picture(pixels, self.name, self.focal, (*self.notes, note))


def read_all(source: Any) -> list[Picture]:
    """Read one photograph, or several of one person.

    Parameters
    ----------
    source:
        A path, a folder's path, the file's bytes, an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in
        [0, 1], a tensor (3, H, W) or (1, 3, H, W) in [0, 1], a Pillow picture; or a sequence of these.

    Raises
    ------
    FileError
        If a file is missing, truncated or not a picture.
    InputError
        For any other type, for pictures of over 100 megapixels, and for an empty sequence.
    """
    if isinstance(source, (str, Path)) and expanded(source).is_dir():
        folder = expanded(source)
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not files:
            raise FileError("a folder with pictures", f"none in {folder}", f"known are {' '.join(SUFFIXES)}")
        return [read(path) for path in files]
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        if not len(source):
            raise InputError("at least one photograph", "an empty list", "pass a path")
        return [read(one, f"photograph {k + 1}") for k, one in enumerate(source)]
    return [read(source)]


def read(source: Any, name: str = "the photograph") -> Picture:
    """Read one photograph; see :func:`read_all`."""
    if isinstance(source, (str, Path)):
        path = expanded(source)
        if not path.is_file():
            raise FileError("a picture file", f"none at {path}", "check its name")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FileError("a picture that can be read", f"{path} ({error})", "check its permissions") from error
        return _decoded(data, path.name)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decoded(bytes(source), name)
    if isinstance(source, torch.Tensor):
        picture = source.detach().cpu()
        picture = picture[0] if picture.ndim == 4 and len(picture) == 1 else picture
        if picture.ndim != 3 or picture.shape[0] not in (1, 3, 4):
            raise InputError("a tensor (3, H, W) in [0, 1]", f"{tuple(source.shape)}", "or pass an array (H, W, 3)")
        return _picture(picture.permute(1, 2, 0).float().numpy(), name)
    if hasattr(source, "getexif") and hasattr(source, "convert"):  # a Pillow picture
        focal, turn = _exif(source.getexif(), source.size)
        return _picture(_of_pillow(source), name, focal, turn)
    if isinstance(source, np.ndarray):
        return _picture(source, name)
    raise InputError("a photograph: path, bytes, array, tensor or Pillow picture", type(source).__name__, "pass a path")


def _decoded(data: bytes, name: str) -> Picture:
    cv2 = optional_import("cv2", "photo", "reading photographs")
    if not data:
        raise FileError("a picture", f"an empty file, {name}", "check the file")
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors in a file are raised below; warnings are harmless
            header = _header(data)
        focal, turn = None, (0, 0)
        if header is not None:
            _check_size(header.size, name)
            focal, turn = _exif(header.getexif(), header.size)
        _check_whole(data, header, name)
        pixels = None if header is None and not _known_to_opencv(data) else _opencv(cv2, data)
        if pixels is None and header is not None:
            pixels = _of_pillow(header)
    except FacekitError:
        raise
    except Exception as error:  # decoders raise nearly any exception on damaged bytes
        raise FileError("a whole picture", f"{name} ({error})", "check the file, or save it again as JPEG") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before
    if pixels is None:
        kind = "text" if _is_text(data) else "unknown or damaged data"
        remedy = "save it as JPEG or PNG; HEIC needs: pip install pillow-heif"
        raise FileError("a picture (JPEG, PNG, WebP, …)", f"{kind} in {name}", remedy)
    return _picture(pixels, name, focal, turn)


def _opencv(cv2: Any, data: bytes) -> np.ndarray | None:
    """Decode with OpenCV: (H, W), RGB or RGBA pixels as stored; None for formats that OpenCV does not know."""
    try:
        with quiet():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        return None
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    return pixels


def _header(data: bytes) -> Any:
    """Open bytes with Pillow without decoding; None if they are not a picture."""
    import importlib
    import importlib.util

    from PIL import Image, UnidentifiedImageError

    if importlib.util.find_spec("pillow_heif") is not None:
        importlib.import_module("pillow_heif").register_heif_opener()
    try:
        return Image.open(io.BytesIO(data))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def _known_to_opencv(data: bytes) -> bool:
    """Return True if the bytes have the signature of a picture; OpenCV would read text as an old format."""
    return data[:4] in (b"\x89PNG", b"RIFF", b"GIF8", b"II*\0", b"MM\0*") or data[:2] in (b"\xff\xd8", b"BM")


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:512] and all(byte >= 9 for byte in data[:512])


def _check_whole(data: bytes, header: Any, name: str) -> None:
    """Reject truncated files: OpenCV fills the missing part with grey silently."""
    if header is None:
        return
    ends = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
    end = ends.get(header.format or "")
    if end is not None and not data.rstrip(b"\0\n\r ").endswith(end):
        try:
            header.copy().load()  # bytes after the picture are harmless
        except (OSError, SyntaxError, ValueError) as error:
            raise FileError("a whole picture", f"{name}, truncated ({error})", "copy or download it again") from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        got = f"{width * height / 1e6:.0f} in {name}"
        raise InputError(f"at most {MOST_PIXELS // 10**6} megapixels", got, "scale it down")


def _exif(exif: Any, size: tuple[int, int]) -> tuple[float | None, tuple[int, int]]:
    """Return the focal length in pixels, if EXIF gives it for the uncropped picture, and the turn that makes the
    picture upright.
    """
    try:
        turn = _TURNS.get(int(exif.get(_ORIENTATION, 1) or 1), (0, 0))
        more = exif.get_ifd(_EXIF)
        film = float(more.get(_FOCAL_35, 0) or 0)
        full = (float(more.get(_WIDTH, 0) or 0), float(more.get(_HEIGHT, 0) or 0))
    except (TypeError, ValueError, ZeroDivisionError, KeyError, AttributeError):
        return None, (0, 0)
    if not math.isfinite(film) or not 8 <= film <= 1200:
        return None, turn
    if min(full) > 0:
        shape, own = max(full) / min(full), max(size) / max(min(size), 1)
        if abs(shape / own - 1) > _SAME_SHAPE:
            return None, turn
    return film / _DIAGONAL * math.hypot(*size), turn


def _of_pillow(picture: Any) -> np.ndarray:
    if str(picture.mode).startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    return np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))


def _picture(pixels: np.ndarray, name: str, focal: float | None = None, turn: tuple[int, int] = (0, 0)) -> Picture:
    """Convert any pixel array to upright 8-bit sRGB."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 2, 3, 4)):
        raise InputError("pixels (H, W), (H, W, 3) or (H, W, 4)", f"{pixels.shape}", "pass one picture")
    _check_size((pixels.shape[1], pixels.shape[0]), name)
    if min(pixels.shape[:2]) < LEAST_SIDE:
        got = f"{pixels.shape[1]} x {pixels.shape[0]} in {name}"
        raise InputError(f"a photograph of {LEAST_SIDE} pixels per side or more", got, "take a larger one")
    if pixels.dtype == np.uint8:
        top = 255.0
    elif pixels.dtype == np.uint16:
        top = 65535.0
    elif np.issubdtype(pixels.dtype, np.floating):
        finite = bool(np.isfinite(pixels).all())
        low, high = (float(pixels.min()), float(pixels.max())) if finite else (float("nan"),) * 2
        if not finite or low < -0.01 or high > 1.01:
            raise InputError("floats in [0, 1]", f"{low:g} to {high:g}", "divide by 255")
        top = 1.0
    else:
        raise InputError("pixels of uint8, uint16 or floats", f"{pixels.dtype}", "convert them")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = pixels.shape[2]
    if pixels.dtype != np.uint8 or channels in (2, 4):
        values = pixels.astype(np.float32) / np.float32(top)
        if channels in (2, 4):
            cover = values[..., -1:]
            values = values[..., :-1] * cover + _BEHIND * (1 - cover)
        pixels = (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    quarters, mirrored = turn
    if mirrored:
        pixels = pixels[:, ::-1]
    return Picture(np.ascontiguousarray(np.rot90(pixels, quarters)), name, focal)
