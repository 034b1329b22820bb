"""Materials: how rough, reflective and translucent each part of a head is, and where its skin is dull."""

from __future__ import annotations

import torch

from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.geometry.charts import step
from facekit.geometry.normals import dot
from facekit.geometry.parts import among
from facekit.hair import HairCards
from facekit.mesh import FaceMesh

#: Material of each part: roughness (GGX), reflectance at normal incidence, wrap of red light around the terminator (the
#: visible effect of subsurface scattering; Penner, *Pre-integrated skin shading*, 2011), wet coat.
MATERIALS: dict[str, tuple[float, float, float, float]] = {
    "skin": (0.50, 0.025, 1.0, 0.0),
    "lips": (0.36, 0.030, 0.9, 0.0),
    "lids": (0.48, 0.025, 1.0, 0.0),
    "eyes": (0.30, 0.020, 0.3, 1.0),
    "teeth": (0.22, 0.045, 0.5, 0.0),
    "mouth": (0.30, 0.030, 0.9, 0.0),
    "back_of_head": (0.54, 0.023, 1.0, 0.0),
    "neck": (0.54, 0.023, 1.0, 0.0),
}
#: Albedo of meshes without texture: fired clay, sRGB.
CLAY = (0.80, 0.765, 0.735)
CLAY_MATERIAL = (0.55, 0.035, 0.35, 0.0)
#: Number of rows of :func:`material_table` before the colours.
ROWS = 5

# Areas of dull skin: around the brows, whose hairs scatter light, and far from the centre of the face, where there are
# few glands. Start and end of the fade, in distances between the outer corners of the eyes.
_BROW, _FAR = (0.02, 0.11), (0.70, 1.30)
# The mouth's corners, where skin and lips fold into each other, which vertices alone do not tell.
_FOLD = (0.015, 0.06)
# The flanks of the nose and the troughs beside them, from which the nose hides the lamps, which cast no shadows here:
# places between the bridge and the outside of the wing, but for its ridge.
_FLANK, _FLANKS, _RIDGE = (0.12, 0.18), (0.0, 0.25, 0.5, 0.75), (0.06, 0.10)
# Factors on the reflectance there, and increase in roughness.
_DULL_BROW, _DULL_FAR, _DULL_FOLD, _DULL_FLANK, ROUGHER = 0.35, 0.40, 0.35, 0.25, 0.12
_DULLED = ("skin", "lids", "back_of_head", "neck")
_CORNERS = [48, 54, 60, 64]


def material_table(mesh: FaceMesh, cards: HairCards | None = None) -> torch.Tensor:
    """Return per-vertex values that samples interpolate, (5, V) float32, and up to four rows more; (5, B * V) if
    occlusion depends on the poses of B meshes.

    Occlusion, roughness, reflectance, scattering, wet coat; vertex colours, sRGB, for a mesh without a texture; and the
    coverage of skin by hair, for a head with hair.
    """
    count, like = mesh.verts.shape[1], mesh.verts
    plain = mesh.texture is None and mesh.vertex_colors is None
    if plain or mesh.parts is None:
        rows = like.new_tensor([CLAY_MATERIAL if plain else MATERIALS["skin"]]).expand(count, -1)
    else:
        rows = like.new_tensor([MATERIALS[name] for name in PARTS])[mesh.parts.to(torch.int64)]
        shine = sheen(mesh)
        rows = torch.cat(
            (rows[:, :1] + ROUGHER * (1 - shine)[:, None], rows[:, 1:2] * shine[:, None], rows[:, 2:]), dim=1
        )
    occlusion = mesh.occlusion()
    shade = like.new_ones(1, count) if occlusion is None else occlusion.to(like).view(-1, count)
    table = rows.t()
    if cards is not None:
        shade = shade * cards.light.to(like)
        # Skin under hair does not glint.
        table = torch.cat((table[:1], table[1:2] * (1 - cards.cap.to(like)), table[2:]), dim=0)
    if mesh.texture is None and mesh.vertex_colors is not None:
        table = torch.cat((table, mesh.vertex_colors.to(like).t()), dim=0)
    if cards is not None:
        table = torch.cat((table, cards.cap.to(like)[None]), dim=0)
    return torch.cat((shade.reshape(1, -1), table.repeat(1, len(shade))), dim=0)


@torch.no_grad()
def sheen(mesh: FaceMesh) -> torch.Tensor:
    """Return the factor (V,) in (0, 1] on each vertex's reflectance: 1 except on dull skin; for the first mesh."""
    verts, parts = mesh.verts[0], mesh.parts
    if parts is None or mesh.landmarks is None or len(mesh.landmarks) != 68:
        return verts.new_ones(len(verts))
    marks = verts[mesh.landmarks]
    unit = (marks[45] - marks[36]).norm()
    # Points between the marks, too: around the marks alone the dull skin would be a row of discs.
    row = marks[LANDMARK_GROUPS["brows"]].view(2, 5, 3)
    line = torch.cat((row, *(torch.lerp(row[:, :-1], row[:, 1:], share) for share in (0.33, 0.67))), 1)
    brows = _nearest(verts, line.flatten(0, 1)) / unit
    far = (verts - marks[28]).norm(dim=1) / unit
    bridge, wings = torch.lerp(marks[27], marks[[39, 42]], 0.4), torch.lerp(marks[[35, 31]], marks[[31, 35]], 1.3)
    flanks = torch.cat([torch.lerp(bridge, wings, share) for share in _FLANKS])
    dull = torch.maximum(
        (1 - _DULL_BROW) * (1 - step(brows, *_BROW)),
        (1 - _DULL_FAR) * step(far, *_FAR),
    )
    flank = (1 - step(_nearest(verts, flanks) / unit, *_FLANK)) * step(_nearest(verts, marks[27:31]) / unit, *_RIDGE)
    dull = torch.maximum(dull, (1 - _DULL_FLANK) * flank)
    skin = among(parts, _DULLED)
    folds = _nearest(verts, marks[_CORNERS]) / unit
    fold = (1 - _DULL_FOLD) * (1 - step(folds, *_FOLD)) * (skin | (parts == PARTS.index("lips")))
    return torch.where(skin, 1 - dull, 1.0) * (1 - fold)


def _nearest(verts: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Return each vertex's distance (V,) to the nearest of a few points.

    A product of matrices is many times faster than ``torch.cdist``, and exact enough around a common centre.
    """
    centre = marks.mean(dim=0)
    verts, marks = verts - centre, marks - centre
    least = torch.addmm(marks.square().sum(dim=1)[:, None], marks, verts.t(), alpha=-2.0).amin(dim=0)
    return (least + dot(verts.t(), verts.t())).clamp_min(0.0).sqrt()
