"""Reading GLB files: the base mesh and its morph targets, back in millimetres and with V from the bottom."""

from __future__ import annotations

import json
import struct
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
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_IDENTITY = {
    "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    "rotation": [0, 0, 0, 1],
    "scale": [1, 1, 1],
}


def read_rig(path: str | Path) -> FaceRig:
    """The mesh of a GLB with its morph targets (none: ``names`` is empty and ``deltas`` (0, V, 3)).

    A file that facekit wrote comes back in the topology's own vertex order; another keeps the file's order, with a
    vertex for each side of a UV seam.

    Raises
    ------
    FileError
        For a file that is no GLB, is cut off, or holds something other than one plain triangle mesh.
    """
    path = Path(path)
    try:
        gltf, binary = _chunks(path.read_bytes())
        return _Reader(gltf, binary).rig()
    except FileError as error:
        raise FileError(error.expected, f"{path} ({error.got})", error.remedy) from error
    except (KeyError, IndexError, TypeError, ValueError, struct.error) as error:
        raise FileError(
            "a whole GLB file", f"{path} ({type(error).__name__}: {error})", "check the file, or export it again"
        ) from error


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or struct.unpack_from("<I", data)[0] != MAGIC:
        raise FileError("a GLB file", "a file that does not begin like one", "check the file's format")
    version, length = struct.unpack_from("<II", data, 4)
    if version != VERSION or length != len(data):
        got = f"version {version} of {length} bytes, {len(data)} of them there"
        raise FileError("a whole GLB of version 2", got, "check the file, or export it again")
    chunks, offset = {}, 12
    while offset + 8 <= len(data):
        size, kind = struct.unpack_from("<II", data, offset)
        chunks.setdefault(kind, data[offset + 8 : offset + 8 + size])
        offset += 8 + size
    gltf = json.loads(chunks[CHUNK_JSON])
    if not isinstance(gltf, dict):
        raise ValueError("the JSON chunk is no object")
    return gltf, chunks.get(CHUNK_BIN, b"")


