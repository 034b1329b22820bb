"""FaceMesh: a batch of textured meshes of one topology. Axes and units: :mod:`facekit.conventions`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import as_slice
from facekit.errors import InputError
from facekit.files.pickling import compact_state
from facekit.torch_defaults import with_torch_defaults

if TYPE_CHECKING:
    from pytorch3d.structures import Meshes

    from facekit.geometry.openings import Openings
    from facekit.source import FaceRig


_TENSORS = (
    "verts", "faces", "uvs", "faces_uvs", "texture", "ao", "parts", "landmarks", "displacement", "vertex_colors",
)  # fmt: skip


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
    """Batch of B textured meshes that share one topology.

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
        (V,) float32 in [0, 1]: ambient occlusion per vertex, or None.
    parts:
        (V,) uint8: indices into :data:`facekit.conventions.PARTS`, or None.
    landmarks:
        (68,) int64: vertex indices of the 68 iBUG landmarks, or None.
    displacement:
        (B, 1, H, W) float32, mm along the smooth vertex normal, in the same UV layout: detail finer than the triangles,
        which the renderer shades and :meth:`detailed` turns into triangles. Or None.
    vertex_colors:
        (V, 3) float32 sRGB in [0, 1], used if there is no texture. Or None.
    openings:
        Vertices between lids and lips, whose ``ao`` depends on the pose; None if unknown.
    rig:
        Base and morph targets of a mesh from a file with morph targets; None otherwise. See :func:`facekit.load`.

    Raises
    ------
    InputError
        If shapes or dtypes do not match, or indices are out of range.
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
    vertex_colors: torch.Tensor | None = None
    openings: Openings | None = field(default=None, repr=False, compare=False)
    rig: FaceRig | None = field(default=None, repr=False, compare=False)
    #: Index tensors that passed the range check, with their limits: meshes of one topology are checked once.
    _known: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check("verts", self.verts, 3, 3, True)
        _check("faces", self.faces, 2, 3, False)
        _check("uvs", self.uvs, 2, 2, True)
        _check("faces_uvs", self.faces_uvs, 2, 3, False)
        if self.faces.shape != self.faces_uvs.shape:
            raise InputError(
                "one row of faces_uvs per face", f"{tuple(self.faces_uvs.shape)}", "give each triangle its UV indices"
            )
        self._check_ranges()
        for name in ("ao", "parts"):
            value = getattr(self, name)
            if value is not None and value.shape != self.verts.shape[1:2]:
                raise InputError(
                    f"{name} of shape ({self.verts.shape[1]},)", f"{tuple(value.shape)}", "give one number per vertex"
                )
        for name, channels in (("texture", 3), ("displacement", 1)):
            value = getattr(self, name)
            if value is None:
                continue
            _check(name, value, 4, None, True)
            if value.shape[0] != len(self) or value.shape[1] != channels:
                raise InputError(
                    f"{name} ({len(self)}, {channels}, H, W)", f"{tuple(value.shape)}", f"give one {name} per face"
                )

        colours = self.vertex_colors
        if colours is not None:
            _check("vertex_colors", colours, 2, 3, True)
            if len(colours) != self.verts.shape[1]:
                raise InputError(
                    f"vertex_colors ({self.verts.shape[1]}, 3)", f"{tuple(colours.shape)}", "give one colour per vertex"
                )

    def _check_ranges(self) -> None:
        """Check the ranges of index tensors, which synchronises with the device, unless these were checked before."""
        now = (self.faces, self.faces_uvs, self.verts.shape[1], len(self.uvs))
        known = self._known
        if known is not None and all(a is b for a, b in zip(now[:2], known[:2], strict=True)) and now[2:] == known[2:]:
            return
        for name, index, limit in (("faces", self.faces, now[2]), ("faces_uvs", self.faces_uvs, now[3])):
            if not index.numel():
                continue
            low, high = (int(bound) for bound in index.aminmax())
            if low < 0 or high >= limit:
                raise InputError(f"{name} between 0 and {limit - 1}", f"{low} to {high}", "check the topology")
        object.__setattr__(self, "_known", now)

    def need(self, name: str) -> torch.Tensor:
        """Return ``texture``, ``displacement`` or another optional tensor; raise if it is missing.

        Raises
        ------
        InputError
            If the mesh does not have it.
        """
        value = getattr(self, name)
        if value is None:
            raise InputError(f"a mesh with {name}", "one without", "make the face with it, see FacePipeline")
        return value

    def used(self) -> torch.Tensor:
        """Return the mask (V,) bool of vertices that are used by faces."""
        mask = torch.zeros(self.verts.shape[1], dtype=torch.bool, device=self.faces.device)
        mask[self.faces.reshape(-1)] = True
        return mask

    def __repr__(self) -> str:
        """Summarise the sizes in one line, without the tensors."""
        maps = [name for name in ("texture", "displacement", "vertex_colors") if getattr(self, name) is not None]
        parts = [f"{len(self)} of {self.verts.shape[1]:,} vertices and {len(self.faces):,} triangles", *maps]
        return f"FaceMesh({', '.join(parts)})"

    def __len__(self) -> int:
        return self.verts.shape[0]

    def __getitem__(self, index: int | slice) -> FaceMesh:
        index = as_slice(index, len(self), "mesh")
        own = {name: getattr(self, name) for name in ("verts", "texture", "displacement")}
        return dataclasses.replace(self, **{k: v if v is None else v[index] for k, v in own.items()})

    def __getstate__(self) -> dict[str, Any]:
        return {**compact_state(self), "_known": None}

    def to(self, device: str | torch.device) -> FaceMesh:
        """Return a copy on another device."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        moved = {name: None if value is None else value.to(device) for name, value in tensors.items()}
        known = (moved["faces"], moved["faces_uvs"], self.verts.shape[1], len(self.uvs))
        rig, openings = (None if value is None else value.to(device) for value in (self.rig, self.openings))
        return dataclasses.replace(self, **moved, rig=rig, openings=openings, _known=known)

    def detach(self) -> FaceMesh:
        """Return the same mesh without gradients."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        learned = {k: v.detach() for k, v in tensors.items() if v is not None and v.requires_grad}
        return dataclasses.replace(self, **learned) if learned else self

    def occlusion(self) -> torch.Tensor | None:
        """Return ambient occlusion in this pose, (V,) or (B, V) float32 in [0, 1]: ``ao``, modified between lids and
        lips.
        """
        if self.ao is None or self.openings is None:
            return self.ao
        return self.openings.occlusion(self.verts, self.ao)

    @with_torch_defaults
    def normals(self) -> torch.Tensor:
        """Return smooth, area-weighted vertex normals, (B, V, 3) float32 of unit length."""
        from facekit.geometry.normals import vertex_normals

        return vertex_normals(self.verts, self.faces)

    @with_torch_defaults
    def normal_map(self) -> torch.Tensor:
        """Return the displacement's tangent-space normals, (B, 3, H, W); see
        :func:`facekit.geometry.displace.normal_map`.
        """
        from facekit.geometry.displace import normal_map

        return normal_map(self)

    @with_torch_defaults
    def detailed(self, level: int = 2) -> FaceMesh:
        """Return the mesh subdivided ``level`` times and displaced; see
        :func:`facekit.geometry.displace.detailed_mesh`.
        """
        from facekit.geometry.displace import detailed_mesh

        return detailed_mesh(self, level)

    def to_pytorch3d(self) -> Meshes:
        """Convert to PyTorch3D's ``Meshes`` with ``TexturesUV``; see :func:`facekit.render.bridge.mesh_to`."""
        from facekit.render.bridge import mesh_to

        return mesh_to(self)

    @classmethod
    def from_pytorch3d(cls, meshes: Meshes, like: FaceMesh | None = None) -> FaceMesh:
        """Convert meshes of one topology in mm, with ao and parts of ``like``; see
        :func:`facekit.render.bridge.mesh_from`.
        """
        from facekit.render.bridge import mesh_from

        return mesh_from(meshes, like)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the mesh (B must be 1); the suffix chooses the format. See :func:`facekit.io.save`."""
        from facekit.io import save

        return save(self, path, **options)
