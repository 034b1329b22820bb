"""Displacement and normal maps as pictures.

A displacement map is a 16-bit grey PNG with a JSON file that describes its scale, for other programs and for
:func:`load_displacement`; a normal map is an 8-bit RGB PNG. Both have the UV layout and size of the albedo.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facekit.errors import FileError, InputError
from facekit.files.atomic import expanded, write_files
from facekit.files.images import encode_png, load_image, to_uint8
from facekit.io.arrays import mesh_of
from facekit.mesh import FaceMesh
from facekit.version import __version__

if TYPE_CHECKING:
    from facekit.face import FaceOutput

#: Pixel value of zero displacement; the range is symmetric around it, so that 0 is not used.
MID_LEVEL = 32768
_STEPS = 32767
_FORMAT = "facekit displacement"


def save_maps(
    face: FaceOutput | FaceMesh, folder: str | Path, stem: str = "face", normal_map: bool = True
) -> list[Path]:
    """Write the displacement and normal maps of one face, or of all steps of a sweep.

    One face gives ``stem_displacement.png``, ``stem_displacement.json`` and ``stem_normal.png``; several are numbered,
    ``stem_00_displacement.png`` and so on, and share one scale, so that a player reads it only once.

    Parameters
    ----------
    face:
        B faces with displacement.
    folder:
        Destination; created if it is missing. The files of one face are written together or not at all, each PNG before
        its JSON.
    stem:
        Prefix of the file names.
    normal_map:
        Whether to write the normal maps, too.

    Returns
    -------
    list
        The files written.

    Raises
    ------
    InputError
        If a face has no displacement, or it is not finite.
    FileError
        If the folder cannot be written or the disk is full.
    """
    mesh = mesh_of(face)
    scale = displacement_scale(mesh)
    digits = max(2, len(str(len(mesh) - 1)))
    folder, written = expanded(folder), []
    for k in range(len(mesh)):
        name = stem if len(mesh) == 1 else f"{stem}_{k:0{digits}d}"
        files = {folder / file: data for file, data in encode_maps(mesh[k], name, scale, normal_map).items()}
        # Remove the JSON of an older picture first, or it might be taken for this one's.
        written += write_files(files, stale=[folder / f"{name}_displacement.json"])
    return written


def encode_maps(mesh: FaceMesh, stem: str, scale: float | None = None, normal_map: bool = True) -> dict[str, bytes]:
    """Return the files of one face by name, in the order in which to write them.

    Parameters
    ----------
    mesh:
        B = 1, on the CPU.
    scale:
        mm per step; None for :func:`displacement_scale`.
    """
    scale = displacement_scale(mesh) if scale is None else scale
    name = f"{stem}_displacement.png"
    values = mesh.need("displacement")[0, 0].numpy().astype(np.float64)
    pixels = (np.rint(values / scale) + MID_LEVEL).astype(np.uint16)
    files = {name: encode_png(pixels), f"{stem}_displacement.json": _describe(name, pixels, scale)}
    if normal_map:
        files[f"{stem}_normal.png"] = encode_png(to_uint8(mesh.normal_map()))
    return files


def displacement_scale(mesh: FaceMesh) -> float:
    """Return the mm per 16-bit step at which the largest displacement of the batch just fits."""
    if mesh.displacement is None:
        raise InputError("a face with displacement", "one without", "make it with detail=True")
    largest = float(mesh.displacement.abs().max())
    if not math.isfinite(largest):
        raise InputError("finite displacement", "NaN or infinity", "check where the face comes from")
    return (largest or 1.0) / _STEPS


def load_displacement(path: str | Path) -> torch.Tensor:
    """Read a displacement map written by :func:`save_maps`.

    Parameters
    ----------
    path:
        Path of the PNG; its JSON must be beside it.

    Returns
    -------
    torch.Tensor
        (1, 1, H, W) float32 mm, exact within half a step.

    Raises
    ------
    FileError
        If either file is missing, damaged or of another kind.
    """
    path = expanded(path)
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            raise FileError("a displacement PNG and its JSON", f"no {file}", "copy both files to one folder")
    pixels = load_image(path)
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        got = f"{path} of shape {pixels.shape} and type {pixels.dtype}"
        raise FileError("a grey PNG of 16 bits", got, "export it again; other programs may have converted it")
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
        scale, middle = float(facts["scale"]), float(facts["mid_level"])
        if facts["format"] != _FORMAT or not 0 < scale < math.inf or not math.isfinite(middle):
            raise ValueError(f"format {facts['format']!r}, scale {scale}, mid_level {middle}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FileError("a displacement's JSON", f"{beside} ({error!r})", "export the displacement again") from error
    return torch.from_numpy(((pixels.astype(np.float64) - middle) * scale).astype(np.float32))[None, None]


def mtl_lines(mesh: FaceMesh, stem: str) -> str:
    """Return the MTL lines of the maps: ``-mm`` has the mm of pixel value 0 and the range in mm up to 1."""
    scale = displacement_scale(mesh)
    low, span = -MID_LEVEL * scale, 65535 * scale
    return f"norm {stem}_normal.png\ndisp -mm {low:.9g} {span:.9g} {stem}_displacement.png\n"


def _describe(name: str, pixels: np.ndarray, scale: float) -> bytes:
    """Return the JSON of a displacement map."""
    facts: dict[str, Any] = {
        "format": _FORMAT,
        "generator": f"facekit {__version__}",
        "file": name,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "bits": 16,
        "scale": scale,
        "mid_level": MID_LEVEL,
        "units": "millimetres",
        "range": [-_STEPS * scale, _STEPS * scale],
        "direction": "along the smooth vertex normal, above 0 outward",
        "uv_origin": "bottom-left: the first row of pixels is the top, v = 1",
        "colour_space": "linear (non-colour data)",
        "formula": "millimetres = (pixel - mid_level) * scale",
        # For programs that read pixels as 0 to 1: millimetres = (value - mid_level) * strength.
        "normalised": {"mid_level": MID_LEVEL / 65535, "strength": 65535 * scale},
    }
    return (json.dumps(facts, indent=1) + "\n").encode()
