"""Steps shared by several formats: extract the mesh, split at UV seams, sample vertex colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput


def mesh_of(subject: FaceOutput | FaceMesh) -> FaceMesh:
    """Return the mesh of a FaceOutput or FaceMesh, detached and on the CPU."""
    mesh = subject if isinstance(subject, FaceMesh) else subject.mesh
    return mesh.detach().to("cpu")


@dataclass(frozen=True)
class SplitTopology:
    """Topology with one index for position and UV, as GPUs need.

    The first V entries are the vertices in their original order with one of their UVs each; the copies at UV seams
    follow. A reader recovers the original order by truncating at V, and tools that ignore the copies find every vertex
    at its original index.

    Parameters
    ----------
    vertex:
        (N,) int64: original vertex of each entry: ``arange(V)``, then those of the copies.
    uv:
        (N,) int64: original UV of each entry; 0 for unused vertices.
    faces:
        (F, 3) int64: indices of entries.
    vertices:
        V, the number of vertices before the split.
    """

    vertex: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    vertices: int

    @property
    def copies(self) -> np.ndarray:
        """Original vertices of the entries beyond the first V, (N - V,) int64."""
        return self.vertex[self.vertices :]


def split_at_seams(mesh: FaceMesh) -> SplitTopology:
    """Create one entry for every pair of vertex and UV that occurs in a triangle; see :class:`SplitTopology`."""
    vertex, uv = mesh.faces.numpy().ravel(), mesh.faces_uvs.numpy().ravel()
    count, base = mesh.verts.shape[1], len(mesh.uvs)
    pairs, corner = np.unique(vertex * base + uv, return_inverse=True)
    pair_vertex, pair_uv = pairs // base, pairs % base
    # np.unique sorts by vertex: the first pair of each run is the vertex's own entry, the others are copies.
    first = np.ones(len(pairs), dtype=bool)
    first[1:] = pair_vertex[1:] != pair_vertex[:-1]
    entry = np.where(first, pair_vertex, 0)
    entry[~first] = count + np.arange((~first).sum())
    all_uv = np.zeros(count + (~first).sum(), dtype=np.int64)
    all_uv[entry] = pair_uv
    all_vertex = np.concatenate([np.arange(count), pair_vertex[~first]])
    return SplitTopology(all_vertex, all_uv, entry[corner.reshape(-1)].reshape(-1, 3), count)


def vertex_colours(mesh: FaceMesh) -> np.ndarray | None:
    """Return colours (V, 3) uint8 sRGB at the vertices, from the texture or else the vertex colours; None without
    either.

    Bilinear with texel edges at 0 and 1; a vertex on a UV seam gets the mean of its sides in sRGB, as both sides agree
    in a good atlas.
    """
    if mesh.texture is None:
        colours = mesh.vertex_colors
        return None if colours is None else (colours.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    grid = (mesh.uvs * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0]))[None, None]
    at_uvs = torch.nn.functional.grid_sample(
        mesh.texture[:1], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0, :, 0].T
    split = split_at_seams(mesh)
    vertex = torch.from_numpy(split.vertex)
    total = torch.zeros(mesh.verts.shape[1], 3).index_add_(0, vertex, at_uvs[torch.from_numpy(split.uv)])
    mean = total / torch.bincount(vertex, minlength=len(total))[:, None]
    return (mean.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
