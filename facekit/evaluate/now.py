"""NoW challenge: distances from a scan's points to the predicted mesh (Sanyal et al., CVPR 2019).

Implemented from the protocol as stated by its public tools (https://github.com/soubhiksanyal/now_evaluation), not from
their code. On synthetic scans pooled figures agree with the official tool's within 0.1 % (docs/evaluation.md); never
compared on real scans. Known differences: the official Procrustes alignment permits a reflection, and its refinement
uses a trust region.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path

import numpy as np

from facekit.data import now as data
from facekit.data.layout import read_surface
from facekit.errors import ITEM_ERRORS, FileError
from facekit.evaluate.experiment import Cell, Experiment, Figure, sources
from facekit.files.atomic import expanded
from facekit.io.reading import read_untextured
from facekit.metrics.scans import Surface, aligned, refined
from facekit.progress import progress

PROTOCOL = "now-2"


def crop(scan: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return the scan's points (N, 3) within a ball around the middle of the face.

    Its centre lies 0.3 of the way from the base of the nose to the bridge (the middle of the inner eye corners); its
    radius is 1.4 times the mean of the outer eye corners' distance and the nose's length.

    Parameters
    ----------
    scan:
        (S, 3).
    marks:
        (7, 3), in the order of :data:`facekit.data.now.LANDMARKS`.
    """
    bottom, bridge = marks[4], (marks[1] + marks[2]) / 2
    eyes, nose = np.linalg.norm(marks[0] - marks[3]), np.linalg.norm(bridge - bottom)
    centre, radius = bottom + 0.3 * (bridge - bottom), 1.4 * (eyes + nose) / 2
    return scan[np.linalg.norm(scan - centre, axis=1) <= radius]


def scan_to_mesh(
    scan: np.ndarray, marks: np.ndarray, surface: Surface, surface_marks: np.ndarray, metrical: bool = False
) -> np.ndarray:
    """Return distances (N,) from the cropped scan's points to a prediction, in the scan's unit.

    The prediction is aligned by the seven landmarks, then refined by the distances.

    Parameters
    ----------
    scan, marks:
        (S, 3) and (7, 3).
    surface, surface_marks:
        The prediction and its landmarks (7, 3).
    metrical:
        Keep the prediction's scale, which must then be in the scan's unit.
    """
    points = crop(scan, marks)
    surface = surface.moved(*aligned(surface_marks, marks, not metrical))
    return refined(surface, points, not metrical).nearest(points)[1]


def now(folder: str | Path, predictions: str | Path) -> Experiment:
    """Build the experiment: predictions, with the mean face of the embedded default as control.

    Figures per challenge and over all: median, mean and standard deviation of the pooled points, as ranked by the
    challenge, and the mean distance per picture, with an interval over pictures.
    """
    folder, predictions = expanded(folder), expanded(predictions)
    cells = [
        Cell("NoW", "validation", predictions.name, False, lambda: _figures(folder, predictions)),
        Cell("NoW", "validation", "mean face", True, lambda: _figures(folder, None)),
    ]
    settings = sources(folder, predictions)
    return Experiment("now", f"NoW: {predictions.name}", PROTOCOL, cells, settings)


def _figures(folder: Path, predictions: Path | None) -> list[Figure]:
    pooled: dict[str, list[np.ndarray]] = defaultdict(list)
    means: dict[str, list[float]] = defaultdict(list)
    items = data.items(folder, predictions)
    if predictions is not None and not any(item.mesh for item in items):
        raise FileError("<subject>/<challenge>/<image>.obj or .ply", f"none in {predictions}", "see facekit.data.now")
    for item in progress(items, desc="scans"):
        distances = _distances(item, predictions is None)
        for name in (item.challenge, "all"):
            means[name].append(float(distances.mean()) if len(distances) else float("nan"))
            pooled[name].append(distances)
    figures = []
    for name in (*data.CHALLENGES, "all"):
        if name in means:
            points = np.concatenate(pooled[name])
            figures.append(Figure("scan_to_mesh_mm", means[name], name))
            for metric, value in (("median", np.median), ("mean", np.mean), ("std", np.std)):
                figures.append(Figure(f"pooled_{metric}_mm", [float(value(points)) if len(points) else np.nan], name))
    return figures


def _distances(item: data.Item, control: bool) -> np.ndarray:
    """Return the distances of one picture; an empty array for a missing or unreadable prediction, which counts as
    failed.
    """
    scan = read_untextured(item.scan).verts[0].double().numpy()
    marks = data.read_picked_points(item.marks)
    if control:
        return scan_to_mesh(scan, marks, *_mean_face())
    if item.mesh is None or item.mesh_marks is None:
        return np.empty(0)
    try:
        return scan_to_mesh(scan, marks, read_surface(item.mesh), data.read_landmarks(item.mesh_marks))
    except ITEM_ERRORS:
        return np.empty(0)


@functools.lru_cache(maxsize=1)
def _mean_face() -> tuple[Surface, np.ndarray]:
    from facekit.pipeline import FacePipeline

    template = FacePipeline.from_pretrained(device="cpu").template
    verts = template.verts.double().numpy()
    return Surface(verts, template.faces.numpy()), verts[template.landmarks[list(data.LANDMARKS)].numpy()]
