"""Messages to the viewer: a binary block with a JSON header; displacements as a few quantised principal components.

A block is ``uint32`` length of the header, the header (UTF-8 JSON, padded with spaces), then the arrays, each aligned
to four bytes; all little-endian. The header's ``arrays`` gives each one's ``offset`` after the header, ``type``,
``shape`` and, for pictures, their media type.

The K keyframes of an expression have low rank. So displacements are sent as R principal components over the keyframes
(Alexa and Müller, *Representing animations by principal components*, 2000) and their K × R coefficients. Linear
interpolation of coefficients equals linear interpolation of keyframes; 60 keyframes take little more space than 15.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

FORMAT = 1
#: Largest error of a coordinate in a keyframe, mm: a fiftieth of a pixel in a portrait of 512 pixels.
POSITION_TOLERANCE = 0.01
#: Largest error of a weight or a tension.
WEIGHT_TOLERANCE = 0.02
#: Largest size in bytes of an expression's positions; beyond it the error grows instead, and is stored in the header.
POSITION_BUDGET = 2_100_000
WEIGHT_BUDGET = 180_000

_TYPES = {"uint8": "<u1", "int8": "<i1", "uint16": "<u2", "int16": "<i2", "uint32": "<u4", "float32": "<f4"}


@dataclass(frozen=True)
class Picture:
    """An encoded picture in a block.

    Parameters
    ----------
    data:
        The encoded file.
    mime:
        Its media type.
    """

    data: bytes
    mime: str


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray | Picture]) -> bytes:
    """Pack a header (any JSON value) and named arrays or pictures into one block."""
    table: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, value in arrays.items():
        if isinstance(value, Picture):
            data, entry = value.data, {"type": "picture", "mime": value.mime, "shape": [len(value.data)]}
        else:
            kind = value.dtype.name
            data = np.ascontiguousarray(value, dtype=_TYPES[kind]).tobytes()
            entry = {"type": kind, "shape": list(value.shape)}
        table[name] = {"offset": offset, **entry}
        padding = -len(data) % 4
        parts += [data, b"\0" * padding]
        offset += len(data) + padding
    text = json.dumps({"format": FORMAT, **header, "arrays": table}, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray | Picture]]:
    """The inverse of :func:`pack`."""
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    arrays: dict[str, np.ndarray | Picture] = {}
    for name, entry in header.pop("arrays").items():
        start = 4 + length + entry["offset"]
        if entry["type"] == "picture":
            arrays[name] = Picture(bytes(data[start : start + entry["shape"][0]]), entry["mime"])
        else:
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(data, _TYPES[entry["type"]], count, start)
            arrays[name] = values.reshape(entry["shape"])
    return header, arrays


@dataclass(frozen=True)
class Series:
    """K keyframes of n numbers as R components; keyframe k is ``coefficients[k] @ components``.

    Parameters
    ----------
    coefficients:
        (K, R) float32, including the components' scales.
    components:
        R arrays (n,), int16 for large components, int8 for small ones.
    error:
        Largest absolute error of any number in any keyframe.
    size:
        n.
    """

    coefficients: np.ndarray
    components: tuple[np.ndarray, ...]
    error: float
    size: int

    @classmethod
    def encode(cls, values: np.ndarray, tolerance: float, budget: int) -> Series:
        """Encode with the fewest components whose error is under ``tolerance``, or as many as fit in ``budget`` bytes.

        Parameters
        ----------
        values:
            (K, n) float: K keyframes of displacements.
        """
        rest = np.array(values, dtype=np.float32)
        _, directions = np.linalg.eigh(rest.astype(np.float64) @ rest.T.astype(np.float64))
        columns, components, spent = [], [], 0
        error = float(np.abs(rest).max(initial=0))
        for direction in directions.T[::-1].astype(np.float32):  # the strongest first
            if error <= tolerance:
                break
            along = direction @ rest
            span = float(np.abs(along).max())
            weight = span * float(np.abs(direction).max())
            limit, kind = (127, np.int8) if weight / 127 <= tolerance / 2 else (32767, np.int16)
            spent += along.size * np.dtype(kind).itemsize
            if spent > budget or span == 0:
                break
            steps = np.rint(along * (limit / span)).astype(kind)
            column = direction * np.float32(span / limit)
            rest -= column[:, None] * steps
            columns.append(column)
            components.append(steps)
            error = float(np.abs(rest).max())
        coefficients = np.stack(columns, axis=1) if columns else np.zeros((len(rest), 0), np.float32)
        return cls(coefficients, tuple(components), error, rest.shape[1])

    def decode(self) -> np.ndarray:
        """Return (K, n) float32, as the viewer decodes it."""
        total = np.zeros((len(self.coefficients), self.size), np.float32)
        for column, component in zip(self.coefficients.T, self.components, strict=True):
            total += column[:, None] * component
        return total

    def entries(self, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return header and arrays for a block, all under ``name``."""
        arrays = {f"{name}/coefficients": self.coefficients}
        arrays |= {f"{name}/{k}": component for k, component in enumerate(self.components)}
        return {"components": len(self.components), "error": round(self.error, 6), "size": self.size}, arrays


def read_series(name: str, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Series:
    """Read the series ``name`` from an unpacked block; ``header`` is the one from :meth:`Series.entries`."""
    components = tuple(arrays[f"{name}/{k}"] for k in range(header["components"]))
    return Series(arrays[f"{name}/coefficients"], components, header["error"], header["size"])
