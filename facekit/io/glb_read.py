"""Read glTF files: chunks, accessors, and a fast path for GLB files written by facekit."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.conventions import MM_PER_METRE
from facekit.errors import FileError
from facekit.files.images import decode, to_float
from facekit.io.glb import QUANTIZATION
from facekit.io.glb_builder import CHUNK_BIN, CHUNK_JSON, MAGIC, VERSION
from facekit.mesh import FaceMesh
from facekit.source import FaceRig

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_REMEDY = "check the file, or export it again"


def read_rig(path: str | Path) -> FaceRig:
    """Read the base mesh of a GLB or glTF with its morph targets (without any, ``deltas`` is (0, V, 3)).

    Files written by facekit have the topology's vertex order; other files keep their own, with vertices merged that
    differ in UV alone.

    Raises
    ------
    FileError
        If the file is not glTF, is truncated, or contains no triangles.
    """
    from facekit.io.reading import read_rig as read

    return read(Path(path))


def chunks(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return JSON and binary chunk of a GLB; bytes beyond its stated length are ignored.

    Raises
    ------
    FileError
        If the data is not GLB, or is truncated.
    """
    if len(data) < 20 or struct.unpack_from("<I", data)[0] != MAGIC:
        raise FileError("a GLB file", "a file with another header", "check the file's format")
    version, length = struct.unpack_from("<II", data, 4)
    if version != VERSION or length > len(data):
        got = f"version {version} of {length} bytes, {len(data)} of them there"
        raise FileError("a whole GLB of version 2", got, _REMEDY)
    found: dict[int, memoryview] = {}
    whole = memoryview(data)
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", data, offset)
        if offset + 8 + size > length:
            raise FileError("a whole GLB file", f"a chunk of {size} bytes that ends beyond it", _REMEDY)
        found.setdefault(kind, whole[offset + 8 : offset + 8 + size])
        offset += 8 + size
    if CHUNK_JSON not in found:
        raise FileError("a whole GLB file", "one without JSON", _REMEDY)
    return document(bytes(found[CHUNK_JSON])), found.get(CHUNK_BIN, whole[:0])


def document(text: bytes | str) -> dict[str, Any]:
    """Parse the JSON of a glTF.

    Raises
    ------
    FileError
        If the text is not a JSON object.
    """
    try:
        gltf = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError("a whole glTF file", f"JSON that is damaged ({error})", _REMEDY) from error
    if not isinstance(gltf, dict):
        raise FileError("a glTF file", "JSON of another kind", "check the file's format")
    return gltf


@dataclass
class Accessors:
    """Accessor data of a glTF.

    Parameters
    ----------
    gltf, buffers:
        The JSON, and the bytes of its buffers.
    replaced:
        Values of accessors that were decompressed.
    """

    gltf: Mapping[str, Any]
    buffers: Sequence[bytes | memoryview]
    replaced: dict[int, np.ndarray] = field(default_factory=dict)

    def read(self, index: int) -> np.ndarray:
        """Return the values of an accessor, (N,) or (N, C): float64 or integers, including sparse values.

        Raises
        ------
        ValueError, LookupError, TypeError
            If the accessor or its data is missing.
        """
        entry = self.gltf["accessors"][_at(index)]
        count, columns, kind = _at(entry["count"]), _COLUMNS[entry["type"]], _TYPES[entry["componentType"]]
        if index in self.replaced:
            values = self.replaced[index].reshape(-1, columns)
        elif "bufferView" in entry:
            values = self._view(entry["bufferView"], entry.get("byteOffset", 0), count, columns, kind)
        elif count * columns > self._most():
            raise ValueError(f"an accessor of {count} values without data")
        else:
            values = np.zeros((count, columns), dtype=kind)
        if "sparse" in entry:
            sparse = entry["sparse"]
            where, what = sparse["indices"], sparse["values"]
            n, offset = _at(sparse["count"]), where.get("byteOffset", 0)
            rows = self._view(where["bufferView"], offset, n, 1, _TYPES[where["componentType"]])[:, 0]
            values = values.copy()
            values[rows] = self._view(what["bufferView"], what.get("byteOffset", 0), n, columns, kind)
        if entry.get("normalized") and values.dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(values.dtype).max, -1)
        values = values.astype(np.float64) if values.dtype.kind == "f" else values
        return values[:, 0] if columns == 1 else values

    def bytes_of(self, view: int) -> bytes:
        """Return the bytes of a buffer view."""
        entry = self.gltf["bufferViews"][_at(view)]
        start, size = _at(entry.get("byteOffset", 0)), _at(entry["byteLength"])
        data = self.buffers[_at(entry.get("buffer", 0))]
        if start + size > len(data):
            raise ValueError("a buffer view that ends beyond its buffer")
        return bytes(data[start : start + size])

    def _most(self) -> int:
        """Largest number of values of an accessor without data, bounded by the file's size."""
        return 64 * (sum(len(buffer) for buffer in self.buffers) + 4096)

    def _view(self, index: int, offset: int, count: int, columns: int, kind: str) -> np.ndarray:
        view, size = self.gltf["bufferViews"][_at(index)], np.dtype(kind).itemsize
        data = self.buffers[_at(view.get("buffer", 0))]
        start, stride = _at(view.get("byteOffset", 0)) + _at(offset), _at(view.get("byteStride", 0)) or columns * size
        if count and start + (count - 1) * stride + columns * size > len(data):
            raise ValueError("data beyond the end of its buffer")
        return np.ndarray((count, columns), kind, data, start if count else 0, (stride, size))


