"""The training pack: a folder of training data that is never committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.errors import FacekitError

ORIGIN = (
    "put the training pack together: ict_light.npz, ict_vertex_indices.json from ICT-FaceKit Light "
    "(USC ICT, MIT), skins_uv/ and brows_uv/ from MakeHuman's system skins and eyebrows (CC0)"
)
MM_PER_CM = 10.0
#: Parts of the pack in vertex order; the helper shells that follow are dropped.
PACK_PARTS = ("face", "back", "mouth_socket", "eye_socket", "gums", "teeth", "eyes")
FACE, BACK, MOUTH_SOCKET, EYE_SOCKET, GUMS, TEETH, EYEBALLS = range(len(PACK_PARTS))


@dataclass(frozen=True)
class HeadLayout:
    """Properties that depend on the numbering and resolution of the pack's mesh.

    The defaults are those of ICT Face Model Light; a pack with another head has its own in ``layout.json``.

    Parameters
    ----------
    part_ends:
        One past the last vertex of each of :data:`PACK_PARTS`.
    refined_quads:
        Number of skin quads that are split into four.
    lid_rings:
        Rings of vertices from the rim at the eye socket that count as lids, on the pack's mesh.
    lid_margin_ring:
        Ring of the refined mesh, counted from that rim, of the lids' front edge with the eye landmarks.
    lip_contour_ring:
        Ring of the refined mesh, counted from the rim at the mouth socket, at which closed lips touch.
    """

    part_ends: tuple[int, ...] = (9409, 11248, 13294, 14062, 17039, 21451, 24591)
    refined_quads: int = 2000
    lid_rings: int = 6
    lid_margin_ring: int = 2
    lip_contour_ring: int = 7

    @classmethod
    def load(cls, folder: Path) -> HeadLayout:
        """Read ``layout.json`` of a pack; defaults without that file."""
        path = folder / "layout.json"
        if not path.is_file():
            return cls()
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "part_ends": tuple(fields["part_ends"])})

    def span(self, part: int) -> slice:
        """Return the vertices of a part."""
        return slice(self.part_ends[part - 1] if part else 0, self.part_ends[part])


@dataclass(frozen=True)
class HeadPack:
    """The pack's head in millimetres without helper shells; vertices keep the pack's numbering.

    Parameters
    ----------
    verts:
        (N, 3) float64 mm: the mean head.
    uvs:
        (T, 2) float64.
    quads, quads_uv:
        (Q, 4) int64; triangles repeat their last corner.
    identity_modes:
        (M, N, 3) float32 mm; weights are N(0, 1).
    expression_shapes:
        (57, N, 3) float32 mm.
    expression_names:
        Names of the shapes.
    part_of_quad:
        (Q,) int64: indices into :data:`PACK_PARTS`; a quad belongs to the part of its highest vertex index.
    landmarks:
        (68,) int64, vertices in iBUG order.
    layout:
        Properties of this mesh.
    """

    verts: np.ndarray
    uvs: np.ndarray
    quads: np.ndarray
    quads_uv: np.ndarray
    identity_modes: np.ndarray
    expression_shapes: np.ndarray
    expression_names: list[str]
    part_of_quad: np.ndarray
    landmarks: np.ndarray
    layout: HeadLayout


def require(folder: Path, *names: str) -> Path:
    """Return the folder if it contains ``names``; else raise a FacekitError that lists the missing ones."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FacekitError(f"a training-pack folder with {', '.join(names)}", f"no folder at {folder}", ORIGIN)
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise FacekitError(f"{', '.join(names)} in {folder}", f"no {', '.join(missing)}", ORIGIN)
    return folder


def load_head(folder: Path) -> HeadPack:
    """Read ``ict_light.npz`` (centimetres) and the landmark table; return both in millimetres."""
    folder = require(folder, "ict_light.npz", "ict_vertex_indices.json")
    try:
        with np.load(folder / "ict_light.npz", allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        table = json.loads((folder / "ict_vertex_indices.json").read_text(encoding="utf-8"))
        layout = HeadLayout.load(folder)
        n = layout.part_ends[-1]
        keep = arrays["quads"].max(1) < n
        quads = arrays["quads"][keep].astype(np.int64)
        return HeadPack(
            verts=arrays["vertices"][:n].astype(np.float64) * MM_PER_CM,
            uvs=arrays["uvs"].astype(np.float64),
            quads=quads,
            quads_uv=arrays["quads_uv"][keep].astype(np.int64),
            identity_modes=arrays["identity_modes"][:, :n] * np.float32(MM_PER_CM),
            expression_shapes=arrays["expression_shapes"][:, :n] * np.float32(MM_PER_CM),
            expression_names=[str(name) for name in arrays["expression_names"]],
            part_of_quad=np.searchsorted(layout.part_ends, quads.max(1), side="right"),
            landmarks=np.array(table["idx_to_landmark_verts"], np.int64),
            layout=layout,
        )
    except (KeyError, TypeError, ValueError, OSError) as problem:
        raise FacekitError("a readable ict_light.npz and ict_vertex_indices.json", repr(problem), ORIGIN) from problem
