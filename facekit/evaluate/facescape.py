"""FaceScape's benchmark of single-view reconstructions: chamfer distance, normals, completeness by yaw or lens.

Predictions keep pose and expression; only the depth is aligned. As a control the scan itself is measured, which checks
the file layout rather than a method.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from facekit.data import facescape_benchmark as data
from facekit.data.layout import read_surface
from facekit.errors import ITEM_ERRORS, FileError
from facekit.evaluate.experiment import Cell, Experiment, Figure, sources
from facekit.files.atomic import expanded
from facekit.metrics.cylinder import SIZE, CylinderErrors, cylinder_errors, depth_shift
from facekit.metrics.scans import Surface
from facekit.progress import progress

PROTOCOL = "facescape-1"
NOTE = (
    "Depths are compared along rays through pixels' centres, not in a renderer's depth buffer; where a ray from the "
    "head's axis hits several times the outermost surface counts. The official tool leaves that to its ray caster."
)


def facescape(folder: str | Path, predictions: str | Path, size: int = SIZE) -> Experiment:
    """Build the experiment for the splits that the predictions have folders for.

    Parameters
    ----------
    size:
        Number of rays around the head and along its axis, and side of depth maps in pixels; by default as in the
        benchmark.
    """
    folder, predictions = expanded(folder), expanded(predictions)
    splits = [split for split in ("wild", "lab") if (predictions / split).is_dir()] or ["wild"]
    cells = []
    for split in splits:
        for name, where in ((predictions.name, predictions), ("the scan itself", None)):
            measure = functools.partial(_figures, folder, where, split, size)
            cells.append(Cell("FaceScape", split, name, where is None, measure))
    settings = {**sources(folder, predictions), "size": size}
    return Experiment("facescape", f"FaceScape: {predictions.name}", PROTOCOL, cells, settings, [NOTE])


def placed_errors(item: data.Item, prediction: Surface, scan: Surface, size: int = SIZE) -> CylinderErrors:
    """Return the errors of a prediction in its camera's space after depth alignment."""
    prediction = prediction.moved(item.scale, np.eye(3), np.zeros(3))
    scan = in_camera(item, scan)
    if item.camera is None:
        shift, _ = depth_shift(prediction, scan, item.scale, size)
        prediction = prediction.moved(1.0, np.eye(3), np.array([0.0, 0.0, -shift]))
        centre = item.centre * item.scale
    else:
        shift, depth = depth_shift(prediction, scan, item.camera[0], size)
        prediction = prediction.moved(depth / (depth - shift), np.eye(3), np.zeros(3))
        centre = item.centre
    made, true = (s.moved(1.0, item.rotation.T, -item.rotation.T @ centre) for s in (prediction, scan))
    return cylinder_errors(made, true, size)


def in_camera(item: data.Item, scan: Surface) -> Surface:
    """Transform a scan to its picture's camera space, mm."""
    if item.camera is None:
        return scan.moved(item.scale, np.eye(3), np.zeros(3))
    pose = item.camera[1]
    return scan.moved(item.scale, pose[:, :3], pose[:, 3] * item.scale)


def _figures(folder: Path, predictions: Path | None, split: str, size: int) -> list[Figure]:
    items = data.items(folder, split, predictions)
    if predictions is not None and not any(item.mesh for item in items):
        raise FileError(f"{split}/<picture>.obj", f"none in {predictions}", "see facekit.data.facescape_benchmark")
    rows = [_errors(item, predictions is None, size) for item in progress(items, desc=split)]
    figures = []
    for metric in CylinderErrors.__dataclass_fields__:
        values = [math.nan if row is None else float(getattr(row, metric)) for row in rows]
        figures.append(Figure(metric, values))
        for group in dict.fromkeys(item.group for item in items):
            some = [value for value, item in zip(values, items, strict=True) if item.group == group]
            figures.append(Figure(metric, some, group))
    return figures


def _errors(item: data.Item, control: bool, size: int) -> CylinderErrors | None:
    """Return the errors; None for a prediction that is missing or cannot be compared, which counts as failed."""
    scan = read_surface(item.scan)
    try:
        if control:
            own = in_camera(item, scan).moved(1 / item.scale, np.eye(3), np.zeros(3))
            return placed_errors(item, own, scan, size)
        return None if item.mesh is None else placed_errors(item, read_surface(item.mesh), scan, size)
    except ITEM_ERRORS:
        return None
