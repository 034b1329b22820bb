"""Primitives of a GLB: surfaces in glTF's units and axes, and the displacements of their morph targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from facekit.color import srgb_to_linear
from facekit.conventions import BLENDSHAPES, MM_PER_METRE
from facekit.hair import HAIR_PARTS, HairRig
from facekit.io.arrays import SplitTopology
from facekit.io.glb_builder import ARRAY_BUFFER, ELEMENT_BUFFER, GlbBuilder, normalized
from facekit.mesh import FaceMesh
from facekit.source import FaceRig

#: Displacements below this many millimetres are dropped from a morph target, and fade in up to twice that. The
#: expression networks move the whole head by some hundredths; blendshapes are exactly zero where they have no effect.
TOLERANCE = {"expression": 0.1, "blendshape": 0.03}
#: The same for changes of a unit normal: three degrees, which is not visible.
NORMAL_TOLERANCE = 0.05
#: Displacements of hair below this, mm, are dropped: it would follow the head's smallest movements otherwise. Ends of a
#: beard's hairs may be off by more than brows and lashes, which meet the lids.
_HAIR_STILL, _BEARD_STILL = 0.12, 0.35
#: Tolerances without quantisation: a thousandth of a millimetre, and a twentieth of a degree.
_EXACT, _EXACT_NORMAL = 1e-3, 1e-3


def base_primitive(
    builder: GlbBuilder, mesh: FaceMesh, split: SplitTopology, mapped: bool, quantize: bool = False
) -> dict[str, Any]:
    """Return the primitive without its morph targets; with tangents if it has a normal map."""
    positions = mesh.verts[0].numpy()[split.vertex] / np.float32(MM_PER_METRE)
    normals = mesh.normals()[0].numpy()[split.vertex]
    uvs = mesh.uvs.numpy()[split.uv] * np.array([1, -1], np.float32) + np.array([0, 1], np.float32)
    index_type = np.uint16 if len(split.vertex) < 65535 else np.uint32  # 65535 itself is reserved for primitive restart
    # The base is stored as floats, for readers without the extension: only morph targets are quantised.
    attributes = {
        "POSITION": builder.accessor(positions, bounds=True, target=ARRAY_BUFFER),
        "NORMAL": builder.accessor(normals, target=ARRAY_BUFFER),
        "TEXCOORD_0": builder.accessor(uvs, target=ARRAY_BUFFER),
    }
    if mesh.texture is None and mesh.vertex_colors is not None:
        linear = srgb_to_linear(mesh.vertex_colors.clamp(0, 1))
        attributes["COLOR_0"] = builder.accessor(linear.numpy()[split.vertex], target=ARRAY_BUFFER)
    if mapped:
        from facekit.geometry.displace import tangents

        # glTF's bitangent is w (normal x tangent), too, and green points up in its normal maps as in ours.
        along = tangents(mesh, torch.from_numpy(split.vertex), torch.from_numpy(split.uv))[0].numpy()
        along = normalized(along, np.int8) if quantize else along
        attributes["TANGENT"] = builder.accessor(along, target=ARRAY_BUFFER)
    indices = builder.accessor(split.faces.astype(index_type).reshape(-1), target=ELEMENT_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}


def face_targets(
    builder: GlbBuilder, mesh: FaceMesh, rig: FaceRig, split: SplitTopology, quantize: bool
) -> list[dict[str, int]]:
    """Return one POSITION and one NORMAL displacement per morph target.

    In 16 bits a step is a thirtieth of a millimetre, as the integers represent [-1, 1] metres; normals have steps of
    half a degree.
    """
    from facekit.geometry.normals import vertex_normals

    base = mesh.normals()
    targets = []
    # One at a time: the normals of all at once would exceed the CPU's cache.
    for name, delta in zip(rig.names, rig.deltas.detach().cpu(), strict=True):
        size, turn = delta.norm(dim=1), (vertex_normals(mesh.verts + delta, mesh.faces) - base)[0]
        if quantize:
            least = TOLERANCE["blendshape" if name in BLENDSHAPES else "expression"]
            share = (size / least - 1).clamp(0, 1)  # fade in: a step would be visible on the skin
            moved = normalized((delta * (share * share * (3 - 2 * share))[:, None] / MM_PER_METRE).numpy(), np.int16)
            kept = (moved[:, 0] != 0) | (moved[:, 1] != 0) | (moved[:, 2] != 0)
            turned = (turn.norm(dim=1) > NORMAL_TOLERANCE).numpy()
            turn = normalized(turn.numpy(), np.int8)
        else:
            moved, turn = (delta / MM_PER_METRE).numpy(), turn.numpy()
            kept, turned = (size > _EXACT).numpy(), np.abs(turn).max(axis=1) > _EXACT_NORMAL
        position, normal = (
            builder.sparse(values[split.vertex], some[split.vertex], bounds)
            for values, some, bounds in ((moved, kept, True), (turn, turned, False))
        )
        targets.append({"POSITION": position, "NORMAL": normal})
    return targets


def hair_targets(builder: GlbBuilder, hair: HairRig, split: SplitTopology, quantize: bool) -> list[dict[str, int]]:
    """Return one POSITION and one NORMAL displacement of the cards per morph target."""
    beard = hair.neutral.cards.part.numpy()[split.vertex] == HAIR_PARTS.index("beard")
    least = np.where(beard, _BEARD_STILL, _HAIR_STILL) if quantize else np.full(len(beard), _EXACT)
    return [_moved_hair(builder, delta.numpy()[split.vertex], least, quantize) for delta in hair.deltas]


def _moved_hair(builder: GlbBuilder, delta: np.ndarray, least: np.ndarray, quantize: bool) -> dict[str, int]:
    """Return a morph target of the cards: positions that move by more than ``least`` (N,) mm; cards hardly turn."""
    kept = np.abs(delta).max(axis=1) > least
    moved = (delta / MM_PER_METRE).astype(np.float32)
    none = np.zeros_like(moved)
    if quantize:
        moved, none = normalized(moved, np.int16), normalized(none, np.int8)
        kept &= (moved != 0).any(axis=1)
    nothing = np.zeros(len(delta), bool)
    return {"POSITION": builder.sparse(moved, kept, bounds=True), "NORMAL": builder.sparse(none, nothing)}
