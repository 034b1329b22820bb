"""What a picture knows besides its colours: landmarks and parts, and all of it as files."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.dense import dense_landmarks, has_dense_landmarks
from facekit.errors import InputError
from facekit.files.atomic import atomic_write
from facekit.files.images import encode_npy, encode_png, to_uint8

if TYPE_CHECKING:
    import numpy as np

    from facekit.mesh import FaceMesh
    from facekit.render.camera import Camera
    from facekit.render.output import RenderOutput

#: Id of no part, where nothing of the head is.
NOTHING = 255
# A landmark counts as seen where the surface in front of it is nearer by less than this share of its distance.
_NEAR = 0.004
# Colours of parts.png, in the order of PARTS.
_PALETTE = tuple(bytes.fromhex("e8bea0 c8505a 966e5a 4682b4 f0f0e6 6e2832 5a506e c8a082"))
_ABOUT = {
    "depth.npy": "float32 mm along the view axis, inf where nothing is",
    "depth.png": "16 bit, tenths of a millimetre, 0 where nothing is",
    "normals.npy": "float32 (H, W, 3), camera space: +X right, +Y up, +Z to the viewer; 0 where nothing is",
    "normals.png": "8 bit, (n + 1) / 2",
    "face_ids.npy": "int32, the triangle at the pixel's centre; -1 where nothing is, -2 hair, -3 a beard",
    "hair.png": "8 bit, how much of each pixel hair, beard, brows and lashes cover; where someone wears any",
    "parts.png": f"8 bit, ids of parts, {NOTHING} where nothing is, or hair or a beard",
    "landmarks.json": "x and y in pixels from the upper left corner, pixel centres at +0.5; depth in mm",
    "landmarks478.json": "the same of MediaPipe's points; those around the face lie on the head, not on its outline",
}


@dataclass(frozen=True)
class Surface:
    """The mesh of one picture, (V, 3) mm, and what it was seen by."""

    verts: torch.Tensor
    camera: Camera
    size: tuple[int, int]

    def places(self, corners: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """X, Y and depth (n, 3), see :class:`Labels`, of points given by corners and shares (n, 3)."""
        with torch.no_grad():
            points = (self.verts[corners] * shares.to(self.verts)[..., None]).sum(dim=1)
            return self.camera.project(points[None], self.size)[0]


@dataclass(frozen=True)
class Labels:
    """Names of places in B pictures.

    Parameters
    ----------
    landmarks:
        (B, 68, 3) float32: X and Y in pixels from the upper left corner, and depth, mm; None where the mesh has none.
    faces:
        (F, 3) int64 of the mesh.
    parts:
        (V,) uint8, ids into :data:`facekit.conventions.PARTS`; None where the mesh has none.
    surfaces:
        B of them: where any other place of the mesh is to be seen.
    """

    landmarks: torch.Tensor | None
    faces: torch.Tensor
    parts: torch.Tensor | None
    surfaces: tuple[Surface, ...] = ()

    @classmethod
    def of(cls, mesh: FaceMesh, camera: Camera, size: tuple[int, int], count: int) -> Labels:
        """The labels of ``count`` pictures of a mesh."""
        places = None
        if mesh.landmarks is not None:
            with torch.no_grad():
                places = camera.project(mesh.verts[:, mesh.landmarks], size).expand(count, -1, -1)
        verts = mesh.verts.detach().expand(count, -1, -1)
        seen = tuple(Surface(verts[k], camera[k if len(camera) > 1 else 0], size) for k in range(count))
        return cls(places, mesh.faces, mesh.parts, seen)

    @classmethod
    def cat(cls, labels: list[Labels]) -> Labels:
        """Join those of pictures of meshes of one topology."""
        places = [one.landmarks for one in labels if one.landmarks is not None]
        seen = tuple(surface for one in labels for surface in one.surfaces)
        return cls(torch.cat(places) if places else None, labels[0].faces, labels[0].parts, seen)

    def __getitem__(self, index: slice) -> Labels:
        places = None if self.landmarks is None else self.landmarks[index]
        return Labels(places, self.faces, self.parts, self.surfaces[index])

    def part_ids(self, face_ids: torch.Tensor) -> torch.Tensor:
        """The part at each pixel, uint8 of the shape of ``face_ids``, 255 where nothing is.

        A triangle belongs to the part of most of its corners.
        """
        if self.parts is None:
            raise InputError("a mesh that knows its parts", "one without", "make the face with FacePipeline")
        of_face = self.parts.to(face_ids.device)[self.faces].median(dim=1).values
        return torch.where(face_ids >= 0, of_face[face_ids.clamp_min(0)], NOTHING).to(torch.uint8)


def save_all(pictures: RenderOutput, folder: str | Path) -> list[Path]:
    """Write all that pictures know into a folder; of several pictures each into its own, ``000``, ``001``, …

    Returns
    -------
    list of Path
        The files: colours, alpha, depth, normals, triangle ids and, where the mesh has them, parts and landmarks, with
        ``labels.json``, which tells how to read them.
    """
    folder = Path(folder)
    if len(pictures) > 1:
        return [path for k in range(len(pictures)) for path in save_all(pictures[k], folder / f"{k:03d}")]
    files = {name: data for name, data in _encoded(pictures).items() if data is not None}
    for name, data in files.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_bytes(data)
    return [folder / name for name in files]


def _encoded(pictures: RenderOutput) -> dict[str, bytes | None]:
    """The files of one picture by name."""
    depth, normals = pictures.depth[0, 0].detach().cpu(), pictures.normals[0].detach().permute(1, 2, 0).cpu()
    ids = pictures.face_ids[0].cpu()
    labels, parts, landmarks, dense = pictures.labels, None, None, None
    if labels is not None and labels.parts is not None:
        parts = _indexed(labels.part_ids(pictures.face_ids)[0].cpu().numpy())
    if labels is not None and labels.landmarks is not None:
        groups = {name: [part.start, part.stop] for name, part in LANDMARK_GROUPS.items()}
        landmarks = _json({**_landmarks("iBUG 68 (300-W)", labels.landmarks[0].cpu(), depth), "groups": groups})
    if labels is not None and labels.surfaces and has_dense_landmarks(labels.faces):
        places = labels.surfaces[0].places(*dense_landmarks()).cpu()
        dense = _json(_landmarks("MediaPipe 478", places, depth))
    files = {
        "rgb.png": encode_png(pictures.to_uint8()[0].numpy()),
        "alpha.png": encode_png(to_uint8(pictures.alpha[0].detach().cpu())),
        "depth.npy": encode_npy(depth.numpy()),
        "depth.png": encode_png(depth_steps(depth)),
        "normals.npy": encode_npy(normals.contiguous().numpy()),
        "normals.png": encode_png(to_uint8(pictures.normals[0].detach().cpu() * 0.5 + 0.5)),
        "face_ids.npy": encode_npy(ids.int().numpy()),
        "hair.png": None if pictures.hair is None else encode_png(to_uint8(pictures.hair[0].detach().cpu())),
        "parts.png": parts,
        "landmarks.json": landmarks,
        "landmarks478.json": dense,
    }
    about = {name: what for name, what in _ABOUT.items() if files[name] is not None}
    return files | {"labels.json": _json({"parts": {name: k for k, name in enumerate(PARTS)}, "files": about})}


def depth_steps(depth: torch.Tensor) -> np.ndarray:
    """Depth (H, W) mm, inf where nothing is, in tenths of a millimetre, uint16, 0 where nothing is."""
    return torch.where(depth.isfinite(), depth * 10.0, 0.0).round().clamp(0, 65535).int().numpy().astype("uint16")


def visible(places: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Which points lie in the picture, with no surface in front of them, (n,) bool.

    Parameters
    ----------
    places:
        (n, 3): X and Y in pixels from the upper left corner, and depth, mm.
    depth:
        (H, W) mm of the picture, inf where nothing is.
    """
    height, width = depth.shape
    columns, rows = places[:, 0].floor().long(), places[:, 1].floor().long()
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height) & (places[:, 2] > 0)
    front = depth[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return inside & ((places[:, 2] <= front * (1.0 + _NEAR)) | front.isinf())


def _landmarks(scheme: str, places: torch.Tensor, depth: torch.Tensor) -> dict[str, Any]:
    """Places (n, 3) of landmarks, and whether each is seen."""
    height, width = depth.shape
    return {
        "scheme": scheme,
        "size": [width, height],
        "points": [[round(value, 3) for value in row] for row in places[:, :2].tolist()],
        "depth": [round(value, 3) for value in places[:, 2].tolist()],
        "visible": visible(places, depth).tolist(),
    }


def _indexed(ids: np.ndarray) -> bytes:
    from PIL import Image

    picture, buffer = Image.fromarray(ids).convert("L"), io.BytesIO()
    indexed = Image.frombytes("P", picture.size, picture.tobytes())
    indexed.putpalette([*_PALETTE, *([0] * (768 - len(_PALETTE)))])
    indexed.save(buffer, "PNG")
    return buffer.getvalue()


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
