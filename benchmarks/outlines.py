"""Errors of landmarks and fitted meshes on photographs with hand-made outlines, as Markdown::

    python benchmarks/outlines.py FOLDER [--half 0 | 1]

Of each picture the folder has a template of 189 points in Psychomorph's format (.tem beside the .jpg), as the Face
Research Lab London Set has (DeBruine and Jones 2017, CC BY 4.0, doi 10.6084/m9.figshare.5047666): eyes, lips and brows
as curves. The error of a landmark on a curve is its distance from it, of one at a corner that from the corner; percent
of the distance between the outer corners of the eyes. ``--half`` takes every second picture in the order of their
names: the weights of points were chosen on 0, so that 1 is fair. Needs the extra ``photo``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from photographs import mesh
from scipy.interpolate import CubicSpline

from facekit import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.api import refine_and_fit, views_of
from facekit.reconstruct.find import find
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture, read

#: For each region, the landmarks on a curve and the template's points along it.
CURVES = {
    "brows": (
        ((71, 63, 105, 66, 107), (71, 72, 73, 74, 75, 76)),
        ((336, 296, 334, 293, 301), (77, 78, 79, 80, 81, 82)),
    ),
    "eyes": (
        ((160, 158), (18, 19, 20, 21, 22)),
        ((153, 144), (18, 28, 29, 30, 22)),
        ((385, 387), (23, 24, 25, 26, 27)),
        ((373, 380), (23, 31, 32, 33, 27)),
    ),
    "mouth": (
        ((39, 37, 0, 267, 269), (87, 88, 89, 90, 91, 92, 93)),
        ((405, 314, 17, 84, 181), (87, 104, 105, 106, 107, 108, 93)),
        ((82, 13, 312), (87, 94, 95, 96, 97, 98, 93)),
        ((317, 14, 87), (87, 99, 100, 101, 102, 103, 93)),
    ),
}
#: For each region, landmarks and the template's points that they stand for.
CORNERS = {"eyes": ((33, 18), (133, 22), (362, 23), (263, 27)), "mouth": ((61, 87), (291, 93)), "nose": ((2, 55),)}
REGIONS, EYES, POINTS, SAMPLES = ("brows", "nose", "eyes", "mouth"), (18, 27), 189, 120


def template(path: Path) -> np.ndarray:
    """The points (189, 2), pixels, of a file."""
    rows = path.read_text().split("\n")
    points = np.array([row.split() for row in rows[1 : 1 + int(rows[0])]], float)
    if len(points) != POINTS:
        raise ValueError(f"{path} has {len(points)} points, not {POINTS}")
    return points


def curve(points: np.ndarray) -> np.ndarray:
    """Points (SAMPLES, 2) of a smooth curve through points (N, 2)."""
    along = np.concatenate(([0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).clip(1e-6).cumsum()))
    return CubicSpline(along, points)(np.linspace(0, along[-1], SAMPLES))


def errors(points: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Mean error over all landmarks, then over those of each region, percent."""
    found = []
    for region in REGIONS:
        away = [np.linalg.norm(points[k] - marks[mark]) for k, mark in CORNERS.get(region, ())]
        for some, along in CURVES.get(region, ()):
            line = curve(marks[list(along)])
            away += [np.linalg.norm(line - points[k], axis=1).min() for k in some]
        found.append(away)
    means = [np.mean(np.concatenate(found)), *(np.mean(away) for away in found)]
    return 100 * np.array(means) / np.linalg.norm(marks[EYES[0]] - marks[EYES[1]])


def ways(photo: PhotoModel, picture: Picture, face: FaceLandmarks) -> dict[str, np.ndarray]:
    """Points (478, 2) of each way to find them."""
    control = fit(photo.points, photo.response, views_of([picture], [face], photo.response))
    told, (again,) = refine_and_fit(photo, [picture], [face])
    return {
        "landmarker": face.points,
        "its mesh": mesh(photo, picture, control),
        "network with landmarker": again.points,
        "their mesh": mesh(photo, picture, told),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="pictures and their templates")
    parser.add_argument("--half", type=int, choices=(0, 1), help="every second picture, from this one on")
    args = parser.parse_args()
    paths = sorted(path for path in args.folder.glob("*.jpg") if path.with_suffix(".tem").is_file())
    if args.half is not None:
        paths = paths[args.half :: 2]
    photo = PhotoModel.of(FacePipeline.from_pretrained(device="cpu"))
    rows: dict[str, list[np.ndarray]] = {}
    with Landmarker() as landmarker:
        for path in progress(paths, desc="photographs"):
            picture, face, _ = find(read(path), landmarker, photo.mirror)
            for name, points in ways(photo, picture, face).items():
                rows.setdefault(name, []).append(errors(points, template(path.with_suffix(".tem"))))
    print(f"| {len(paths)} photographs, % | all | {' | '.join(REGIONS)} | over the landmarker |")
    print("| --- " * (len(REGIONS) + 3) + "|")
    first = np.array(rows["landmarker"])
    for name, found in rows.items():
        over = (np.array(found) - first)[:, 0]
        cells = " | ".join(f"{value:.2f}" for value in np.mean(found, axis=0))
        print(f"| {name} | {cells} | {over.mean():+.2f} ± {1.96 * over.std() / np.sqrt(len(over)):.2f} |")


if __name__ == "__main__":
    main()
