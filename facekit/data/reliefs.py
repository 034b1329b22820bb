"""ReliefSet: people with several expressions and ground-truth displacement, made by ``python -m facekit.train``.

The layout::

    <folder>/<split>.npz         identity (P, 20), names, expressions, verts (P, E, V, 3) mm, faces (F, 3),
                                 maps (P, E, S, S) mm on the face tile, weight (S, S)
    <folder>/controls/<name>.npz detail modules trained on the same samples as the embedded one, for comparison
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.data.faceset import FaceSet
from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.files.readers import DAMAGE

#: Folder of the control modules.
CONTROLS = "controls"
_ARRAYS = ("identity", "subjects", "expressions", "verts", "faces", "maps", "weight")


@dataclass(frozen=True)
class ReliefSet:
    """P people with E expressions each, with a displacement map per face.

    Parameters
    ----------
    faces:
        Meshes and names; its name is that of the split.
    identity:
        (P, 20) float32: identity codes.
    maps:
        (P, E, S, S) float16: displacement on the face tile, mm.
    weight:
        (S, S) float32: weight of each texel; 0 where there is no detail.
    on_tile:
        Whether maps are on the embedded default's face tile, or in the UV layout of the meshes.
    """

    faces: FaceSet
    identity: torch.Tensor
    maps: torch.Tensor
    weight: torch.Tensor
    on_tile: bool = True

    def __post_init__(self) -> None:
        people, kinds = self.faces.verts.shape[:2]
        side = self.weight.shape[-1]
        if self.maps.shape != (people, kinds, side, side) or len(self.identity) != people:
            wanted = f"maps ({people}, {kinds}, {side}, {side}) and {people} codes"
            raise InputError(wanted, f"{tuple(self.maps.shape)} and {len(self.identity)}", "give one map per scan")

    def __len__(self) -> int:
        return len(self.faces)


def save(relief: ReliefSet, folder: str | Path) -> Path:
    """Write a set to ``folder`` under its name."""
    path = expanded(folder) / f"{relief.faces.name}.npz"
    known = relief.faces
    arrays = {
        "identity": relief.identity.numpy(),
        "subjects": np.array(known.subjects),
        "expressions": np.array(known.expressions),
        "verts": known.verts.numpy(),
        "faces": known.faces.numpy(),
        "maps": relief.maps.half().numpy(),
        "weight": relief.weight.numpy(),
    }
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def load(folder: str | Path) -> list[ReliefSet]:
    """Read all sets of a folder by name.

    Raises
    ------
    FileError
        If there is none, with the expected tree, or a file has another format.
    """
    root = expanded(folder)
    paths = sorted(root.glob("*.npz"))
    if not paths:
        raise FileError(
            f"<split>.npz and {CONTROLS}/<name>.npz",
            f"none in {root}",
            "make the set with: python -m facekit.train --pack PACK --stages relief",
        )
    return [_read(path) for path in paths]


def controls(folder: str | Path) -> dict[str, Path]:
    """Return the files of the control modules by name; may be empty."""
    return {path.stem: path for path in sorted((expanded(folder) / CONTROLS).glob("*.npz"))}


def _read(path: Path) -> ReliefSet:
    try:
        with np.load(path, allow_pickle=False) as data:
            a = {name: data[name] for name in _ARRAYS}
    except DAMAGE as error:
        raise FileError(f"arrays {', '.join(_ARRAYS)}", f"{path} ({error})", "make the set again") from error
    tensors = {name: torch.from_numpy(a[name]) for name in ("identity", "verts", "faces", "maps", "weight")}
    names = {name: tuple(str(word) for word in a[name]) for name in ("subjects", "expressions")}
    faces = FaceSet(path.stem, names["subjects"], names["expressions"], tensors["verts"], tensors["faces"])
    return ReliefSet(faces, tensors["identity"], tensors["maps"], tensors["weight"])
