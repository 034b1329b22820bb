"""Binary glTF 2.0 with named morph targets.

The one place where facekit's conventions turn into glTF's: millimetres become metres, and V, which counts from the
bottom in facekit, counts from the top. The axes already agree (+Y up, +Z forward, +X the subject's left).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.color import srgb_to_linear
from facekit.conventions import AXES, MM_PER_METRE
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write
from facekit.files.images import encode, to_uint8
from facekit.geometry.charts import open_edges
from facekit.io.arrays import SplitTopology, mesh_of, split_at_seams
from facekit.mesh import FaceMesh
from facekit.source import FaceRig
from facekit.version import __version__

MAGIC, VERSION, CHUNK_JSON, CHUNK_BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FLOAT, UINT16, UINT32 = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_LINEAR, _TRILINEAR, _CLAMP = 9729, 9987, 33071
_MIME = {".png": "image/png", ".jpg": "image/jpeg"}

#: Displacements below this many metres, a thousandth of a millimetre, are left out of the sparse morph targets.
POSITION_TOLERANCE = 1e-6
#: Changes of a unit normal below this, a twentieth of a degree, are left out likewise: no eye sees them.
NORMAL_TOLERANCE = 1e-3


def write(
    subject: FaceOutput | FaceMesh,
    path: Path,
    morph_targets: bool = True,
    texture_format: str = "png",
    double_sided: bool | None = None,
    normal_map: bool = True,
    level: int = 0,
) -> Path:
    """Write one mesh with one PBR material, smooth normals and the texture inside.

    A FaceOutput that knows its expressions is written as its neutral face with 19 named morph targets, set to the
    weights of the expression it wears: what opens is the face as it was, with sliders. A FaceMesh, or
    ``morph_targets=False``, is written as it stands. Its displacement comes as a normal map: with morph targets that of
    the neutral face, since glTF cannot morph textures (:func:`facekit.io.maps.save_maps` writes those of a sweep).

    Parameters
    ----------
    texture_format:
        ``"png"``, lossless, or ``"jpg"``, a fifth of the size.
    double_sided:
        Whether back faces are drawn; None draws them where the surface has open edges.
    normal_map:
        Whether to write the normal map of a face with displacement, in the same format as the texture.
    level:
        0 for the mesh as it is; above, it is subdivided so many times and displaced, see
        :func:`facekit.geometry.displace.detailed_mesh`, and has neither normal map nor morph targets.
    """
    data = encode_glb(subject, morph_targets, texture_format, double_sided, normal_map, level)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def encode_glb(
    subject: FaceOutput | FaceMesh,
    morph_targets: bool = True,
    texture_format: str = "png",
    double_sided: bool | None = None,
    normal_map: bool = True,
    level: int = 0,
) -> bytes:
    """The bytes of the .glb file; see :func:`write`."""
    suffix = f".{texture_format.lower().lstrip('.')}"
    if suffix not in _MIME:
        raise InputError("a texture_format out of png, jpg", repr(texture_format), "choose one of these")
    rig = None
    if morph_targets and isinstance(subject, FaceOutput) and subject.can_rig:
        if level:
            raise InputError("level 0 with morph targets", f"level {level}", "pass morph_targets=False, or level=0")
        rig = subject.rig()
    mesh = mesh_of(subject if rig is None else rig.neutral)
    mesh = mesh.detailed(level) if level else mesh
    split = split_at_seams(mesh)

    builder = GlbBuilder()
    mapped = normal_map and mesh.displacement is not None
    primitive = _base(builder, mesh, split, mapped)
    node_mesh: dict[str, Any] = {"name": "face", "primitives": [primitive]}
    if rig is not None:
        primitive["targets"] = _targets(builder, mesh, rig, split)
        node_mesh["weights"] = [round(float(w), 6) for w in rig.weights]
        node_mesh["extras"] = {"targetNames": list(rig.names)}
    if double_sided is None:
        double_sided = bool(len(open_edges(mesh.faces)))
    gltf = {
        "asset": {"version": "2.0", "generator": f"facekit {_version()}", "extras": _metadata(subject, split)},
        "scene": 0,
        "scenes": [{"name": "face", "nodes": [0]}],
        "nodes": [{"name": "face", "mesh": 0}],
        "meshes": [node_mesh],
        "materials": [_material(builder, mesh, suffix, double_sided, mapped)],
        **builder.tables(),
    }
    return builder.pack(gltf)


def _base(builder: GlbBuilder, mesh: FaceMesh, split: SplitTopology, mapped: bool) -> dict[str, Any]:
    """The primitive without its morph targets; with tangents if it has a normal map."""
    positions = mesh.verts[0].numpy()[split.vertex] / np.float32(MM_PER_METRE)
    normals = mesh.normals()[0].numpy()[split.vertex]
    uvs = mesh.uvs.numpy()[split.uv] * np.array([1, -1], np.float32) + np.array([0, 1], np.float32)
    index_type = np.uint16 if len(split.vertex) < 65535 else np.uint32  # 65535 itself is reserved for restarts
    attributes = {
        "POSITION": builder.accessor(positions, bounds=True, target=_ARRAY_BUFFER),
        "NORMAL": builder.accessor(normals, target=_ARRAY_BUFFER),
        "TEXCOORD_0": builder.accessor(uvs, target=_ARRAY_BUFFER),
    }
    if mesh.texture is None and mesh.vertex_colors is not None:
        linear = srgb_to_linear(mesh.vertex_colors.clamp(0, 1))
        attributes["COLOR_0"] = builder.accessor(linear.numpy()[split.vertex], target=_ARRAY_BUFFER)
    if mapped:
        from facekit.geometry.displace import tangents

        # glTF's bitangent is w (normal x tangent), too, and green points up in its pictures as in ours.
        along = tangents(mesh, torch.from_numpy(split.vertex), torch.from_numpy(split.uv))
        attributes["TANGENT"] = builder.accessor(along[0].numpy(), target=_ARRAY_BUFFER)
    indices = builder.accessor(split.faces.astype(index_type).reshape(-1), target=_ELEMENT_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}


def _targets(builder: GlbBuilder, mesh: FaceMesh, rig: FaceRig, split: SplitTopology) -> list[dict[str, int]]:
    """One POSITION and one NORMAL displacement a morph target."""
    from facekit.geometry.normals import vertex_normals

    base = mesh.normals()
    targets = []
    for delta in rig.deltas.detach().cpu():  # one at a time: the normals of all at once fall out of the CPU's cache
        turn = vertex_normals(mesh.verts + delta, mesh.faces) - base
        moved = delta.numpy() / np.float32(MM_PER_METRE)
        targets.append(
            {
                "POSITION": builder.sparse(moved[split.vertex], POSITION_TOLERANCE, bounds=True),
                "NORMAL": builder.sparse(turn[0].numpy()[split.vertex], NORMAL_TOLERANCE),
            }
        )
    return targets


def _material(builder: GlbBuilder, mesh: FaceMesh, suffix: str, double_sided: bool, mapped: bool) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 0.6}
    material = {"name": "face", "pbrMetallicRoughness": surface, "doubleSided": double_sided}
    if mesh.texture is not None:
        surface["baseColorTexture"] = builder.texture("albedo", encode(to_uint8(mesh.texture), suffix), _MIME[suffix])
    elif mesh.vertex_colors is None:
        surface["baseColorFactor"] = [0.8, 0.8, 0.8, 1]
    if mapped:
        pixels = to_uint8(mesh.normal_map())
        material["normalTexture"] = builder.texture("normal", encode(pixels, suffix), _MIME[suffix])
    return material


def _metadata(subject: FaceOutput | FaceMesh, split: SplitTopology) -> dict[str, Any]:
    """Extras for what glTF has no field for. ``seamCopies`` lets :func:`read` give the topology its own order back."""
    extras: dict[str, Any] = {
        "source": {"units": AXES["units"], "uvOrigin": "bottom-left"},
        "seamCopies": split.copies.tolist(),
    }
    if isinstance(subject, FaceOutput):
        extras["model"] = subject.model
        extras["expression"] = subject.expression_weights()[0]
        if "seed" in subject.metadata:
            seed = subject.metadata["seed"]
            extras["seed"] = seed[0] if isinstance(seed, list) else seed
    return extras


def _version() -> str:
    return __version__


class GlbBuilder:
    """Collects the binary chunk with its accessors and views."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to four as every accessor wants; returns the view's index."""
        padding = -self.size % 4
        self.parts += [b"\0" * padding, data]
        self.views.append({"buffer": 0, "byteOffset": self.size + padding, "byteLength": len(data)})
        if target is not None:
            self.views[-1]["target"] = target
        self.size += padding + len(data)
        return len(self.views) - 1

    def accessor(self, array: np.ndarray, bounds: bool = False, target: int | None = None) -> int:
        """A dense accessor of (N,) indices or (N, 2) or (N, 3) float32."""
        array = np.ascontiguousarray(array)
        entry = _describe(array, bounds)
        entry["bufferView"] = self.view(array.tobytes(), target)
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def sparse(self, array: np.ndarray, tolerance: float, bounds: bool = False) -> int:
        """An accessor of (N, 3) float32 that is zero where nothing exceeds ``tolerance``; sparse if that is smaller."""
        large = np.abs(array) > tolerance
        moved = np.flatnonzero(large[:, 0] | large[:, 1] | large[:, 2])
        if not len(moved):
            moved = np.zeros(1, dtype=np.int64)  # an empty sparse accessor is not allowed
        index_type = np.uint16 if len(array) <= 65535 else np.uint32
        if len(moved) * (12 + np.dtype(index_type).itemsize) >= array.nbytes:
            return self.accessor(array, bounds, _ARRAY_BUFFER)
        kept = np.zeros_like(array)
        kept[moved] = array[moved]
        entry = _describe(kept, bounds)
        entry["sparse"] = {
            "count": len(moved),
            "indices": {
                "bufferView": self.view(moved.astype(index_type).tobytes()),
                "componentType": UINT16 if index_type == np.uint16 else UINT32,
            },
            "values": {"bufferView": self.view(np.ascontiguousarray(kept[moved]).tobytes())},
        }
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def texture(self, name: str, data: bytes, mime: str) -> dict[str, int]:
        """A picture; returns what a material says of it."""
        self.images.append({"name": name, "bufferView": self.view(data), "mimeType": mime})
        return {"index": len(self.images) - 1}

    def tables(self) -> dict[str, Any]:
        """The top-level lists for what was collected."""
        tables: dict[str, Any] = {"accessors": self.accessors, "bufferViews": self.views}
        if self.images:
            sampler = {"magFilter": _LINEAR, "minFilter": _TRILINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}
            textures = [{"sampler": 0, "source": k} for k in range(len(self.images))]
            tables |= {"images": self.images, "samplers": [sampler], "textures": textures}
        return tables

    def pack(self, gltf: dict[str, Any]) -> bytes:
        """Header, JSON chunk and binary chunk."""
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


def _describe(array: np.ndarray, bounds: bool) -> dict[str, Any]:
    component = {"f": FLOAT, "u": UINT16 if array.dtype == np.uint16 else UINT32}[array.dtype.kind]
    kind = "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}"
    entry: dict[str, Any] = {"componentType": component, "count": len(array), "type": kind}
    if bounds:
        entry |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
    return entry
