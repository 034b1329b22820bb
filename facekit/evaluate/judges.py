"""Judges: action unit detectors and face recognition networks.

Each judge names its ``tool``. A judge cannot measure what was fitted with the same tool; experiments then write a row
without a figure that says so. Built in are the scores of MediaPipe's landmarker and distances between 68 landmarks; the
others are packages that you install yourself:

* action units: ``py-feat`` (Cheong et al., 2023), ``libreface`` (Chang et al., WACV 2024), and tables of OpenFace
  (Baltrušaitis et al., FG 2018), which is a program;
* people: ``face_recognition`` (dlib's network, King 2017) and ``insightface`` (ArcFace, Deng et al., CVPR 2019).

The adapters of these packages were written from their documentation and tested with mock objects, never with the
packages.
"""

from __future__ import annotations

import csv
import functools
import re
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from facekit.checks import one_of
from facekit.errors import FileError, MissingDependencyError
from facekit.files.images import save_image
from facekit.motion.mapping import action_units
from facekit.motion.units import ACTION_UNITS
from facekit.reconstruct.landmarker import Landmarker

#: Value in place of a figure if the judge was used to fit what it would judge.
NO_JUDGE = "no judge: fitted with it"


class UnitJudge(Protocol):
    """Interface of action unit detectors."""

    name: str
    tool: str

    def __call__(self, pictures: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Return intensities (N,) 0 to 5 by FACS number for N pictures (H, W, 3) uint8 sRGB; NaN without a face."""
        ...


class PersonJudge(Protocol):
    """Interface of face recognition networks."""

    name: str
    tool: str

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return unit feature vectors (N, D), NaN without a face; similar people have close vectors."""
        ...


def is_judge(judge: UnitJudge | PersonJudge, fitted_with: Collection[str]) -> bool:
    """Return True if a judge is independent of these tools."""
    return judge.tool not in fitted_with


class MediaPipeUnits:
    """MediaPipe's 52 blendshape scores, converted to action units; needs the extra ``photo``."""

    name = tool = "mediapipe"

    def __call__(self, pictures: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """See :class:`UnitJudge`."""
        rows = []
        with Landmarker() as landmarker:
            for picture in pictures:
                faces = landmarker(picture)
                said = action_units(faces[0].scores) if faces else None
                assert said is None or isinstance(said, dict)
                rows.append(None if said is None else {unit: said.get(unit, 0.0) for unit in ACTION_UNITS})
        return _columns(rows)


class PyFeatUnits:
    """py-feat's detector; its probabilities are scaled to intensities of up to 5."""

    name = tool = "py-feat"

    def __call__(self, pictures: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """See :class:`UnitJudge`."""
        detector = _package("feat", "py-feat").Detector()
        with tempfile.TemporaryDirectory() as folder:
            found = [detector.detect_image([str(path)]).aus for path in _written(pictures, folder)]
        rows = []
        for table in found:
            values = None if not len(table) else {name: 5 * float(table[name].iloc[0]) for name in table.columns}
            rows.append(None if values is None or np.isnan(list(values.values())).any() else _by_number(values))
        return _columns(rows)


class LibreFaceUnits:
    """LibreFace's intensities."""

    name = tool = "libreface"

    def __call__(self, pictures: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """See :class:`UnitJudge`."""
        package = _package("libreface", "libreface")
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for path in _written(pictures, folder):
                try:
                    found = package.get_facial_attributes_image(str(path), temp_dir=folder, device="cpu")
                except (RuntimeError, ValueError, IndexError):  # pictures without a face
                    found = None
                rows.append(None if found is None else _by_number(found["au_intensities"]))
        return _columns(rows)


def openface_units(path: str | Path) -> dict[int, np.ndarray]:
    """Read intensities from a table of OpenFace's FeatureExtraction with columns AU01_r …; NaN where it failed.

    Raises
    ------
    FileError
        If the table lacks these columns.
    """
    try:
        with Path(path).expanduser().open(newline="", encoding="utf-8") as file:
            rows = [{k.strip(): v for k, v in row.items() if k} for row in csv.DictReader(file)]
        names = [name for name in rows[0] if re.fullmatch(r"AU\d+_r", name)]
        good = [float(row.get("success", 1)) > 0.5 for row in rows]
        units = {
            int(n[2:-2]): np.array([float(r[n]) if g else np.nan for r, g in zip(rows, good, strict=True)])
            for n in names
        }
    except (OSError, ValueError, IndexError) as error:
        raise FileError("a table of OpenFace", f"{path} ({error})", "write it with FeatureExtraction -aus") from error
    if not units:
        raise FileError("columns AU01_r …", f"none in {path}", "write it with FeatureExtraction -aus")
    return units


class DlibPeople:
    """dlib's network, through the package face_recognition."""

    name = tool = "dlib"

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """See :class:`PersonJudge`."""
        package = _package("face_recognition", "face_recognition")
        found = [package.face_encodings(picture) for picture in pictures]
        return _unit([faces[0] if faces else None for faces in found], 128)


class InsightFacePeople:
    """ArcFace, through the package insightface."""

    name = tool = "insightface"

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """See :class:`PersonJudge`."""
        app = _package("insightface.app", "insightface").FaceAnalysis()
        app.prepare(ctx_id=-1)
        found = [app.get(np.ascontiguousarray(picture[..., ::-1])) for picture in pictures]  # it expects BGR
        return _unit([faces[0].embedding if faces else None for faces in found], 512)


UNIT_JUDGES: dict[str, type[UnitJudge]] = {judge.name: judge for judge in (MediaPipeUnits, PyFeatUnits, LibreFaceUnits)}
PERSON_JUDGES: dict[str, type[PersonJudge]] = {judge.name: judge for judge in (DlibPeople, InsightFacePeople)}


def unit_judge(name: str) -> UnitJudge:
    """Return the judge with this name; calling it raises if its package is not installed."""
    return UNIT_JUDGES[one_of(name, UNIT_JUDGES, "a judge of action units")]()


def person_judge(name: str) -> PersonJudge:
    """Return the judge with this name; calling it raises if its package is not installed."""
    return PERSON_JUDGES[one_of(name, PERSON_JUDGES, "a judge of people")]()


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine similarity (N,) of unit feature vectors (N, D)."""
    return (a * b).sum(axis=1)


@functools.lru_cache(maxsize=1)
def landmarks_68() -> torch.Tensor:
    """Return the indices (68,) int64 of the landmarker's points closest to iBUG's 68 landmarks on the mean head."""
    from facekit.pipeline import FacePipeline
    from facekit.reconstruct.model import PhotoModel

    pipe = FacePipeline.from_pretrained(device="cpu")
    points = torch.from_numpy(PhotoModel.of(pipe).points.base).float()
    return torch.cdist(pipe.template.verts[pipe.template.landmarks], points).argmin(dim=1)


def _package(module: str, package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"the package {package} as a judge", "an environment without it", f"install it: pip install {package}"
        ) from error


def _written(pictures: Sequence[np.ndarray], folder: str) -> list[Path]:
    return [save_image(picture, Path(folder) / f"{k:05d}.png") for k, picture in enumerate(pictures)]


def _by_number(values: dict[str, float]) -> dict[int, float]:
    """Return values by FACS number from names that contain one number: "AU01", "au_1_intensity"."""
    numbers = {name: re.search(r"\d+", name) for name in values}
    return {int(found[0]): float(values[name]) for name, found in numbers.items() if found is not None}


def _columns(rows: Sequence[dict[int, float] | None]) -> dict[int, np.ndarray]:
    """Convert rows by unit to columns, with NaN for rows that are None."""
    units: Iterable[int] = dict.fromkeys(unit for row in rows if row is not None for unit in row)
    return {unit: np.array([np.nan if row is None else row.get(unit, np.nan) for row in rows]) for unit in units}


def _unit(rows: Sequence[np.ndarray | None], size: int) -> np.ndarray:
    kept = [np.full(size, np.nan) if row is None else np.asarray(row, np.float64) for row in rows]
    features = np.stack(kept)
    return features / np.linalg.norm(features, axis=1, keepdims=True)
