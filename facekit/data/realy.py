"""REALY (Chai et al., ECCV 2022): scans of 100 people from Headspace in four regions, and pictures of them.

The layout, as its public tools read it::

    <folder>/REALY_HIFI3D_keypoints/<id>.obj                          85 points
    <folder>/REALY_scan_region/<id>/{nose,mouth,forehead,cheek}.obj   parts of the scan <folder>/metrical_scale.txt
    unit of each scan in mm, a line per id from 1

and of predictions, which share one topology::

    <predictions>/<id>.obj or <id>_<view>.obj
    <predictions>/template/<name>.obj and <name>.txt                  85 rows [triangle, b0, b1] in JSON

A row of the template with triangle -1 is a keypoint that the topology lacks: it is left out.
:func:`facekit.evaluate.predict.predict_realy` writes predictions of the embedded default.

Not tested with the real data, which is available on application.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.data.layout import need, read_surface, write_surface
from facekit.errors import FileError
from facekit.files.atomic import atomic_write, expanded
from facekit.io.reading import read_untextured
from facekit.metrics.regions import KEYPOINTS, REGIONS
from facekit.metrics.scans import Surface
from facekit.template import Template

_TREE = "REALY_HIFI3D_keypoints/<id>.obj, REALY_scan_region/<id>/{nose,mouth,forehead,cheek}.obj and metrical_scale.txt"


@dataclass(frozen=True)
class Item:
    """A prediction with its scan.

    Parameters
    ----------
    subject:
        Number from 1.
    name:
        Name of the picture: "12" or "12_3".
    mesh:
        The prediction, or None.
    keypoints:
        File of the scan's keypoints.
    regions:
        Files of the scan by region.
    scale:
        Unit of the scan in mm.
    """

    subject: int
    name: str
    mesh: Path | None
    keypoints: Path
    regions: dict[str, Path]
    scale: float

    @property
    def frontal(self) -> bool:
        """True for the frontal picture."""
        return "_" not in self.name


@dataclass(frozen=True)
class Keypoints:
    """Positions of the 85 keypoints on one topology.

    Parameters
    ----------
    corners:
        (85, 3) int64: vertices of the triangles.
    shares:
        (85, 3) float64: barycentric weights; NaN for missing keypoints.
    """

    corners: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, faces: np.ndarray) -> Keypoints:
        """Return keypoints from rows (85, 3) of triangle (-1: missing), b0 and b1, on triangles (F, 3)."""
        rows = rows.astype(np.float64)
        triangle = rows[:, 0].astype(np.int64)
        shares = np.concatenate([rows[:, 1:], 1 - rows[:, 1:].sum(axis=1, keepdims=True)], axis=1)
        shares[triangle < 0] = np.nan
        return cls(faces[triangle.clip(0)], shares)

    def __call__(self, verts: np.ndarray) -> np.ndarray:
        """Return the keypoints (85, 3) for vertices (V, 3)."""
        return (verts[self.corners] * self.shares[..., None]).sum(axis=1)


def items(folder: str | Path, predictions: str | Path | None = None) -> list[Item]:
    """List the frontal picture of every subject, and all other predictions.

    Raises
    ------
    FileError
        If scans are missing, with the expected tree.
    """
    root = expanded(folder)
    points, scales = root / "REALY_HIFI3D_keypoints", need(root / "metrical_scale.txt", _TREE)
    known = sorted(int(path.stem) for path in points.glob("*.obj") if path.stem.isdigit())
    if not known:
        raise FileError(_TREE, f"no keypoints in {points}", "give the folder of REALY's own data")
    try:
        scale = np.loadtxt(scales, ndmin=1)
    except ValueError as error:
        raise FileError("a number per line", f"{scales} ({error})", "take REALY's own file") from error
    where = None if predictions is None else expanded(predictions)
    found = []
    for subject in known:
        if subject > len(scale):
            raise FileError(f"{subject} lines in {scales}", f"{len(scale)}", "take REALY's own file")
        regions = {name: need(root / "REALY_scan_region" / str(subject) / f"{name}.obj", _TREE) for name in REGIONS}
        meshes: dict[str, Path | None] = {str(subject): None}
        if where is not None:
            meshes |= {path.stem: path for path in where.glob(f"{subject}_*.obj")}
            meshes[str(subject)] = where / f"{subject}.obj"
        for name, mesh in sorted(meshes.items()):
            there = mesh if mesh is not None and mesh.is_file() else None
            found.append(Item(subject, name, there, points / f"{subject}.obj", regions, float(scale[subject - 1])))
    return found


def template(predictions: str | Path) -> Keypoints:
    """Read the keypoints of the predictions' topology.

    Raises
    ------
    FileError
        If there is no pair of files, or they do not match.
    """
    folder = expanded(predictions) / "template"
    texts = sorted(folder.glob("*.txt"))
    if not texts:
        raise FileError("template/<name>.obj and <name>.txt", f"none in {folder}", "see facekit.data.realy")
    mesh = read_untextured(need(texts[0].with_suffix(".obj"), "template/<name>.obj beside <name>.txt"))
    try:
        rows = np.array(json.loads(texts[0].read_text(encoding="utf-8")), np.float64)
    except ValueError as error:
        raise FileError("a JSON list of rows", f"{texts[0]} ({error})", "write [triangle, b0, b1]") from error
    if rows.shape != (KEYPOINTS, 3) or rows[:, 0].max() >= len(mesh.faces):
        raise FileError(f"{KEYPOINTS} rows of the template's triangles", f"{rows.shape}", "see facekit.data.realy")
    return Keypoints.of(rows, mesh.faces.numpy())


def save_template(predictions: str | Path, mean: Template, rows: np.ndarray) -> None:
    """Write the topology of predictions and its keypoints, rows (85, 3) of triangle, b0 and b1, to ``template``."""
    folder = expanded(predictions) / "template"
    name = f"facekit-{len(mean.verts)}"
    told = [[int(row[0]), float(row[1]), float(row[2])] for row in rows]
    write_surface(mean.mesh(mean.verts[None]), folder / f"{name}.obj")
    with atomic_write(folder / f"{name}.txt") as temporary:
        temporary.write_text(json.dumps(told), encoding="utf-8")


def read_points(path: Path) -> np.ndarray:
    """Return keypoints (85, 3) float64 from an OBJ of vertices only."""
    points = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            points.append([float(word) for word in words[1:4]])
    found = np.array(points)
    if found.shape != (KEYPOINTS, 3) or not np.isfinite(found).all():
        raise FileError(f"{KEYPOINTS} vertices", f"{found.shape} in {path}", "take REALY's own file")
    return found


def read_region(path: Path) -> Surface:
    """Read a region; coincident vertices are merged, as a region must be connected."""
    surface = read_surface(path)
    verts, index = np.unique(surface.verts, axis=0, return_inverse=True)
    return Surface(verts, index.reshape(-1)[surface.faces])
