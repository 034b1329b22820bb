"""Read any glTF: split into parts, and rebuilt as plain triangles for trimesh.

trimesh reads the node hierarchy. What it would drop (morph targets, skins, texture transforms and wrap modes, colours
beside textures) is passed through it as custom attributes, or in :class:`facekit.io.foreign.primitives.Primitive`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from facekit.errors import FileError
from facekit.io.foreign.codecs import decode_primitive, decode_views
from facekit.io.foreign.materials import material_of
from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import Material, Part, cut_off
from facekit.io.foreign.pictures import uri_bytes
from facekit.io.foreign.primitives import Primitive, part_of, plain_glb
from facekit.io.foreign.scene import open_scene
from facekit.io.foreign.text import decoded
from facekit.io.glb_read import Accessors, chunks, document

_MODES = {0: "points", 1: "lines", 2: "lines", 3: "lines", 4: "triangles", 5: "strip", 6: "fan"}
#: Extensions that are supported, or irrelevant for a static face.
_KNOWN = {
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_lights_punctual",
    "EXT_texture_webp",
    "EXT_texture_avif",
}
_MOST_BYTES = 1 << 30


def read_parts(path: Path, data: bytes, notes: ImportNotes) -> list[Part]:
    """Read the triangles of all nodes in the scene.

    Raises
    ------
    FileError
        If the file is not glTF, is truncated, or lacks data.
    MissingDependencyError
        If the file is compressed and the package to decompress it is not installed.
    """
    kind = "GLB" if path.suffix.lower() == ".glb" else "glTF"
    try:
        gltf, binary = chunks(data) if data[:4] == b"glTF" else (document(decoded(data)[0]), None)
    except FileError as error:
        raise FileError(f"a whole {kind} file", error.got, error.remedy) from error
    try:
        return _read(path, gltf, binary, notes)
    except FileError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        got = f"{type(error).__name__}: {error}"
        raise FileError(f"a whole {kind} file", got, "check the file, or export it again") from error


def _read(path: Path, gltf: dict[str, Any], binary: memoryview | None, notes: ImportNotes) -> list[Part]:
    version = str(gltf.get("asset", {}).get("version", "2.0"))
    if not version.startswith("2"):
        raise FileError("a glTF of version 2", f"version {version}", "convert it with a tool such as gltf-pipeline")
    numbers = Accessors(gltf, _buffers(path, gltf, binary))
    decode_views(numbers)
    for name in gltf.get("extensionsRequired", []):
        if name not in _KNOWN and "materials" not in name:
            notes.add(f"the extension {name} is not known")
    if not gltf.get("meshes"):
        raise FileError("a glTF file with triangles", "one without meshes", "export the mesh with its faces")
    reader = _Reader(path, numbers, notes)
    primitives = reader.primitives()
    if not primitives:
        raise FileError("a glTF file with triangles", "none in its scene", "export the mesh with its faces")
    scene = open_scene(plain_glb(gltf, reader.roots, primitives), "glb")
    parts = []
    for k, primitive in enumerate(primitives):
        node = f"part {k}"
        if node not in scene.graph.nodes_geometry:
            continue  # nodes outside of the scene
        transform, name = scene.graph[node]
        parts.append(part_of(scene.geometry[name], np.asarray(transform), primitive, scene.graph))
    return parts


def _buffers(path: Path, gltf: dict[str, Any], binary: memoryview | None) -> list[bytes | memoryview]:
    """Return the bytes of each buffer: embedded, inline in the JSON, or in separate files."""
    found: list[bytes | memoryview] = []
    for k, entry in enumerate(gltf.get("buffers", [])):
        uri, size = entry.get("uri"), entry.get("byteLength", 0)
        if uri is None and k == 0 and binary is not None:
            data: bytes | memoryview | None = binary
        elif uri is None:
            # A compressed buffer declares its decompressed size and has no data.
            found.append(b"")
            continue
        else:
            data = uri_bytes(path, uri, ImportNotes(path), "the buffer")
            if data is None:
                raise FileError(f"the buffer {uri[:80]} beside {path.name}", "none", "copy it there too")
        if not isinstance(size, int) or len(data) < size:
            raise cut_off("glTF", f"{len(data)} bytes of a buffer of {size}")
        found.append(data)
    return found


class _Reader:
    """Reader of meshes and materials."""

    def __init__(self, path: Path, numbers: Accessors, notes: ImportNotes) -> None:
        self.path, self.numbers, self.gltf, self.notes = path, numbers, numbers.gltf, notes
        self._materials: dict[int | None, tuple[Material, int, np.ndarray]] = {}
        self.nodes: list[dict[str, Any]] = self.gltf.get("nodes") or [
            {"mesh": k} for k in range(len(self.gltf.get("meshes", [])))
        ]
        self.roots = self._roots()

    def _roots(self) -> list[int]:
        parents: dict[int, int] = {}
        for k, node in enumerate(self.nodes):
            for child in node.get("children", []):
                if parents.setdefault(child, k) != k or not 0 <= child < len(self.nodes):
                    raise ValueError(f"node {child} missing or used twice")
        roots = [k for k in range(len(self.nodes)) if k not in parents]
        scenes = self.gltf.get("scenes")
        if scenes and self.gltf.get("nodes"):
            chosen = scenes[self.gltf.get("scene", 0)].get("nodes", [])
            if set(chosen) - set(range(len(self.nodes))):
                raise ValueError("a scene with missing nodes")
            roots = list(dict.fromkeys(chosen))
        return roots

    def primitives(self) -> list[Primitive]:
        """Return every triangle primitive, once for each node with its mesh."""
        found = []
        for k, node in enumerate(self.nodes):
            if "mesh" not in node:
                continue
            if "EXT_mesh_gpu_instancing" in node.get("extensions", {}):
                self.notes.add("copies of instanced meshes were left out")
            mesh = self.gltf["meshes"][node["mesh"]]
            for primitive in mesh["primitives"]:
                mode = _MODES[primitive.get("mode", 4)]
                if mode in ("points", "lines"):
                    self.notes.add(f"{mode} were left out")
                    continue
                made = self._primitive(k, node, mesh, primitive, mode)
                if len(made.faces):
                    found.append(made)
        return found

    def _primitive(
        self, place: int, node: dict[str, Any], mesh: dict[str, Any], primitive: dict[str, Any], mode: str
    ) -> Primitive:
        given = primitive["attributes"]
        decode_primitive(self.numbers, primitive)
        verts = self._columns(given["POSITION"], 3)
        count = len(verts)
        order = self.numbers.read(primitive["indices"]) if "indices" in primitive else np.arange(count)
        faces = _triangles(order.astype(np.int64).reshape(-1), mode)
        if len(faces) and (faces.min() < 0 or faces.max() >= count):
            raise ValueError(f"faces with vertex {faces.max()} of {count}")
        material, uv_set, transform = self._material(primitive.get("material"))
        attributes = {"POSITION": verts}
        if f"TEXCOORD_{uv_set}" in given:
            uvs = self._columns(given[f"TEXCOORD_{uv_set}"], 2)
            attributes["_UV"] = (np.column_stack([uvs, np.ones(len(uvs))]) @ transform.T)[:, :2]
        if "NORMAL" in given:
            attributes["_NORMAL"] = self._columns(given["NORMAL"], 3)
        if "COLOR_0" in given:
            attributes["_COLOUR"] = self._colours(given["COLOR_0"])
        targets = primitive.get("targets", [])
        if len(targets) * count * 24 > _MOST_BYTES:
            raise ValueError(f"{len(targets)} morph targets of {count} vertices")
        for n, target in enumerate(targets):
            moved = "POSITION" in target
            attributes[f"_TARGET{n}"] = self._columns(target["POSITION"], 3) if moved else np.zeros((count, 3))
        joints = None
        if "skin" in node and "JOINTS_0" in given and "WEIGHTS_0" in given:
            joints = self._skin(node["skin"])
            attributes |= {"_JOINTS": self._columns(given["JOINTS_0"], 4)}
            attributes |= {"_WEIGHTS": self._columns(given["WEIGHTS_0"], 4)}
            if attributes["_JOINTS"].max(initial=0) >= len(joints[0]):
                raise ValueError("a vertex with a missing joint")
        if any(len(values) != count for values in attributes.values()):
            raise ValueError("attributes of unequal length")
        names = self._names(mesh, primitive, len(targets))
        worn = node.get("weights") or mesh.get("weights") or []
        weights = {name: float(w) for name, w in zip(names, worn, strict=False) if math.isfinite(w)}
        return Primitive(place, attributes, faces, material, names, weights, joints)

    def _columns(self, index: int, columns: int) -> np.ndarray:
        values = self.numbers.read(index)
        if values.ndim != 2 or values.shape[1] != columns:
            raise ValueError(f"an attribute without {columns} columns")
        return values

    def _colours(self, index: int) -> np.ndarray:
        """Return linear colours (N, 3); integers are treated as normalised even if not declared so."""
        values = self.numbers.read(index)
        if values.ndim != 2 or values.shape[1] not in (3, 4):
            raise ValueError("colours of neither three nor four numbers")
        if values.dtype.kind in "iu":
            values = values / np.iinfo(values.dtype).max
        return np.nan_to_num(values[:, :3])

    def _names(self, mesh: dict[str, Any], primitive: dict[str, Any], count: int) -> tuple[str, ...]:
        """Return the names of the morph targets, which exporters write in one of two places."""
        for owner in (mesh, primitive):
            extras = owner.get("extras")
            names = extras.get("targetNames") if isinstance(extras, dict) else None
            if names:
                if len(names) != count:
                    self.notes.add(f"{len(names)} names for {count} morph targets")
                names = [str(name) for name in names[:count]]
                names += [f"target_{k}" for k in range(len(names), count)]
                return tuple(name if name not in names[:k] else f"{name}_{k}" for k, name in enumerate(names))
        return tuple(f"target_{k}" for k in range(count))

    def _skin(self, index: int) -> tuple[list[int], np.ndarray]:
        skin = self.gltf["skins"][index]
        joints = [int(joint) for joint in skin["joints"]]
        if "inverseBindMatrices" not in skin:
            return joints, np.tile(np.eye(4), (len(joints), 1, 1))
        matrices = self.numbers.read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        if len(matrices) < len(joints):
            raise ValueError("fewer bind matrices than joints")
        return joints, matrices[: len(joints)]

    def _material(self, index: int | None) -> tuple[Material, int, np.ndarray]:
        if index not in self._materials:
            self._materials[index] = material_of(self.path, self.numbers, index, self.notes)
        return self._materials[index]


def _triangles(order: np.ndarray, mode: str) -> np.ndarray:
    """Return triangles (F, 3) from a list, a strip or a fan; a remainder at the end of a list is dropped."""
    if mode == "triangles":
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if len(order) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    if mode == "fan":
        return np.column_stack([np.full(len(order) - 2, order[0]), order[1:-1], order[2:]])
    faces = np.column_stack([order[:-2], order[1:-1], order[2:]])
    faces[1::2] = faces[1::2, [1, 0, 2]]  # every other triangle of a strip is flipped
    apart = (faces != faces[:, [1, 2, 0]]).all(axis=1)  # degenerate triangles join strips
    return faces[apart]
