"""Predictions for benchmarks that judge files: pictures in, meshes in the benchmark's layout out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from facekit.data import now, realy
from facekit.data.layout import PICTURES, files, write_surface
from facekit.errors import ITEM_ERRORS, FileError, optional_import
from facekit.evaluate.keypoints import benchmark_keypoints, place_keypoints
from facekit.files.atomic import expanded
from facekit.mesh import FaceMesh
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.api import reconstruct

#: From a picture to two meshes: the posed face and the neutral face.
Reconstructor = Callable[[Path], tuple[FaceMesh, FaceMesh]]
_REALY = "<id>.png or <id>_<view>.png"


def reconstructor(pipe: FacePipeline) -> Reconstructor:
    """Return :func:`facekit.reconstruct` with this model, which needs the extra ``photo``."""

    def way(picture: Path) -> tuple[FaceMesh, FaceMesh]:
        optional_import("mediapipe", "photo", "faces from photographs")
        person = reconstruct(picture, texture="photo", texture_size=512, model=pipe)
        return person.face.mesh, person.neutral.mesh

    return way


def predict_realy(
    pipe: FacePipeline,
    data: str | Path,
    pictures: str | Path,
    predictions: str | Path,
    by: Reconstructor | None = None,
) -> list[Path]:
    """Reconstruct REALY's pictures, and place its keypoints on the model's topology; return the written meshes.

    Pictures that have a mesh are skipped, so that an interrupted run is resumed. Pictures without a face have none
    afterwards, which counts as failed.

    Parameters
    ----------
    data:
        Folder of REALY's scans: its keypoints tell where on a face the 17 that are no landmarks lie.
    pictures:
        Folder with ``<id>.png`` and, for side views, ``<id>_<view>.png``.
    predictions:
        Folder of the meshes, and of ``template``.
    by:
        Reconstruction method on the model's topology; by default :func:`facekit.reconstruct`.

    Raises
    ------
    FileError
        If there are no pictures or no scans.
    """
    target = expanded(predictions)
    found = [p for p in files(pictures, PICTURES, _REALY) if re.fullmatch(r"\d+(_\w+)?", p.stem)]
    if not found:
        raise FileError(_REALY, f"none in {pictures}", "give the folder with the pictures themselves")
    realy.save_template(target, pipe.template, place_keypoints(pipe, benchmark_keypoints(data)))
    way = reconstructor(pipe) if by is None else by
    jobs = ((picture, target / f"{picture.stem}.obj") for picture in found)
    # The scans' people keep a neutral face, so that the posed mesh is what the picture shows.
    return _predict(jobs, lambda picture, path: write_surface(way(picture)[0], path))


def predict_now(
    pipe: FacePipeline,
    data: str | Path,
    pictures: str | Path,
    predictions: str | Path,
    by: Reconstructor | None = None,
) -> list[Path]:
    """Reconstruct the pictures of NoW's list, neutral faces with their seven landmarks; return the written meshes.

    Parameters
    ----------
    data, predictions:
        Folder of NoW's validation set, and of the meshes.
    pictures:
        Folder with ``<subject>/<challenge>/<image>.jpg`` at any depth.
    by:
        See :func:`predict_realy`.

    Raises
    ------
    FileError
        If the list or one of its pictures is missing.
    """
    target, way = expanded(predictions), reconstructor(pipe) if by is None else by
    jobs = ((path, now.prediction_path(target, item)) for item, path in now.pictures(data, pictures))
    return _predict(jobs, lambda picture, path: now.save_prediction(way(picture)[1], path))


def _predict(jobs: Iterable[tuple[Path, Path]], write: Callable[[Path, Path], object]) -> list[Path]:
    """Call ``write(picture, path)`` for all paths that are missing; return those written."""
    written = []
    for picture, path in progress([job for job in jobs if not job[1].is_file()], desc="pictures"):
        try:
            write(picture, path)
        except ITEM_ERRORS:
            continue
        written.append(path)
    return written
