"""The training pack: a folder that is read for training and never committed."""

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
#: The pack's parts in the order of its vertices; what follows them are helper shells, which are left out.
PACK_PARTS = ("face", "back", "mouth_socket", "eye_socket", "gums", "teeth", "eyes")
FACE, BACK, MOUTH_SOCKET, EYE_SOCKET, GUMS, TEETH, EYEBALLS = range(len(PACK_PARTS))


@dataclass(frozen=True)
class HeadLayout:
    """Facts that hang on how the pack's mesh is numbered and how fine it is.

    The defaults are those of ICT Face Model Light; a pack with another head brings its own in ``layout.json``.

    Parameters
    ----------
    part_ends:
        One past the last vertex of each of :data:`PACK_PARTS`.
    refined_quads:
        Number of the skin's quads that are split into four.
    lid_rings:
        Rings of vertices from the rim at the eye socket that count as lids, on the pack's mesh.
    lid_margin_ring:
        The front edge of the lids, where the eye landmarks lie, in rings of the refined mesh from that rim.
    lip_contour_ring:
        The ring of the refined mesh at which closed lips touch, counted from the rim at the mouth socket.
    """

    part_ends: tuple[int, ...] = (9409, 11248, 13294, 14062, 17039, 21451, 24591)
    refined_quads: int = 2000
    lid_rings: int = 6
    lid_margin_ring: int = 2
    lip_contour_ring: int = 7

    @classmethod
    def load(cls, folder: Path) -> HeadLayout:
        """Read ``layout.json`` of a pack; without that file the defaults hold."""
        path = folder / "layout.json"
        if not path.is_file():
            return cls()
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "part_ends": tuple(fields["part_ends"])})

    def span(self, part: int) -> slice:
        """Vertices of one part."""
        return slice(self.part_ends[part - 1] if part else 0, self.part_ends[part])


@dataclass(frozen=True)
class HeadPack:
    """The pack's head in millimetres, helper shells left out (vertices keep the pack's numbering).

    Parameters
    ----------
    verts:
        (N, 3) float64 mm, the mean head.
    uvs:
        (T, 2) float64.
    quads, quads_uv:
        (Q, 4) int64; a triangle repeats its last corner.
    identity_modes:
        (M, N, 3) float32 mm; weights are N(0, 1).
    expression_shapes:
        (57, N, 3) float32 mm.
    expression_names:
        Names of the shapes.
    part_of_quad:
        (Q,) int64, indices into :data:`PACK_PARTS`; a quad belongs to the part of its highest vertex.
    landmarks:
        (68,) int64, vertices in iBUG order.
    layout:
        Facts on this mesh.
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
    """Return the folder once it is sure to hold ``names``; else raise a FacekitError that says what is missing."""
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
