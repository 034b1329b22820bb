"""The files of a sample: what each label is stored as, and how it is read back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from facekit.files.images import decode, encode, encode_png, to_uint8
from facekit.generate.sample import Sample

#: Files by label, and how to read them; ``KEY.json`` has the numbers.
FILES = {
    "rgb.png": "8-bit sRGB; rgb.jpg where the recipe asks for JPEG",
    "mask.png": "8 bits, ids of the classes; 255 is to be ignored",
    "depth.png": "16 bits, tenths of a millimetre along the view axis; 0 where nothing is",
    "depth.npy": "float32 mm along the view axis; inf where nothing is",
    "normals.npy": "float16 (H, W, 3), camera space: +X right, +Y up, +Z to the viewer; 0 where nothing is",
    "albedo.png": "8-bit sRGB without light; black where nothing is",
    "uv.npy": "float32 (H, W, 2), the atlas's UVs, origin at the lower left; -1 where nothing is",
    "json": "numbers: camera, pose, landmarks, codes and the scene",
}


def encoded(sample: Sample) -> dict[str, bytes]:
    """Content by suffix, in alphabetical order."""
    files = {"json": json.dumps(sample.numbers, separators=(",", ":"), sort_keys=True).encode()}
    for name, image in sample.images.items():
        files |= _image(name, image, sample.jpeg)
    return dict(sorted(files.items()))


def _image(name: str, image: torch.Tensor, quality: int | None) -> dict[str, bytes]:
    if name == "rgb" and quality is not None:
        return {"rgb.jpg": encode(to_uint8(image), ".jpg", quality)}
    if name in ("rgb", "albedo"):
        return {f"{name}.png": encode_png(to_uint8(image))}
    if name == "mask":
        return {"mask.png": encode_png(image.numpy())}
    if name == "depth":
        steps = torch.where(image.isfinite(), image * 10, 0.0).round().clamp(0, 65535).int().numpy().astype("uint16")
        return {"depth.png": encode_png(steps), "depth.npy": _npy(image.numpy())}
    array = image.permute(1, 2, 0).contiguous().numpy()
    return {f"{name}.npy": _npy(array.astype(np.float16) if name == "normals" else array)}


def decoded(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What :func:`encoded` wrote: arrays by label, and ``numbers``."""
    found: dict[str, Any] = {}
    for suffix, data in files.items():
        name = suffix.partition(".")[0]
        if suffix == "json":
            found["numbers"] = json.loads(data)
        elif suffix.endswith(".npy"):
            found[name] = np.load(io.BytesIO(data), allow_pickle=False)
        elif suffix != "depth.png":
            found[name] = decode(data)
    return found


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
