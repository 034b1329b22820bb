"""Measures of surfaces with shared topology: displacement, by region, and wrinkle depth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facekit.conventions import CHIN, LANDMARK_GROUPS, NOSE_ROOT
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.geometry.parts import among
from facekit.geometry.uv import bake, rasterize_uv, sample_texture
from facekit.mesh import FaceMesh

#: Measured parts: the moving, visible parts of a face. Crown, neck, eyeballs and the inside of the mouth are excluded.
FACE_PARTS = ("skin", "lips", "lids")
#: Quantile of a displacement map's texels that defines the wrinkle amplitude: wrinkles cover little skin.
WRINKLE_QUANTILE = 0.999

# iBUG landmarks of each region; a vertex belongs to the region with the nearest landmark.
_REGIONS = {name: LANDMARK_GROUPS[name] for name in ("brows", "eyes", "nose", "mouth")} | {"jaw": slice(3, 14)}
# Heights above the brows of the forehead's points, as fractions of the distance from nose root to chin.
_FOREHEAD = (0.25, 0.5)


def face_vertices(mesh: FaceMesh) -> Tensor:
    """Return the mask (V,) bool of vertices in :data:`FACE_PARTS`; all vertices if the mesh has no parts."""
    if mesh.parts is None:
        return torch.ones(mesh.verts.shape[1], dtype=torch.bool, device=mesh.verts.device)
    return among(mesh.parts, FACE_PARTS)


def face_texels(mesh: FaceMesh, size: int) -> Tensor:
    """Return the mask (size, size) bool of texels whose triangles have only vertices in :func:`face_vertices`."""
    ids, weights = rasterize_uv(mesh.uvs, mesh.faces_uvs, size)
    return bake(face_vertices(mesh).float()[None, :, None], mesh.faces, ids, weights)[0, 0] > 0.99


def surface_points(mesh: FaceMesh) -> Tensor:
    """Return vertices (B, V, 3) in mm, displaced by the displacement map."""
    if mesh.displacement is None:
        return mesh.verts
    # A vertex on a seam has several UVs; take the first, as assigning all would make the result depend on the order.
    corners, charts = mesh.faces.reshape(-1), mesh.faces_uvs.reshape(-1)
    first = charts.new_full((mesh.verts.shape[1],), len(mesh.uvs) - 1).scatter_reduce(0, corners, charts, "amin")
    return mesh.verts + sample_texture(mesh.displacement, mesh.uvs[first]) * mesh.normals()


def vertex_displacement(a: FaceMesh, b: FaceMesh) -> Tensor:
    """Return the distance (B, V) in mm between the surfaces ``a`` and ``b``, including displacement maps.

    Either batch may be a single face, which is compared with all of the other.

    Raises
    ------
    InputError
        If the topologies differ.
    """
    _check_topology(a, b)
    return (surface_points(b) - surface_points(a)).norm(dim=-1)


def displacement_map(a: FaceMesh, b: FaceMesh, size: int = 512) -> Tensor:
    """Return the same per texel, (B, 1, size, size) mm, with the displacement maps sampled at the texel.

    Zero outside of the mesh's UVs.
    """
    _check_topology(a, b)
    ids, weights = rasterize_uv(a.uvs, a.faces_uvs, size)
    moved = bake(b.verts - a.verts, a.faces, ids, weights)
    for mesh, sign in ((a, -1.0), (b, 1.0)):
        if mesh.displacement is not None:
            height = F.interpolate(mesh.displacement, (size, size), mode="area")
            moved = moved + sign * height * bake(mesh.normals(), mesh.faces, ids, weights)
    return moved.norm(dim=1, keepdim=True) * (ids >= 0)


def landmark_regions(mesh: FaceMesh) -> dict[str, Tensor]:
    """Partition the face into seven regions: names to disjoint masks (V,) bool that cover the face's vertices.

    Each vertex belongs to the nearest of the iBUG landmarks and of a few points derived from them (cheeks, forehead),
    measured on the first face of the batch.
    """
    if mesh.landmarks is None:
        raise InputError("a mesh with landmarks", "one without", "use a face of FacePipeline")
    verts = mesh.verts[0]
    points = verts[mesh.landmarks]
    up = points[NOSE_ROOT] - points[CHIN]
    places = {name: points[index] for name, index in _REGIONS.items()}
    places["cheeks"] = 0.5 * (points[[1, 2, 3, 15, 14, 13]] + points[[40, 31, 48, 47, 35, 54]])
    places["forehead"] = torch.cat([points[LANDMARK_GROUPS["brows"]] + share * up for share in _FOREHEAD])
    nearest = torch.stack([torch.cdist(verts, place).amin(1) for place in places.values()]).argmin(0)
    face = face_vertices(mesh)
    return {name: face & (nearest == k) for k, name in enumerate(places)}


def wrinkle_amplitude(face: FaceOutput) -> Tensor | None:
    """Return the wrinkle depth (B,) in mm of each face's expression; None for faces without detail.

    Measured on the displacement minus the person's static detail: the depth or height that only 0.1 % of the face's
    texels exceed.
    """
    if face.detail is None or face.displacement is None:
        return None
    dynamic = (face.displacement - face.detail.strength * face.detail.static).abs()
    shown = face_texels(face.mesh, dynamic.shape[-1])
    values = dynamic[:, 0][:, shown]
    rank = max(1, round(WRINKLE_QUANTILE * values.shape[1]))
    return values.kthvalue(rank, dim=1).values


def same_topology(a: FaceMesh, b: FaceMesh) -> bool:
    """Return True if both have the same vertices and triangles in the same order."""
    return a.verts.shape[1] == b.verts.shape[1] and torch.equal(a.faces, b.faces.to(a.faces.device))


def _check_topology(a: FaceMesh, b: FaceMesh) -> None:
    if not same_topology(a, b):
        shapes = [f"{m.verts.shape[1]} vertices, {len(m.faces)} triangles" for m in (a, b)]
        raise InputError("two faces of one topology", " and ".join(shapes), "compare faces of one model")
