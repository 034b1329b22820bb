"""glTF materials: colour, picture, transparency, and texture transform."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from facekit.io.foreign.notes import ImportNotes
from facekit.io.foreign.parts import PLAIN, Material
from facekit.io.foreign.pictures import pixels, uri_bytes
from facekit.io.glb_read import Accessors

_WRAP = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
#: Extensions that provide a texture's picture, in order of preference.
_PICTURES = ("EXT_texture_webp", "EXT_texture_avif", "KHR_texture_basisu", "MSFT_texture_dds")
_UNREADABLE = ("KHR_texture_basisu", "MSFT_texture_dds")
#: Alpha below which a blended material is invisible.
_CLEAR = 0.05


def material_of(
    path: Path, numbers: Accessors, index: int | None, notes: ImportNotes
) -> tuple[Material, int, np.ndarray]:
    """Read a material.

    Returns
    -------
    tuple
        The material, the index of its UV set, and the UV transform (3, 3) in glTF's convention.
    """
    if index is None:
        return PLAIN, 0, np.eye(3)
    entry = numbers.gltf["materials"][index]
    name = str(entry.get("name", f"material {index}"))
    surface = entry.get("pbrMetallicRoughness", {})
    slot, factor = surface.get("baseColorTexture"), surface.get("baseColorFactor", [1, 1, 1, 1])
    glossy = entry.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
    if glossy is not None:
        slot, factor = glossy.get("diffuseTexture", slot), glossy.get("diffuseFactor", factor)
    red, green, blue, alpha = (min(max(float(value), 0.0), 1.0) for value in factor)
    picture, wrap, uv_set, transform = None, ("repeat", "repeat"), 0, np.eye(3)
    if slot is not None:
        picture, wrap = _picture(path, numbers, slot["index"], notes)
        uv_set, transform = _placement(slot)
    mode = entry.get("alphaMode", "OPAQUE")
    cutoff = {"MASK": float(entry.get("alphaCutoff", 0.5)), "BLEND": _CLEAR}.get(mode)
    material = Material(name, picture, (red, green, blue), alpha, cutoff, wrap)
    return material, uv_set, transform


def _placement(slot: dict[str, Any]) -> tuple[int, np.ndarray]:
    """Return the UV set, and KHR_texture_transform: offset times rotation times scale."""
    moved = slot.get("extensions", {}).get("KHR_texture_transform", {})
    (x, y), (sx, sy) = moved.get("offset", [0, 0]), moved.get("scale", [1, 1])
    turn = float(moved.get("rotation", 0.0))
    c, s = math.cos(turn), math.sin(turn)
    transform = np.array([[c * sx, s * sy, x], [-s * sx, c * sy, y], [0.0, 0.0, 1.0]], dtype=np.float64)
    return int(moved.get("texCoord", slot.get("texCoord", 0))), transform


def _picture(
    path: Path, numbers: Accessors, index: int, notes: ImportNotes
) -> tuple[np.ndarray | None, tuple[str, str]]:
    """Return the pixels and wrap modes of a texture."""
    gltf = numbers.gltf
    texture = gltf["textures"][index]
    sampler = gltf["samplers"][texture["sampler"]] if "sampler" in texture else {}
    wrap = (_WRAP[sampler.get("wrapS", 10497)], _WRAP[sampler.get("wrapT", 10497)])
    sources = [texture["source"]] if "source" in texture else []
    for name in _PICTURES:
        if name in texture.get("extensions", {}):
            if not sources and name in _UNREADABLE:
                notes.add(f"a texture of the kind {name} was left out")
            elif name not in _UNREADABLE:
                sources.append(texture["extensions"][name]["source"])
    for source in sources:
        image = gltf["images"][source]
        name = str(image.get("name") or str(image.get("uri", ""))[:40] or f"number {source}")
        if "bufferView" in image:
            data: bytes | None = numbers.bytes_of(image["bufferView"])
        else:
            data = uri_bytes(path, image["uri"], notes, "the texture")
        found = None if data is None else pixels(data, notes, name)
        if found is not None:
            return found, wrap
    return None, wrap
