"""The template: topology, UVs and per-vertex facts that all faces of a model share."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.errors import FileError
from facekit.mesh import FaceMesh


@dataclass(frozen=True)
class Template:
    """The mean neutral head of a model.

    Parameters
    ----------
    verts:
        (V, 3) float32 mm.
    faces, faces_uvs:
        (F, 3) int64.
    uvs:
        (T, 2) float32, origin bottom-left.
    parts:
        (V,) uint8, ids into :data:`facekit.conventions.PARTS`.
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
        """Read an npz file that ``facekit.train.template`` wrote; nothing pickled is opened."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(
                    verts=torch.from_numpy(data["verts"].astype(np.float32)),
                    faces=torch.from_numpy(data["faces"].astype(np.int64)),
                    uvs=torch.from_numpy(data["uvs"].astype(np.float32)),
                    faces_uvs=torch.from_numpy(data["faces_uvs"].astype(np.int64)),
                    parts=torch.from_numpy(data["parts"].astype(np.uint8)),
                    landmarks=torch.from_numpy(data["landmarks"].astype(np.int64)),
                    ao=torch.from_numpy(data["ao"].astype(np.float32)),
                    tile_rect=tuple(float(x) for x in data["tile_rect"]),
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise FileError("a template npz", f"{path} ({error})", "reinstall facekit or build the template again") from error

    def mesh(self, verts: torch.Tensor, texture: torch.Tensor | None = None) -> FaceMesh:
        """A batch of meshes of this topology, on the vertices' device.

        Parameters
        ----------
        verts:
            (B, V, 3) float32 mm.
        texture:
            (B, 3, H, W) float32 sRGB, or None.
        """
        device = verts.device
        shared = {name: getattr(self, name).to(device) for name in ("faces", "uvs", "faces_uvs", "ao", "parts", "landmarks")}
        return FaceMesh(verts=verts, texture=texture, **shared)

    def to(self, device: str | torch.device) -> Template:
        """A copy on another device."""
        moved = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in self.__dict__.items()}
        return Template(**moved)
