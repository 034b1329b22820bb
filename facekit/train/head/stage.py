"""The head stage: build the template and the linear shape data from the training pack.

A Catmull-Clark operator refines curved areas of the skin, eyeballs are our own, teeth and gums are cut to the visible
parts; everything is joined to one mesh with one UV atlas. Deterministic; run by ``make train-default``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from facekit.conventions import IDENTITY_DIM
from facekit.train.context import Context
from facekit.train.head import lids
from facekit.train.head import parts as head_parts
from facekit.train.head.atlas import write_atlas
from facekit.train.head.ears import relief
from facekit.train.head.occlusion import ambient_occlusion
from facekit.train.head.parts import Patch
from facekit.train.head.surface import (
    ATLAS,
    EYES,
    LIDS,
    LIPS,
    MOUTH,
    PART_NAMES,
    SKIN,
    TEETH,
    TILE_RECT,
    build_skin,
    fitted,
    into_rect,
    seen_when_open,
)
from facekit.train.head.topology import adjacency, grow
from facekit.train.pack import GUMS, load_head
from facekit.train.pack import TEETH as PACK_TEETH
from facekit.train.shape.traits import mode_axes

TEETH_VERTS = 1700
EYE_SOCKET_ABOVE_MM = 15.0


@dataclass(frozen=True)
class HeadTemplate:
    """The template and its shape data; fields as stored (see :func:`write_assets`)."""

    verts: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray
    faces_uvs: np.ndarray
    parts: np.ndarray
    landmarks: np.ndarray
    ao: np.ndarray
    identity_modes: np.ndarray
    expression_shapes: np.ndarray
    expression_names: list[str]
    blink_correctives: dict[str, sp.csr_matrix]


def run(context: Context) -> None:
    """Write ``template.npz`` and the atlas to the assets, the shape basis to the work folder."""
    write_assets(context.pack, context.out, context.shape_basis)


def join(patches: list[Patch]) -> Patch:
    """Concatenate patches."""
    v0 = np.cumsum([0] + [len(p.verts) for p in patches])
    t0 = np.cumsum([0] + [len(p.uvs) for p in patches])
    return Patch(
        np.concatenate([p.verts for p in patches]),
        np.concatenate([p.faces + v0[i] for i, p in enumerate(patches)]),
        np.concatenate([p.uvs for p in patches]),
        np.concatenate([p.faces_uvs + t0[i] for i, p in enumerate(patches)]),
        np.concatenate([p.parts for p in patches]),
        sp.csr_matrix(sp.vstack([p.carry for p in patches])),
    )


def tooth_cells(patches: list[Patch]) -> None:
    """Move each tooth's unit square to its cell of the teeth chart: 8 by 4, upper rows on top."""
    order = sorted(
        range(len(patches)),
        key=lambda i: (patches[i].verts[:, 1].mean() < -33.5, patches[i].verts[:, 0].mean()),
    )
    u0, v0, u1, v1 = ATLAS["teeth"]
    for slot, i in enumerate(order):
        col, row = slot % 8, 3 - slot // 8
        cell = (
            u0 + col * (u1 - u0) / 8,
            v0 + row * (v1 - v0) / 4,
            u0 + (col + 1) * (u1 - u0) / 8,
            v0 + (row + 1) * (v1 - v0) / 4,
        )
        patches[i].uvs = into_rect(patches[i].uvs, cell)


