"""glTF primitives on their way through trimesh: plain triangles before, transformed parts after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from facekit.color import linear_to_srgb
from facekit.conventions import MM_PER_METRE
from facekit.io.foreign.parts import Material, Part
from facekit.io.foreign.scene import placed, turned
from facekit.io.glb_builder import GlbBuilder


@dataclass(frozen=True, eq=False)
class Primitive:
    """Piece of a mesh at one node, ready for trimesh."""

    node: int
    attributes: dict[str, np.ndarray]
    faces: np.ndarray
    material: Material
    names: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    #: Joint nodes and inverse bind matrices (J, 4, 4).
    joints: tuple[list[int], np.ndarray] | None = None


def plain_glb(gltf: dict[str, Any], roots: list[int], primitives: list[Primitive]) -> bytes:
    """Return a GLB with the same nodes and one mesh per primitive, at a child of its node."""
    builder = GlbBuilder()
    nodes: list[dict[str, Any]] = []
    for k, node in enumerate(gltf.get("nodes") or [{} for _ in range(len(gltf.get("meshes", [])))]):
        kept = {key: node[key] for key in ("matrix", "translation", "rotation", "scale") if key in node}
        nodes.append({"name": f"node {k}", "children": list(node.get("children", [])), **kept})
    meshes = []
    for k, primitive in enumerate(primitives):
        attributes = {
            name: builder.accessor(values.astype(np.float32)) for name, values in primitive.attributes.items()
        }
        indices = builder.accessor(primitive.faces.astype(np.uint32).reshape(-1))
        meshes.append({"name": f"mesh {k}", "primitives": [{"attributes": attributes, "indices": indices, "mode": 4}]})
        nodes[primitive.node]["children"].append(len(nodes))
        nodes.append({"name": f"part {k}", "mesh": k})
    document = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": roots}], "nodes": nodes, "meshes": meshes}
    return builder.pack({**document, **builder.tables()})


def part_of(shape: Any, transform: np.ndarray, primitive: Primitive, graph: Any) -> Part:
    """Transform a primitive: morph targets first, then joints or nodes, as glTF specifies."""
    found = {name: np.asarray(values, dtype=np.float64) for name, values in shape.vertex_attributes.items()}
    verts, faces = np.asarray(shape.vertices, dtype=np.float64), np.asarray(shape.faces, dtype=np.int64)
    turns = transform[:3, :3]
    if primitive.joints is not None:
        blend = _blended(found, primitive.joints, graph)
        turns = blend[:, :3, :3]
        verts = np.einsum("nij,nj->ni", turns, verts) + blend[:, :3, 3]
    else:
        verts, faces = placed(verts, transform), turned(faces, transform)
    targets = {}
    for k, name in enumerate(primitive.names):
        delta = np.nan_to_num(found[f"_TARGET{k}"])
        moved = np.einsum("nij,nj->ni", turns, delta) if turns.ndim == 3 else delta @ turns.T
        targets[name] = moved * MM_PER_METRE
    normals, colours, uvs = found.get("_NORMAL"), found.get("_COLOUR"), found.get("_UV")
    if colours is not None:
        colours = linear_to_srgb(torch.from_numpy(colours.clip(0.0, 1.0))).numpy().clip(0.0, 1.0)
    return Part(
        verts=verts * MM_PER_METRE,
        faces=faces,
        uvs=None if uvs is None else uvs * [1, -1] + [0, 1],
        colours=colours,
        normals=normals,
        material=primitive.material,
        targets=targets,
        weights=primitive.weights,
    )


def _blended(found: dict[str, np.ndarray], joints: tuple[list[int], np.ndarray], graph: Any) -> np.ndarray:
    """Return the skinning matrix (N, 4, 4) of each vertex."""
    nodes, binds = joints
    if any(f"node {joint}" not in graph.nodes for joint in nodes):
        raise ValueError("a joint that is not in the scene")
    poses = np.stack([np.asarray(graph[f"node {joint}"][0]) for joint in nodes]) @ binds
    weights = np.nan_to_num(found["_WEIGHTS"])
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(total > 1e-6, weights / np.maximum(total, 1e-6), [1.0, 0.0, 0.0, 0.0])
    return np.einsum("nk,nkij->nij", weights, poses[found["_JOINTS"].astype(np.int64)])
