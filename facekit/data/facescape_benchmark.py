"""FaceScape's benchmark of single-view reconstructions (Zhu et al., PAMI 2023): 400 pictures in the wild, 660 of a lab.

The layout of its data, with the tables that come with its tools::

    <folder>/wild_gt_mesh/000.obj … 399.obj
    <folder>/lab_gt_mesh/00.obj … 19.obj
    <folder>/lab_cam/<person>_<lens>_<view>.json             [K, [R|t]], as 03_0_10.json
    <folder>/predef/{wild_pupil_scales,wild_head_centers,wild_rotations,lab_head_centers,lab_rotations}.npy

and of predictions, each in its camera's space::

    <predictions>/wild/000.obj      orthographic camera that looks along -z; the picture spans -1 to 1
    <predictions>/lab/03_0_10.obj   the lens's camera, which looks along +z, +y down; unit: distance between the pupils

Not tested with the real data, which is available on application.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.data.layout import need
from facekit.errors import FileError
from facekit.files.atomic import expanded

#: Interpupillary distance, mm, that all scans are scaled to: the mean of men and women.
PUPILS_MM = 62.85
_TREE = "wild_gt_mesh/000.obj or lab_gt_mesh/00.obj with lab_cam/, and predef/*.npy"
#: Groups of the wild pictures by head yaw, a hundred each; lenses of the lab pictures by focal length in pixels.
YAWS, LENSES = ("±5°", "±30°", "±60°", "±90°"), ("1200", "600", "300")


@dataclass(frozen=True)
class Item:
    """A picture with its scan.

    Parameters
    ----------
    name, group:
        Name of the picture, and its yaw or lens group.
    scan, mesh:
        Files of scan and prediction; the prediction may be None.
    camera:
        (3, 3) K and (3, 4) [R|t] for the lab, None in the wild.
    scale:
        Unit of scan and prediction in mm.
    centre:
        (3,): centre of the head, in that unit (mm in the lab).
    rotation:
        (3, 3): rotation of the head.
    """

    name: str
    group: str
    scan: Path
    mesh: Path | None
    camera: tuple[np.ndarray, np.ndarray] | None
    scale: float
    centre: np.ndarray
    rotation: np.ndarray


def items(folder: str | Path, split: str, predictions: str | Path | None = None) -> list[Item]:
    """List the pictures of a split, "wild" or "lab", for which the folder has scans.

    Raises
    ------
    FileError
        If there are none, or tables are missing, with the expected tree.
    """
    root = expanded(folder)
    where = None if predictions is None else expanded(predictions) / split
    tables = ("pupil_scales", "head_centers", "rotations") if split == "wild" else ("head_centers", "rotations")
    known = {name: np.load(need(root / "predef" / f"{split}_{name}.npy", _TREE)) for name in tables}
    found = _wild(root, known) if split == "wild" else _lab(root, known)
    if not found:
        raise FileError(_TREE, f"no scans in {root / f'{split}_gt_mesh'}", "give the benchmark's own folder")
    if where is None:
        return found
    meshes = {path.stem: path for path in where.glob("*.obj")}
    return [dataclasses.replace(item, mesh=meshes.get(item.name)) for item in found]


def _wild(root: Path, known: dict[str, np.ndarray]) -> list[Item]:
    found = []
    for path in sorted((root / "wild_gt_mesh").glob("*.obj")):
        k = int(path.stem)
        place = (float(known["pupil_scales"][k]), known["head_centers"][k], known["rotations"][k])
        found.append(Item(path.stem, YAWS[min(k // 100, 3)], path, None, None, *place))
    return found


def _lab(root: Path, known: dict[str, np.ndarray]) -> list[Item]:
    found = []
    for path in sorted((root / "lab_cam").glob("*.json")):
        person, lens, view = (int(word) for word in path.stem.split("_"))
        scan = need(root / "lab_gt_mesh" / f"{person:02d}.obj", _TREE)
        try:
            k, pose = (np.array(part, np.float64) for part in json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise FileError("[K, [R|t]] in JSON", f"{path} ({error})", "take the benchmark's own file") from error
        # The benchmark's own tools index centres by the lens; do the same, to reproduce its figures.
        place = (PUPILS_MM, known["head_centers"][lens], known["rotations"][view])
        found.append(Item(path.stem, f"f {LENSES[lens]}", scan, None, (k, pose[:3]), *place))
    return found