class _Reader:
    def __init__(self, gltf: dict[str, Any], binary: bytes) -> None:
        self.gltf, self.binary = gltf, binary

    def rig(self) -> FaceRig:
        mesh, primitive = self._only_primitive()
        attributes = primitive["attributes"]
        verts = self.accessor(attributes["POSITION"]) * MM_PER_METRE
        if verts.shape[1:] != (3,) or not np.isfinite(verts).all():
            raise ValueError("positions that are not finite triples")
        indices = self.accessor(primitive["indices"]) if "indices" in primitive else np.arange(len(verts))
        faces = indices.astype(np.int64).reshape(-1, 3)
        if "TEXCOORD_0" in attributes:
            uvs = self.accessor(attributes["TEXCOORD_0"]) * [1, -1] + [0, 1]
        else:
            uvs = np.zeros((len(verts), 2))
        targets = primitive.get("targets", [])
        deltas = np.zeros((len(targets), len(verts), 3))
        for delta, target in zip(deltas, targets, strict=True):
            delta[:] = self.accessor(target["POSITION"]) * MM_PER_METRE if "POSITION" in target else 0

        faces_uvs, extras = faces, self.gltf["asset"].get("extras", {})
        copies = extras.get("seamCopies") if isinstance(extras, dict) else None
        if copies:  # facekit's own file: the copies at the end go back to the vertices they are of
            count = len(verts) - len(copies)
            original = np.concatenate([np.arange(count), np.array(copies, dtype=np.int64)])
            verts, deltas, faces = verts[:count], deltas[:, :count], original[faces]
        neutral = FaceMesh(
            verts=torch.tensor(verts, dtype=torch.float32)[None],
            faces=torch.from_numpy(faces),
            uvs=torch.tensor(uvs, dtype=torch.float32),
            faces_uvs=torch.from_numpy(faces_uvs.copy()),
            texture=self._texture(primitive),
        )
        names = mesh.get("extras", {}).get("targetNames", [f"target_{k}" for k in range(len(targets))])
        if len(names) != len(targets):
            raise ValueError(f"{len(names)} names for {len(targets)} morph targets")
        weights = torch.tensor(mesh.get("weights", [0.0] * len(targets)), dtype=torch.float32)
        return FaceRig(neutral, tuple(names), torch.tensor(deltas, dtype=torch.float32), weights)

    def _only_primitive(self) -> tuple[dict[str, Any], dict[str, Any]]:
        gltf = self.gltf
        remedy = "export one triangle mesh, untransformed and without compression"
        primitives = [(mesh, primitive) for mesh in gltf.get("meshes", []) for primitive in mesh["primitives"]]
        if len(primitives) != 1 or primitives[0][1].get("mode", 4) != 4:
            raise FileError("one primitive of triangles", f"{len(primitives)} primitives", remedy)
        unknown = [name for name in gltf.get("extensionsRequired", []) if name != QUANTIZATION]
        if unknown:
            raise FileError("a GLB without required extensions", ", ".join(unknown), remedy)
        self._check_transforms(remedy)
        return primitives[0]

    def _check_transforms(self, remedy: str) -> None:
        """Refuse a mesh that is not where its numbers say; a head's pivot, there and back again, is let through."""
        nodes = self.gltf.get("nodes", [])
        parent = {child: k for k, node in enumerate(nodes) for child in node.get("children", [])}
        place = np.zeros(3)
        index = next((k for k, node in enumerate(nodes) if "mesh" in node), None)
        while index is not None:
            node = nodes[index]
            if any(list(node.get(key, still)) != still for key, still in _IDENTITY.items()):
                raise FileError("an untransformed mesh", f"a transform at node {node.get('name')!r}", remedy)
            place += node.get("translation", [0, 0, 0])
            index = parent.pop(index, None)
        if np.abs(place).max() > 1e-6:
            raise FileError("an untransformed mesh", f"one moved by {place.round(4).tolist()}", remedy)

    def accessor(self, index: int) -> np.ndarray:
        """The values of an accessor, (N,) or (N, C): float64 or integers, with sparse values filled in."""
        entry = self.gltf["accessors"][index]
        count, columns, kind = entry["count"], _COLUMNS[entry["type"]], _TYPES[entry["componentType"]]
        if "bufferView" in entry:
            values = self._view(entry["bufferView"], entry.get("byteOffset", 0), count, columns, kind)
        else:
            values = np.zeros((count, columns), dtype=kind)
        if "sparse" in entry:
            sparse = entry["sparse"]
            where, what = sparse["indices"], sparse["values"]
            n, offset = sparse["count"], where.get("byteOffset", 0)
            rows = self._view(where["bufferView"], offset, n, 1, _TYPES[where["componentType"]])[:, 0]
            values = values.copy()
            values[rows] = self._view(what["bufferView"], what.get("byteOffset", 0), n, columns, kind)
        if entry.get("normalized"):
            values = np.maximum(values / np.iinfo(values.dtype).max, -1)
        values = values.astype(np.float64) if values.dtype.kind == "f" else values
        return values[:, 0] if columns == 1 else values

    def _view(self, index: int, offset: int, count: int, columns: int, kind: str) -> np.ndarray:
        view, size = self.gltf["bufferViews"][index], np.dtype(kind).itemsize
        start, stride = view.get("byteOffset", 0) + offset, view.get("byteStride", columns * size)
        if min(start, count, offset) < 0 or start + (count - 1) * stride + columns * size > len(self.binary):
            raise ValueError("data beyond the end of the binary chunk")
        return np.ndarray((count, columns), kind, self.binary, start, (stride, size))

    def _texture(self, primitive: dict[str, Any]) -> torch.Tensor | None:
        if "material" not in primitive:
            return None
        surface = self.gltf["materials"][primitive["material"]].get("pbrMetallicRoughness", {})
        if "baseColorTexture" not in surface:
            return None
        source = self.gltf["textures"][surface["baseColorTexture"]["index"]]["source"]
        image = self.gltf["images"][source]
        if "bufferView" not in image:
            raise FileError("a picture inside the GLB", "one in another file", "export it with embedded textures")
        view = self.gltf["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        pixels = decode(self.binary[start : start + view["byteLength"]])
        pixels = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3]
        return to_float(pixels)
