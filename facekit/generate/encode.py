"""File formats of labels; :mod:`facekit.data.shards` reads them."""

from __future__ import annotations

import json

import numpy as np
import torch

from facekit.files.images import encode, encode_npy, encode_png, to_uint8
from facekit.generate.sample import Sample
from facekit.render.labels import depth_steps

#: Files by label with descriptions; ``KEY.json`` has the numbers.
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
    """Return file contents by suffix, in alphabetical order."""
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
        return {"depth.png": encode_png(depth_steps(image)), "depth.npy": encode_npy(image.numpy())}
    array = image.permute(1, 2, 0).contiguous().numpy()
    return {f"{name}.npy": encode_npy(array.astype(np.float16) if name == "normals" else array)}
