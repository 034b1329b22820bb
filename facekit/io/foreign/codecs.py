"""Decompress glTF with Draco and meshopt, if the packages are installed."""

from __future__ import annotations

from typing import Any

import numpy as np

from facekit.errors import FileError, optional_import
from facekit.io.glb_read import Accessors

_DRACO = "KHR_draco_mesh_compression"
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
#: Largest size in bytes of decompressed data.
_MOST_BYTES = 1 << 28


def decode_primitive(numbers: Accessors, primitive: dict[str, Any]) -> None:
    """Decompress a Draco primitive and set its accessors' values.

    Raises
    ------
    MissingDependencyError
        If DracoPy is not installed.
    FileError
        If DracoPy cannot read the data.
    """
    packed = primitive.get("extensions", {}).get(_DRACO)
    if packed is None:
        return
    draco = optional_import("DracoPy", "files", "reading meshes that Draco compressed")
    data = numbers.bytes_of(packed["bufferView"])
    try:
        found = draco.decode(data)
        values = {entry["unique_id"]: np.asarray(entry["data"]) for entry in found.attributes}
        faces = np.asarray(found.faces, dtype=np.int64).reshape(-1)
    except Exception as error:  # a Cython module that raises arbitrary exceptions
        raise FileError("a mesh that Draco compressed", f"damaged data ({error})", "export the file again") from error
    for name, ident in packed["attributes"].items():
        if name in primitive["attributes"]:
            numbers.replaced[primitive["attributes"][name]] = values[ident]
    if "indices" in primitive:
        numbers.replaced[primitive["indices"]] = faces


def decode_views(numbers: Accessors) -> None:
    """Decompress meshopt buffer views, each into its own buffer.

    Raises
    ------
    MissingDependencyError
        If meshoptimizer is not installed.
    FileError
        If it cannot read the data.
    """
    buffers, views = list(numbers.buffers), numbers.gltf.get("bufferViews", [])
    for view in views:
        extensions = view.get("extensions", {})
        packed = next((extensions[name] for name in _MESHOPT if name in extensions), None)
        if packed is None:
            continue
        meshopt = optional_import("meshoptimizer", "files", "reading meshes that meshopt compressed")
        data = _unpacked(meshopt, packed, Accessors({"bufferViews": [packed]}, buffers[:]).bytes_of(0))
        view |= {"buffer": len(buffers), "byteOffset": 0, "byteLength": len(data)}
        if packed["mode"] == "ATTRIBUTES":
            view["byteStride"] = packed["byteStride"]
        buffers.append(data)
    numbers.buffers = buffers


def _unpacked(meshopt: Any, packed: dict[str, Any], data: bytes) -> bytes:
    count, stride, mode = int(packed["count"]), int(packed["byteStride"]), packed["mode"]
    if not 0 < count * stride <= _MOST_BYTES:
        raise FileError("a mesh that meshopt compressed", f"{count} times {stride} bytes", "export the file again")
    try:
        if mode == "ATTRIBUTES":
            return _filtered(meshopt, packed, meshopt.decode_vertex_buffer(count, stride, data), count, stride)
        decoder = meshopt.decode_index_buffer if mode == "TRIANGLES" else meshopt.decode_index_sequence
        indices = np.asarray(decoder(count, 4, data))  # with 2 it fills half of an array of 4
        return indices.astype(f"<u{stride}").tobytes()
    except Exception as error:  # a binding that raises arbitrary exceptions
        raise FileError("a mesh that meshopt compressed", f"damaged data ({error})", "export the file again") from error


def _filtered(meshopt: Any, packed: dict[str, Any], values: np.ndarray, count: int, stride: int) -> bytes:
    """Undo the compression filter."""
    name = packed.get("filter", "NONE")
    if name == "NONE":
        return values.tobytes()
    undo = {
        "OCTAHEDRAL": meshopt.decode_filter_oct,
        "QUATERNION": meshopt.decode_filter_quat,
        "EXPONENTIAL": meshopt.decode_filter_exp,
    }[name]
    return np.asarray(undo(np.ascontiguousarray(values), count, stride)).tobytes()
