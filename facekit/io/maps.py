"""Displacement and normal maps as pictures.

A displacement is a 16-bit grey PNG with a JSON beside it that says how to read it, for other programs and for
:func:`load_displacement`; its normals are an 8-bit RGB PNG. Both lie in the UV layout of the albedo, with the same
pixels.
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

#: The pixel that means no displacement; the range is symmetric around it, so that 0 is not used.
MID_LEVEL = 32768
_STEPS = 32767
_FORMAT = "facekit displacement"


def save_maps(
    face: FaceOutput | FaceMesh, folder: str | Path, stem: str = "face", normal_map: bool = True
) -> list[Path]:
    """Write the displacement and normal maps of one face, or of all steps of a sweep.

    One face gives ``stem_displacement.png``, ``stem_displacement.json`` and ``stem_normal.png``; several are numbered,
    ``stem_00_displacement.png`` and so on, and have one range in common, so that a player need not read it anew.

    Parameters
    ----------
    face:
        B faces with displacement.
    folder:
        Where to; made if it is missing. The files of one face are written together or not at all, a PNG before its
        JSON: where that is, the other is.
    stem:
        What the files' names begin with.
    normal_map:
        Whether to write the normal maps too.

    Returns
    -------
    list
        The files written.

    Raises
    ------
    InputError
        For a face without displacement, or a displacement that is not finite.
    FileError
        When the folder cannot be written or the disk is full.
    """
    mesh = mesh_of(face)
    scale = displacement_scale(mesh)
    digits = max(2, len(str(len(mesh) - 1)))
    folder, written = expanded(folder), []
    for k in range(len(mesh)):
        name = stem if len(mesh) == 1 else f"{stem}_{k:0{digits}d}"
        files = {folder / file: data for file, data in encode_maps(mesh[k], name, scale, normal_map).items()}
        # The JSON of an older picture must not be taken for this one's.
        written += write_files(files, stale=[folder / f"{name}_displacement.json"])
    return written


def encode_maps(mesh: FaceMesh, stem: str, scale: float | None = None, normal_map: bool = True) -> dict[str, bytes]:
    """The files of one face by name, in the order in which they are to be written.

    Parameters
    ----------
    mesh:
        B = 1, on the CPU.
    scale:
        mm a step; None for :func:`displacement_scale`.
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
    """The mm that one step of 16 bits stands for, so that the greatest displacement of the batch just fits."""
    if mesh.displacement is None:
        raise InputError("a face with displacement", "one without", "make it with detail=True")
    largest = float(mesh.displacement.abs().max())
    if not math.isfinite(largest):
        raise InputError("finite displacement", "NaN or infinity", "check where the face comes from")
    return (largest or 1.0) / _STEPS


def load_displacement(path: str | Path) -> torch.Tensor:
    """Read a displacement that :func:`save_maps` wrote.

    Parameters
    ----------
    path:
        The PNG; its JSON lies beside it.

    Returns
    -------
    torch.Tensor
        (1, 1, H, W) float32 mm, exact within half a step.

    Raises
    ------
    FileError
        When either file is missing, damaged or not of this kind.
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
    """Lines with which a material names the maps: ``-mm`` has the mm of a pixel of 0 and the mm from there to 1."""
    scale = displacement_scale(mesh)
    low, span = -MID_LEVEL * scale, 65535 * scale
    return f"norm {stem}_normal.png\ndisp -mm {low:.9g} {span:.9g} {stem}_displacement.png\n"


def _describe(name: str, pixels: np.ndarray, scale: float) -> bytes:
    """The JSON beside a displacement."""
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
