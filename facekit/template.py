"""Template: topology, UVs and per-vertex attributes shared by all faces of a model."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from facekit.errors import WeightsError
from facekit.files.readers import load_arrays
from facekit.geometry.openings import Openings
from facekit.mesh import FaceMesh


@dataclass(frozen=True)
class Template:
    """Mean neutral head of a model.

    Parameters
    ----------
    verts:
        (V, 3) float32 mm.
    faces, faces_uvs:
        (F, 3) int64.
    uvs:
        (T, 2) float32, origin bottom-left.
    parts:
        (V,) uint8: indices into :data:`facekit.conventions.PARTS`.
    landmarks:
        (68,) int64, vertex indices in iBUG order.
    ao:
        (V,) float32 in [0, 1].
    tile_rect:
        (u0, v0, u1, v1) of the face tile in the atlas.
    """

    verts: torch.Tensor
    faces: torch.Tensor
    uvs: torch.Tensor
    faces_uvs: torch.Tensor
    parts: torch.Tensor
    landmarks: torch.Tensor
    ao: torch.Tensor
    tile_rect: tuple[float, float, float, float]

    @classmethod
    def load(cls, path: str | Path) -> Template:
        """Read an npz file written by ``facekit.train.head.stage``, without pickles."""
        data = load_arrays(path)
        missing = [name for name in cls.__dataclass_fields__ if name not in data]
        if missing:
            raise WeightsError("a template npz", f"{path} without {', '.join(missing)}", "reinstall facekit")
        floats, indices = ("verts", "uvs", "ao"), ("faces", "faces_uvs", "landmarks")
        return cls(
            **{name: data[name].float() for name in floats},
            **{name: data[name].long() for name in indices},
            parts=data["parts"],
            tile_rect=tuple(data["tile_rect"].tolist()),
        )

    def mesh(self, verts: torch.Tensor, texture: torch.Tensor | None = None) -> FaceMesh:
        """Return a batch of meshes of this topology, on the vertices' device.

        Parameters
        ----------
        verts:
            (B, V, 3) float32 mm.
        texture:
            (B, 3, H, W) float32 sRGB, or None.
        """
        device = verts.device
        shared = {
            name: getattr(self, name).to(device) for name in ("faces", "uvs", "faces_uvs", "ao", "parts", "landmarks")
        }
        openings = None if self.openings is None else self.openings.to(device)
        return FaceMesh(verts=verts, texture=texture, openings=openings, **shared)

    @property
    def tile_uvs(self) -> torch.Tensor:
        """(T, 2): coordinates of the UVs in the face tile, which is [0, 1]²; origin bottom-left."""
        u0, v0, u1, v1 = self.tile_rect
        return (self.uvs - self.uvs.new_tensor([u0, v0])) / self.uvs.new_tensor([u1 - u0, v1 - v0])

    @functools.cached_property
    def openings(self) -> Openings | None:
        """Vertices between lids and lips; None for a topology without eyeballs."""
        with torch.inference_mode(False):
            return Openings.of(self.verts, self.faces, self.parts, self.landmarks)

    def to(self, device: str | torch.device) -> Template:
        """Return a copy on another device."""
        moved = {k: v.to(device) for k, v in self.__dict__.items() if isinstance(v, torch.Tensor)}
        return dataclasses.replace(self, **moved)
