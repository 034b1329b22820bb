"""Steps that several formats share: picking the mesh, splitting at UV seams, colours at vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput


def mesh_of(subject: FaceOutput | FaceMesh) -> FaceMesh:
    """The mesh of either, detached and on the CPU."""
    mesh = subject if isinstance(subject, FaceMesh) else subject.mesh
    return mesh.detach().to("cpu")


@dataclass(frozen=True)
class SplitTopology:
    """A topology with one index for position and UV alike, as GPUs want it.

    The first V entries are the vertices in their old order with one of their UVs each; the copies that UV seams need
    come after them. So a reader gets the topology's order back by cutting at V, and a tool that knows nothing of the
    copies still finds every old vertex at its old index.

    Parameters
    ----------
    vertex:
        (N,) int64, the old vertex of each entry: ``arange(V)`` and then the copies' originals.
    uv:
        (N,) int64, the old UV of each entry; 0 for a vertex that no triangle uses.
    faces:
        (F, 3) int64, indices into the entries.
    vertices:
        V, the number of vertices before the split.
    """

    vertex: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    vertices: int

    @property
    def copies(self) -> np.ndarray:
        """The originals of the entries past the first V, (N - V,) int64."""
        return self.vertex[self.vertices :]


def split_at_seams(mesh: FaceMesh) -> SplitTopology:
    """Give every pair of vertex and UV that occurs in a triangle one entry; see :class:`SplitTopology`."""
    vertex, uv = mesh.faces.numpy().ravel(), mesh.faces_uvs.numpy().ravel()
    count, base = mesh.verts.shape[1], len(mesh.uvs)
    pairs, corner = np.unique(vertex * base + uv, return_inverse=True)
    pair_vertex, pair_uv = pairs // base, pairs % base
    # np.unique sorts by vertex, so the first pair of each run is the vertex's own entry, the rest are copies.
    first = np.ones(len(pairs), dtype=bool)
    first[1:] = pair_vertex[1:] != pair_vertex[:-1]
    entry = np.where(first, pair_vertex, 0)
    entry[~first] = count + np.arange((~first).sum())
    all_uv = np.zeros(count + (~first).sum(), dtype=np.int64)
    all_uv[entry] = pair_uv
    all_vertex = np.concatenate([np.arange(count), pair_vertex[~first]])
    return SplitTopology(all_vertex, all_uv, entry[corner.reshape(-1)].reshape(-1, 3), count)


def vertex_colours(mesh: FaceMesh) -> np.ndarray | None:
    """The texture at the vertices, else their own colours, (V, 3) uint8 sRGB, or None without either.

    Bilinear with texel edges at 0 and 1; a vertex on a UV seam gets the mean of its sides, averaged in sRGB as the
    sides of a good atlas agree anyway.
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
