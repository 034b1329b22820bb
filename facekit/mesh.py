"""FaceMesh: a batch of textured meshes of one topology. Axes and units: :mod:`facekit.conventions`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import as_slice
from facekit.errors import InputError
from facekit.files.pickling import compact_state

if TYPE_CHECKING:
    from pytorch3d.structures import Meshes


def _check(name: str, value: torch.Tensor, ndim: int, last: int | None, floating: bool) -> None:
    kind = "float" if floating else "integer"
    if not isinstance(value, torch.Tensor) or value.ndim != ndim or (last is not None and value.shape[-1] != last):
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(
            f"{name} as a tensor with {ndim} dimensions, the last of size {last}", f"{shape}", "see FaceMesh"
        )
    if value.is_floating_point() != floating:
        raise InputError(f"{name} as a {kind} tensor", f"{value.dtype}", "convert it with .to(...)")


@dataclass(frozen=True)
class FaceMesh:
    """A batch of B textured meshes that share one topology.

    Parameters
    ----------
    verts:
        (B, V, 3) float32, millimetres.
    faces:
        (F, 3) int64, indices into verts, counter-clockwise seen from outside.
    uvs:
        (T, 2) float32, origin bottom-left.
    faces_uvs:
        (F, 3) int64, indices into uvs.
    texture:
        (B, 3, H, W) float32 sRGB in [0, 1], or None.
    ao:
        (V,) float32 in [0, 1], ambient occlusion of each vertex, or None.
    parts:
        (V,) uint8, ids into :data:`facekit.conventions.PARTS`, or None.
    landmarks:
        (68,) int64, vertex indices of the iBUG 68 landmarks, or None.
    displacement:
        (B, 1, H, W) float32, mm along the smooth vertex normal, in the same UV: detail finer than the triangles, which
        the renderer shades and :meth:`detailed` turns into triangles. Or None.
    """

    verts: torch.Tensor
    faces: torch.Tensor
    uvs: torch.Tensor
    faces_uvs: torch.Tensor
    texture: torch.Tensor | None = None
    ao: torch.Tensor | None = None
    parts: torch.Tensor | None = None
    landmarks: torch.Tensor | None = None
    displacement: torch.Tensor | None = None

    def __post_init__(self) -> None:
        _check("verts", self.verts, 3, 3, True)
        _check("faces", self.faces, 2, 3, False)
        _check("uvs", self.uvs, 2, 2, True)
        _check("faces_uvs", self.faces_uvs, 2, 3, False)
        if self.faces.shape != self.faces_uvs.shape:
            raise InputError(
                "one row of faces_uvs a face", f"{tuple(self.faces_uvs.shape)}", "give each triangle its UV indices"
            )
        for name, index, limit in (
            ("faces", self.faces, self.verts.shape[1]),
            ("faces_uvs", self.faces_uvs, len(self.uvs)),
        ):
            if index.numel() and (int(index.min()) < 0 or int(index.max()) >= limit):
                raise InputError(
                    f"{name} between 0 and {limit - 1}",
                    f"{int(index.min())} to {int(index.max())}",
                    "check the topology",
                )
        for name in ("ao", "parts"):
            value = getattr(self, name)
            if value is not None and value.shape != self.verts.shape[1:2]:
                raise InputError(
                    f"{name} of shape ({self.verts.shape[1]},)", f"{tuple(value.shape)}", "give one number a vertex"
                )
        for name, channels in (("texture", 3), ("displacement", 1)):
            value = getattr(self, name)
            if value is None:
                continue
            _check(name, value, 4, None, True)
            if value.shape[0] != len(self) or value.shape[1] != channels:
                raise InputError(
                    f"{name} ({len(self)}, {channels}, H, W)", f"{tuple(value.shape)}", f"give one {name} a face"
                )

    def __len__(self) -> int:
        return self.verts.shape[0]

    def __getitem__(self, index: int | slice) -> FaceMesh:
        index = as_slice(index, len(self), "mesh")
        own = {name: getattr(self, name) for name in ("verts", "texture", "displacement")}
        return dataclasses.replace(self, **{k: v if v is None else v[index] for k, v in own.items()})

    def __getstate__(self) -> dict[str, Any]:
        return compact_state(self)

    def to(self, device: str | torch.device) -> FaceMesh:
        """A copy on another device."""
        moved = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return FaceMesh(**{k: v if v is None else v.to(device) for k, v in moved.items()})

    def normals(self) -> torch.Tensor:
        """Smooth, area-weighted vertex normals, (B, V, 3) float32 of unit length."""
        from facekit.geometry.normals import vertex_normals

        return vertex_normals(self.verts, self.faces)

    def normal_map(self) -> torch.Tensor:
        """Tangent-space normals of the displacement, (B, 3, H, W); see :func:`facekit.geometry.displace.normal_map`."""
        from facekit.geometry.displace import normal_map

        return normal_map(self)

    def detailed(self, level: int = 2) -> FaceMesh:
        """Subdivided ``level`` times and displaced; see :func:`facekit.geometry.displace.detailed_mesh`."""
        from facekit.geometry.displace import detailed_mesh

        return detailed_mesh(self, level)

    def to_pytorch3d(self) -> Meshes:
        """PyTorch3D's ``Meshes`` with ``TexturesUV``; see :func:`facekit.render.bridge.mesh_to`."""
        from facekit.render.bridge import mesh_to

        return mesh_to(self)

    @classmethod
    def from_pytorch3d(cls, meshes: Meshes, like: FaceMesh | None = None) -> FaceMesh:
        """Meshes of one topology, in mm, ao and parts from ``like``; see :func:`facekit.render.bridge.mesh_from`."""
        from facekit.render.bridge import mesh_from

        return mesh_from(meshes, like)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the one mesh of this batch; the suffix chooses the format. See :func:`facekit.io.save`."""
        from facekit.io import save

        return save(self, path, **options)
