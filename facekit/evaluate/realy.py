"""REALY benchmark (Chai et al., ECCV 2022): errors from a scan's regions to predictions, with the mean face as control.

Frontal pictures are required: a missing prediction counts as failed. Side views are measured if there are any.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from facekit.data import realy as data
from facekit.data.layout import read_surface
from facekit.errors import ITEM_ERRORS, FileError
from facekit.evaluate.experiment import Cell, Experiment, Figure, sources
from facekit.evaluate.keypoints import benchmark_keypoints, place_keypoints
from facekit.files.atomic import expanded
from facekit.metrics.regions import REGIONS, realy_errors
from facekit.metrics.scans import Surface
from facekit.progress import progress

PROTOCOL = "realy-1"
NOTE = (
    "Keypoints of the mean face that are no landmarks were placed by facekit.evaluate.keypoints, from the scans' own."
)


def realy(folder: str | Path, predictions: str | Path) -> Experiment:
    """Build the experiment: mean error of each region in mm, and the mean of the four, as ranked by the benchmark."""
    folder, predictions = expanded(folder), expanded(predictions)
    cells = [
        Cell("REALY", split, name, where is None, functools.partial(_figures, folder, where, split == "frontal"))
        for split, name, where in (
            ("frontal", predictions.name, predictions),
            ("side", predictions.name, predictions),
            ("frontal", "mean face", None),
        )
    ]
    settings = sources(folder, predictions)
    return Experiment("realy", f"REALY: {predictions.name}", PROTOCOL, cells, settings, [NOTE])


def _figures(folder: Path, predictions: Path | None, frontal: bool) -> list[Figure]:
    chosen = [item for item in data.items(folder, predictions) if item.frontal == frontal]
    if predictions is not None and not any(item.mesh for item in chosen):
        name = "<id>.obj" if frontal else "<id>_<view>.obj"
        raise FileError(name, f"none in {predictions}", "see facekit.data.realy")
    surface, keypoints = _mean_face(folder) if predictions is None else (None, data.template(predictions))
    rows = [_errors(item, keypoints, surface) for item in progress(chosen, desc="scans")]
    figures = [Figure("region_error_mm", [row.get(name, math.nan) for row in rows], name) for name in REGIONS]
    whole = [float(np.mean(list(row.values()))) if row else math.nan for row in rows]
    return [*figures, Figure("region_error_mm", whole, "all")]


def _errors(item: data.Item, keypoints: data.Keypoints, surface: Surface | None) -> dict[str, float]:
    """Return the errors of one picture in mm; empty for a missing or unreadable prediction, which counts as failed.

    ``surface`` takes the place of the prediction.
    """
    regions = {name: data.read_region(path) for name, path in item.regions.items()}
    scan_keypoints = data.read_points(item.keypoints)
    try:
        if surface is None:
            if item.mesh is None:
                return {}
            surface = read_surface(item.mesh)
        found = realy_errors(surface, keypoints(surface.verts), regions, scan_keypoints)
    except (*ITEM_ERRORS, IndexError):
        return {}
    return {name: error * item.scale for name, error in found.items()}


@functools.lru_cache(maxsize=1)
def _mean_face(folder: Path) -> tuple[Surface, data.Keypoints]:
    from facekit.pipeline import FacePipeline

    pipe = FacePipeline.from_pretrained(device="cpu")
    verts, faces = pipe.template.verts.double().numpy(), pipe.template.faces.numpy()
    rows = place_keypoints(pipe, benchmark_keypoints(folder))
    return Surface(verts, faces), data.Keypoints.of(rows, faces)
