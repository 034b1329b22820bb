"""Builder of binary glTF files: buffer views, accessors and pictures."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

MAGIC, VERSION, CHUNK_JSON, CHUNK_BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
#: Buffer view targets: vertex data, indices, and none (for animations).
ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963
_LINEAR, _TRILINEAR, _CLAMP = 9729, 9987, 33071
_COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


class GlbBuilder:
    """Collect the binary chunk with its accessors and views."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to four as accessors require; return the view's index."""
        padding = -self.size % 4
        self.parts += [b"\0" * padding, data]
        self.views.append({"buffer": 0, "byteOffset": self.size + padding, "byteLength": len(data)})
        if target is not None:
            self.views[-1]["target"] = target
        self.size += padding + len(data)
        return len(self.views) - 1

    def accessor(self, array: np.ndarray, bounds: bool = False, target: int | None = None) -> int:
        """Append (N,) or (N, C) numbers; integers of two or more columns are normalized to [-1, 1] or [0, 1]."""
        array = np.ascontiguousarray(array)
        entry = _describe(array, bounds)
        size = array.shape[-1] * array.itemsize if array.ndim > 1 else array.itemsize
        data, stride = array, None
        if target == ARRAY_BUFFER and size % 4:  # vertices must be aligned to four bytes
            stride = size + -size % 4
            data = np.zeros((len(array), stride // array.itemsize), array.dtype)
            data[:, : array.shape[1]] = array
        entry["bufferView"] = self.view(data.tobytes(), target)
        if stride is not None:
            self.views[-1]["byteStride"] = stride
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def sparse(self, array: np.ndarray, kept: np.ndarray, bounds: bool = False) -> int:
        """Append (N, C) numbers that are zero outside of the rows ``kept`` (N,) bool; sparse if that is smaller."""
        rows = np.flatnonzero(kept)
        if not len(rows):
            rows = np.zeros(1, dtype=np.int64)  # an empty sparse accessor is not allowed
        index_type = np.uint16 if len(array) <= 65535 else np.uint32
        values = np.where(kept[rows, None], array[rows], 0).astype(array.dtype)
        row = array.shape[1] * array.itemsize
        if len(rows) * (row + np.dtype(index_type).itemsize) >= len(array) * (row + -row % 4):
            whole = np.zeros_like(array)
            whole[rows] = values
            return self.accessor(whole, bounds, ARRAY_BUFFER)
        entry = _describe(values, bounds) | {"count": len(array)}
        if bounds and len(rows) < len(array):  # the omitted rows are zero
            entry["min"] = np.minimum(entry["min"], 0).tolist()
            entry["max"] = np.maximum(entry["max"], 0).tolist()
        indices = self.view(rows.astype(index_type).tobytes())
        entry["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": indices, "componentType": _component(np.dtype(index_type))},
            "values": {"bufferView": self.view(values.tobytes())},
        }
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def texture(self, name: str, data: bytes, mime: str) -> dict[str, int]:
        """Add a picture; return the texture reference for a material."""
        self.images.append({"name": name, "bufferView": self.view(data), "mimeType": mime})
        return {"index": len(self.images) - 1}

    def tables(self) -> dict[str, Any]:
        """Return the top-level lists of everything collected."""
        tables: dict[str, Any] = {"accessors": self.accessors, "bufferViews": self.views}
        if self.images:
            sampler = {"magFilter": _LINEAR, "minFilter": _TRILINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}
            textures = [{"sampler": 0, "source": k} for k in range(len(self.images))]
            tables |= {"images": self.images, "samplers": [sampler], "textures": textures}
        return tables

    def pack(self, gltf: dict[str, Any]) -> bytes:
        """Return the file: header, JSON chunk and binary chunk."""
        binary = b"".join([*self.parts, b"\0" * (-self.size % 4)])
        gltf["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(gltf, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        return b"".join(
            [
                struct.pack("<III", MAGIC, VERSION, 12 + 8 + len(text) + 8 + len(binary)),
                struct.pack("<II", len(text), CHUNK_JSON),
                text,
                struct.pack("<II", len(binary), CHUNK_BIN),
                binary,
            ]
        )


def normalized(values: np.ndarray, kind: type[np.signedinteger | np.unsignedinteger]) -> np.ndarray:
    """Quantise numbers in [-1, 1], or [0, 1], to normalized integers; values outside are clamped."""
    most = np.iinfo(kind).max
    return np.clip(np.round(values * most), 0 if np.iinfo(kind).min == 0 else -most, most).astype(kind)


def _component(dtype: np.dtype) -> int:
    return _COMPONENTS[f"{dtype.kind}{dtype.itemsize}"]


def _describe(array: np.ndarray, bounds: bool) -> dict[str, Any]:
    kind = "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}"
    entry: dict[str, Any] = {"componentType": _component(array.dtype), "count": len(array), "type": kind}
    if array.ndim > 1 and array.dtype.kind != "f":
        entry["normalized"] = True
    if bounds:
        entry |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        if array.ndim == 1:
            entry |= {"min": [entry["min"]], "max": [entry["max"]]}
    return entry