def _at(value: Any) -> int:
    """Check an index or count in the JSON: a non-negative integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} in place of a number of 0 or more")
    return value


def read_own(data: bytes) -> FaceRig | None:
    """Read an unmodified GLB written by facekit; None for any other file.

    The file must name facekit as generator, have its structure, and its seam copies must coincide with their vertices:
    a tool that reorders vertices may have kept the generator's name.

    Raises
    ------
    FileError
        If the file is truncated or its texture is damaged.
    """
    if data[:4] != struct.pack("<I", MAGIC):
        return None
    gltf, binary = chunks(data)
    try:
        if not str(gltf["asset"].get("generator", "")).startswith("facekit "):
            return None
        (mesh,), nodes = gltf["meshes"], gltf["nodes"]
        # Hair is the second primitive, and not part of the head.
        primitive, *cards = mesh["primitives"]
        if len(cards) > 1 or any(gltf["materials"][c["material"]].get("name") != "hair" for c in cards):
            return None
        if set(gltf.get("extensionsRequired", [])) - {QUANTIZATION} or primitive.get("extensions"):
            return None
        if primitive.get("mode", 4) != 4 or _moved(nodes):
            return None
        return _own_rig(Accessors(gltf, [binary]), mesh, primitive)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None  # the general reader reports the error


def _moved(nodes: list[dict[str, Any]]) -> bool:
    """Return True if nodes transform the mesh; the pivot of a clip's head, which cancels out, does not count."""
    known = all(set(node) <= {"name", "mesh", "translation", "children"} for node in nodes)
    places = np.array([node.get("translation", [0.0, 0.0, 0.0]) for node in nodes])
    return not known or len(nodes) > 2 or bool(np.abs(places.sum(axis=0)).max() > 1e-6)


def _own_rig(numbers: Accessors, mesh: dict[str, Any], primitive: dict[str, Any]) -> FaceRig | None:
    attributes, targets = primitive["attributes"], primitive.get("targets", [])
    names = mesh.get("extras", {}).get("targetNames", [])
    if len(names) != len(targets) or "COLOR_0" in attributes:
        return None
    verts = numbers.read(attributes["POSITION"]) * MM_PER_METRE
    faces = numbers.read(primitive["indices"]).astype(np.int64).reshape(-1, 3)
    uvs = numbers.read(attributes["TEXCOORD_0"]) * [1, -1] + [0, 1]
    deltas = np.zeros((len(targets), len(verts), 3), dtype=np.float32)
    for delta, target in zip(deltas, targets, strict=True):
        delta[:] = numbers.read(target["POSITION"]) * MM_PER_METRE
    copies = np.array(numbers.gltf["asset"]["extras"]["seamCopies"], dtype=np.int64).reshape(-1)
    count = len(verts) - len(copies)
    whole = np.isfinite(verts).all() and np.isfinite(uvs).all() and np.isfinite(deltas).all()
    if not (whole and len(faces) and len(uvs) == len(verts) and faces.max() < len(verts)):
        return None
    if len(copies) and not (count > 0 and copies.min() >= 0 and copies.max() < count):
        return None
    if not ((verts[count:] == verts[copies]).all() and (deltas[:, count:] == deltas[:, copies]).all()):
        return None
    original = np.concatenate([np.arange(count), copies])
    neutral = FaceMesh(
        verts=torch.from_numpy(verts[:count].astype(np.float32))[None],
        faces=torch.from_numpy(original[faces]),
        uvs=torch.from_numpy(uvs.astype(np.float32)),
        faces_uvs=torch.from_numpy(faces),
        texture=_own_texture(numbers, primitive),
    )
    weights = torch.tensor(mesh.get("weights", [0.0] * len(targets)), dtype=torch.float32)
    return FaceRig(neutral, tuple(names), torch.from_numpy(np.ascontiguousarray(deltas[:, :count])), weights)


def _own_texture(numbers: Accessors, primitive: dict[str, Any]) -> torch.Tensor | None:
    gltf = numbers.gltf
    surface = gltf["materials"][primitive["material"]]["pbrMetallicRoughness"]
    if "baseColorTexture" not in surface:
        return None
    source = gltf["textures"][surface["baseColorTexture"]["index"]]["source"]
    pixels = decode(numbers.bytes_of(gltf["images"][source]["bufferView"]))
    pixels = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3]
    return to_float(pixels)