def build_template(pack: Path) -> HeadTemplate:
    """Compute the template and its shape data from the training pack."""
    head = load_head(pack)
    skin, new_index = build_skin(head)
    gum_uv = fitted(head.uvs[np.unique(head.quads_uv[head.part_of_quad == GUMS])])
    gum_index = np.unique(head.quads_uv[head.part_of_quad == GUMS])
    gum_table = np.zeros_like(head.uvs)
    gum_table[gum_index] = into_rect(gum_uv, ATLAS["gums"])
    gums = head_parts.build_gums(head, seen_when_open(head, GUMS), gum_table, MOUTH)
    teeth = head_parts.build_teeth(head, seen_when_open(head, PACK_TEETH), TEETH, TEETH_VERTS)
    tooth_cells(teeth)
    eyes = {side: head_parts.build_eye(head, side, EYES) for side in "LR"}
    for eye in eyes.values():
        eye.uvs = into_rect(eye.uvs, ATLAS["eyes"])
    whole = join([skin, gums, *teeth, *eyes.values()])

    identity = np.stack([whole.carry @ mode for mode in head.identity_modes])
    shapes = np.stack([whole.carry @ shape for shape in head.expression_shapes])
    links = adjacency(whole.faces, len(whole.verts))
    in_mouth = (whole.parts == MOUTH) & (whole.verts[:, 1] < EYE_SOCKET_ABOVE_MM)
    lip_rim = (whole.parts == LIPS) & (links @ in_mouth.astype(float) > 0)
    contour = grow(lip_rim, links, head.layout.lip_contour_ring) & ~grow(
        lip_rim, links, head.layout.lip_contour_ring - 1
    )
    skin_rows = np.arange(len(whole.verts)) < len(skin.verts)
    seal = lids.lip_seal(whole.verts, contour & (whole.parts == LIPS), skin_rows)
    whole.verts[:, 1] += seal @ whole.verts[:, 1]
    for mode in identity:
        mode[:, 1] += seal @ mode[:, 1]
    start = len(whole.verts) - sum(len(eye.verts) for eye in eyes.values())
    for side, eye in eyes.items():
        centre, radius, _ = head_parts.eye_sphere(head, side)
        for k, name in enumerate(head.expression_names):
            shift = head_parts.eye_expression(name, side, eye.verts, centre, radius)
            if shift is not None:
                shapes[k, start : start + len(eye.verts)] = shift
        start += len(eye.verts)
    correctives = {}
    names = head.expression_names
    eye_socket = (whole.parts == MOUTH) & (whole.verts[:, 1] > EYE_SOCKET_ABOVE_MM)
    lid = whole.parts == LIDS
    rim = lid & (links @ eye_socket.astype(float) > 0)
    margin = grow(rim, links, head.layout.lid_margin_ring) & ~grow(rim, links, head.layout.lid_margin_ring - 1) & lid
    region = np.isin(whole.parts, (SKIN, LIDS)) | eye_socket
    for side, eye in eyes.items():
        k = names.index(f"eyeBlink_{side}")
        correctives[side], extra = lids.blink_corrective(
            whole.verts,
            whole.faces,
            shapes[k],
            margin,
            region,
            float(eye.verts[:, 0].mean()),
        )
        shapes[k] += extra
        # The pack's pupil shapes have noise elsewhere.
        shapes[names.index(f"PupilDilate_{side}")][whole.parts != EYES] = 0.0
    whole.verts += relief(whole.verts, whole.faces)
    ao = ambient_occlusion(whole.verts, whole.faces, shapes, head.expression_names, whole.parts)
    return HeadTemplate(
        whole.verts.astype(np.float32),
        whole.faces.astype(np.int32),
        whole.uvs.astype(np.float32),
        whole.faces_uvs.astype(np.int32),
        whole.parts,
        new_index[head.landmarks].astype(np.int32),
        ao.astype(np.float16),
        identity.astype(np.float32),
        shapes.astype(np.float32),
        head.expression_names,
        correctives,
    )


def write_assets(pack: Path, assets: Path, basis: Path) -> HeadTemplate:
    """Build from ``pack``: write template.npz and the atlas to ``assets``, the shape basis to ``basis``.

    The basis also contains the directions of masculinity and age in the identity modes (``trait_axes``), and the blink
    correctives as ``blink_L_row``, ``blink_L_col``, ``blink_L_data`` and the same for R (see
    :mod:`facekit.train.head.lids`).
    """
    template = build_template(pack)
    assets, basis = Path(assets), Path(basis)
    assets.mkdir(parents=True, exist_ok=True)
    basis.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        assets / "template.npz",
        verts=template.verts,
        faces=template.faces,
        uvs=template.uvs,
        faces_uvs=template.faces_uvs,
        parts=template.parts,
        part_names=np.array(PART_NAMES),
        landmarks=template.landmarks,
        ao=template.ao,
        tile_rect=np.array(TILE_RECT, np.float32),
    )
    np.savez(
        basis,
        identity_modes=template.identity_modes,
        expression_shapes=template.expression_shapes,
        expression_names=np.array(template.expression_names),
        trait_axes=mode_axes(template.verts, template.landmarks, template.identity_modes, IDENTITY_DIM),
        **{
            f"blink_{side}_{field}": getattr(template.blink_correctives[side].tocoo(), field).astype(kind)
            for side in "LR"
            for field, kind in (("row", np.int32), ("col", np.int32), ("data", np.float32))
        },
    )
    write_atlas(template, assets)
    return template
