"""Binary glTF 2.0 with named morph targets.

All conversion to glTF's conventions is done here and in :mod:`facekit.io.glb_primitives`: from millimetres to metres,
and from V upward to V downward. The axes agree (+Y up, +Z forward, +X the subject's left).
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.conventions import AXES, MM_PER_METRE
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write
from facekit.files.images import encode, to_uint8
from facekit.geometry.charts import open_edges
from facekit.hair import HairRig
from facekit.io.arrays import SplitTopology, mesh_of, split_at_seams
from facekit.io.glb_builder import GlbBuilder
from facekit.io.glb_primitives import base_primitive, face_targets, hair_targets
from facekit.io.hair import worn_by
from facekit.mesh import FaceMesh
from facekit.source import FaceRig
from facekit.version import __version__

#: Extension for integer positions and normals, supported by three.js and the importers of Blender and Unity.
QUANTIZATION = "KHR_mesh_quantization"
_MIME = {".png": "image/png", ".jpg": "image/jpeg"}

#: Strands are blended, in the order of the cards' triangles: a cutoff would tear hairlines, and makes lashes and brows
#: loud. Not both, one above the other: path tracers have black hair then.
_BLEND = {"alphaMode": "BLEND"}


@dataclass(frozen=True)
class Clip:
    """Animation of T frames for a GLB.

    Parameters
    ----------
    times:
        (T,) float32, seconds from the start, ascending.
    weights:
        (T, K) float32: weights of the rig's K morph targets.
    rotations:
        (T, 4) float32: quaternions x, y, z, w of the head, or None for a still head.
    pivot:
        (3,) mm: pivot of the head.
    """

    times: np.ndarray
    weights: np.ndarray
    rotations: np.ndarray | None = None
    pivot: tuple[float, float, float] = (0.0, 0.0, 0.0)


def write(
    subject: FaceOutput | FaceMesh,
    path: Path,
    morph_targets: bool = True,
    texture_format: str = "png",
    double_sided: bool | None = None,
    normal_map: bool = True,
    level: int = 0,
    rig: str | None = None,
    quantize: bool = True,
) -> Path:
    """Write one mesh with one PBR material, smooth normals and embedded texture.

    A FaceOutput is written as its neutral face with named morph targets, whose weights are set to the face's
    expression: viewers show the same face, with sliders. A FaceMesh, or ``morph_targets=False``, is written as it is.
    Displacement is written as a normal map: with morph targets that of the neutral face, since glTF cannot morph
    textures (:func:`facekit.io.maps.save_maps` writes the maps of a sweep).

    Parameters
    ----------
    texture_format:
        ``"png"``, lossless, or ``"jpg"``, a fifth of the size.
    double_sided:
        Whether back faces are drawn; None draws them if the surface has open edges.
    normal_map:
        Whether to write the normal map of a face with displacement, in the same format as the texture.
    level:
        0 for the mesh as it is; above, the number of subdivisions before displacement, see
        :func:`facekit.geometry.displace.detailed_mesh`, the file then has neither normal map nor morph targets.
    rig:
        Morph targets: "expressions" for 19, "arkit" for ARKit's 52 blendshapes, "both" for 71; None for the
        expressions, or for both if the face has blendshape weights.
    quantize:
        Whether to store morph targets in 16 bits without displacements below
        :data:`facekit.io.glb_primitives.TOLERANCE`, which takes a third of the size. Otherwise floats, exact to a
        thousandth of a millimetre.
    """
    data = encode_glb(subject, morph_targets, texture_format, double_sided, normal_map, level, rig, quantize)
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
    rig: str | None = None,
    quantize: bool = True,
    clip: Clip | None = None,
) -> bytes:
    """Return the bytes of the .glb file; see :func:`write`.

    ``clip`` is an animation of the morph targets of ``rig``.
    """
    suffix = f".{texture_format.lower().lstrip('.')}"
    if suffix not in _MIME:
        raise InputError("a texture_format out of png, jpg", repr(texture_format), "choose one of these")
    found = None
    if morph_targets and isinstance(subject, FaceOutput) and subject.can_rig:
        if level:
            raise InputError("level 0 with morph targets", f"level {level}", "pass morph_targets=False, or level=0")
        worn = bool(subject.latents.blendshapes.any())
        found = subject.rig(rig or ("both" if worn else "expressions"))
    elif rig is not None:
        raise InputError("a face with morph targets for a rig", "one without", "leave rig out, or use FacePipeline")
    mesh = mesh_of(subject if found is None else found.neutral)
    hair = _hair_of(subject, found)
    if hair is not None:
        mesh = dataclasses.replace(mesh, texture=hair.neutral.capped(mesh))
    mesh = mesh.detailed(level) if level else mesh
    split = split_at_seams(mesh)

    builder = GlbBuilder()
    mapped = normal_map and mesh.displacement is not None
    quantize = quantize and found is not None and float(found.deltas.abs().max()) < MM_PER_METRE
    # Compressing the pictures takes as long as all of the geometry, so both run in parallel.
    with ThreadPoolExecutor(2) as pool:
        albedo = None if mesh.texture is None else pool.submit(_albedo, mesh, suffix)
        bumps = pool.submit(_bumps, mesh, suffix) if mapped else None
        primitive = base_primitive(builder, mesh, split, mapped, quantize)
        if found is not None:
            primitive["targets"] = face_targets(builder, mesh, found, split, quantize)
    node_mesh: dict[str, Any] = {"name": "face", "primitives": [primitive]}
    if found is not None:
        node_mesh["weights"] = [round(float(w), 6) for w in found.weights]
        node_mesh["extras"] = {"targetNames": list(found.names)}
    cards = [] if hair is None else [_hair(builder, node_mesh, hair, quantize)]
    if double_sided is None:
        double_sided = bool(len(open_edges(mesh.faces)))
    gltf = {
        "asset": {"version": "2.0", "generator": f"facekit {__version__}", "extras": _metadata(subject, split)},
        **({"extensionsUsed": [QUANTIZATION], "extensionsRequired": [QUANTIZATION]} if quantize else {}),
        "scene": 0,
        "scenes": [{"name": "face", "nodes": [0]}],
        "nodes": [{"name": "face", "mesh": 0}],
        "meshes": [node_mesh],
        "materials": [
            _material(builder, mesh, _MIME[suffix], double_sided, albedo and albedo.result(), bumps and bumps.result()),
            *cards,
        ],
        **({} if clip is None else _animated(builder, clip)),
    }
    return builder.pack({**gltf, **builder.tables()})


def _hair_of(subject: FaceOutput | FaceMesh, rig: FaceRig | None) -> HairRig | None:
    """Return hair and lashes on the CPU, with their morph targets if there is a rig; None without any."""
    if rig is not None:
        return None if rig.hair is None else rig.hair.to("cpu")
    worn = worn_by(subject)
    return None if worn is None else HairRig(worn, torch.zeros(0, *worn.verts.shape))


def _hair(builder: GlbBuilder, node_mesh: dict[str, Any], hair: HairRig, quantize: bool) -> dict[str, Any]:
    """Add a second primitive with the hair cards to a mesh, and return their material.

    Thin coverage is cut off rather than blended: few viewers sort triangles, and hair blended in the wrong order looks
    worse than hair without soft ends.
    """
    mesh = hair.neutral.mesh
    split = split_at_seams(mesh)
    primitive = base_primitive(builder, mesh, split, False)
    primitive["material"] = 1
    if node_mesh["primitives"][0].get("targets"):
        primitive["targets"] = hair_targets(builder, hair, split, quantize)
    node_mesh["primitives"].append(primitive)
    pixels = to_uint8(hair.neutral.texture)
    surface = {
        "baseColorTexture": builder.texture("hair", encode(pixels, ".png"), _MIME[".png"]),
        "metallicFactor": 0,
        "roughnessFactor": 0.55,
    }
    return {"name": "hair", "pbrMetallicRoughness": surface, "doubleSided": True, **_BLEND}


def _animated(builder: GlbBuilder, clip: Clip) -> dict[str, Any]:
    """Return the nodes and the animation of a clip: a head node at a pivot, with the face in it."""
    pivot = [float(x) / MM_PER_METRE for x in clip.pivot]
    times = builder.accessor(clip.times.astype(np.float32), bounds=True)
    outputs = {"weights": (1, builder.accessor(clip.weights.astype(np.float32).reshape(-1)))}
    if clip.rotations is not None:
        outputs["rotation"] = (0, builder.accessor(clip.rotations.astype(np.float32)))
    channels = [
        {"sampler": k, "target": {"node": node, "path": path}} for k, (path, (node, _)) in enumerate(outputs.items())
    ]
    samplers = [{"input": times, "output": output, "interpolation": "LINEAR"} for _, output in outputs.values()]
    return {
        "nodes": [
            {"name": "head", "translation": pivot, "children": [1]},
            {"name": "face", "translation": [-x for x in pivot], "mesh": 0},
        ],
        "animations": [{"name": "motion", "channels": channels, "samplers": samplers}],
    }


def _albedo(mesh: FaceMesh, suffix: str) -> bytes:
    assert mesh.texture is not None
    return encode(to_uint8(mesh.texture), suffix)


@torch.no_grad()
def _bumps(mesh: FaceMesh, suffix: str) -> bytes:
    return encode(to_uint8(mesh.normal_map()), suffix)


def _material(
    builder: GlbBuilder, mesh: FaceMesh, mime: str, double_sided: bool, albedo: bytes | None, bumps: bytes | None
) -> dict[str, Any]:
    """Return one material with the available pictures, as bytes of the type ``mime``."""
    surface: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 0.6}
    material = {"name": "face", "pbrMetallicRoughness": surface, "doubleSided": double_sided}
    if albedo is not None:
        surface["baseColorTexture"] = builder.texture("albedo", albedo, mime)
    elif mesh.vertex_colors is None:
        surface["baseColorFactor"] = [0.8, 0.8, 0.8, 1]
    if bumps is not None:
        material["normalTexture"] = builder.texture("normal", bumps, mime)
    return material


def _metadata(subject: FaceOutput | FaceMesh, split: SplitTopology) -> dict[str, Any]:
    """Return extras for what glTF has no field for. ``seamCopies`` lets :func:`read` recover the original vertex
    order.
    """
    extras: dict[str, Any] = {
        "source": {"units": AXES["units"], "uvOrigin": "bottom-left"},
        "seamCopies": split.copies.tolist(),
    }
    if isinstance(subject, FaceOutput):
        extras["model"] = subject.model
        extras["expression"] = subject.expression_weights()[0]
        extras["blendshapes"] = subject.blendshape_weights()[0]
        if "seed" in subject.metadata:
            seed = subject.metadata["seed"]
            extras["seed"] = seed[0] if isinstance(seed, list) else seed
    return extras
