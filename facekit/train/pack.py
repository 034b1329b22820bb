"""Loads the training pack: a folder that is read for training and never committed."""

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
PART_RANGES = {
    "face": (0, 9409),
    "back": (9409, 11248),
    "mouth_socket": (11248, 13294),
    "eye_socket": (13294, 14062),
    "gums": (14062, 17039),
    "teeth": (17039, 21451),
    "eyes": (21451, 24591),
}


@dataclass(frozen=True)
class HeadPack:
    """The pack's head, in millimetres, helper shells left out (vertices keep the pack's numbering).

    verts (N, 3), uvs (T, 2), quads and quads_uv (Q, 4) (a triangle repeats its last corner),
    identity_modes (100, N, 3), expression_shapes (57, N, 3), part_of_quad (Q,) into the order of
    PART_RANGES (its highest-ranged corner decides), landmarks (68,) iBUG.
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


def require(folder: Path, *names: str) -> Path:
    """The folder, once it is sure to hold ``names``; else a FacekitError that says what is missing."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FacekitError(f"a training-pack folder with {', '.join(names)}", f"no folder at {folder}", ORIGIN)
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise FacekitError(f"{', '.join(names)} in {folder}", f"no {', '.join(missing)}", ORIGIN)
    return folder


def load_head(folder: Path) -> HeadPack:
    """Read ``ict_light.npz`` (centimetres) and the landmark table; hand both back in millimetres."""
    folder = require(folder, "ict_light.npz", "ict_vertex_indices.json")
    try:
        with np.load(folder / "ict_light.npz", allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        table = json.loads((folder / "ict_vertex_indices.json").read_text(encoding="utf-8"))
        n = PART_RANGES["eyes"][1]
        starts = np.array([lo for lo, _ in PART_RANGES.values()])
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
            part_of_quad=np.searchsorted(starts, quads.max(1), side="right") - 1,
            landmarks=np.array(table["idx_to_landmark_verts"], np.int64),
        )
    except (KeyError, ValueError, OSError) as problem:
        raise FacekitError("a readable ict_light.npz and ict_vertex_indices.json", repr(problem), ORIGIN) from problem
