"""NeRSemble's benchmark of single-view reconstruction: write a submission.

The authors keep the scans, and their server does the measuring. So this experiment writes the submission and counts the
pictures in which a face was detected.
"""

from __future__ import annotations

import math
from pathlib import Path

from facekit.data import nersemble as data
from facekit.errors import ITEM_ERRORS
from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.predict import Reconstructor, reconstructor
from facekit.files.atomic import expanded
from facekit.pipeline import FacePipeline
from facekit.progress import progress

PROTOCOL = "svfr-1"
NOTE = (
    "Errors are the server's to say: upload the zip. A picture without a face has no mesh in it, and counts as failed."
)


def svfr(pipe: FacePipeline, folder: str | Path, out: str | Path, by: Reconstructor | None = None) -> Experiment:
    """Build the experiment, which writes ``svfr_submission.zip`` to ``out``.

    Parameters
    ----------
    by:
        Reconstruction method; by default :func:`facekit.reconstruct`, which needs the extra ``photo``.
    """
    way = reconstructor(pipe) if by is None else by
    target = expanded(out) / "svfr_submission.zip"
    cell = Cell("NeRSemble SVFR", "all", pipe.name, False, lambda: _written(expanded(folder), target, way))
    settings = {"data": str(folder), "out": str(target), "model": pipe.name}
    return Experiment("svfr", "NeRSemble SVFR", PROTOCOL, [cell], settings, [NOTE])


def _written(folder: Path, target: Path, way: Reconstructor) -> list[Figure]:
    items = data.items(folder)
    found = []
    with data.submission(target) as archive:
        for item in progress(items, desc="pictures"):
            try:
                meshes = way(item.picture)
            except ITEM_ERRORS:
                found.append(math.nan)
                continue
            for task, mesh in zip(data.TASKS, meshes, strict=True):
                archive.add(item, mesh, task)
            found.append(1.0)
    return [Figure("meshes_written", found)]
