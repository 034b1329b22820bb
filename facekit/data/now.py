"""The NoW challenge (Sanyal et al., CVPR 2019): pictures of 100 people and a scan of each.

The layout of its validation set, as its public tools read it::

    <folder>/imagepathsvalidation.txt                        one "<subject>/<challenge>/<image>.jpg" per line
    <folder>/scans/<subject>/*.obj                           one scan, mm
    <folder>/scans_lmks_onlypp/<subject>/*.pp                seven landmarks, MeshLab's picked points

and of predictions, two files per picture::

    <predictions>/<subject>/<challenge>/<image>.obj or .ply
    <predictions>/<subject>/<challenge>/<image>.npy or .txt  (7, 3)

Not tested with the real data, which is available on registration.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.data.clip import Clip
from facekit.data.layout import PICTURES, files, write_surface
from facekit.errors import FileError
from facekit.files.atomic import atomic_write, expanded
from facekit.mesh import FaceMesh

#: Right eye outer and inner corner, left eye inner and outer corner, base of the nose, right and left corner of the
#: mouth.
LANDMARKS: tuple[int, ...] = (36, 39, 42, 45, 33, 48, 54)
CHALLENGES: tuple[str, ...] = (
    "multiview_neutral",
    "multiview_expressions",
    "multiview_occlusions",
    "selfie",
)
_PICTURE = "<subject>/<challenge>/<image>.jpg"
_TREE = "imagepathsvalidation.txt, scans/<subject>/*.obj and scans_lmks_onlypp/<subject>/*.pp"


@dataclass(frozen=True)
class Item:
    """A picture with its scan and, if available, its prediction.

    Parameters
    ----------
    subject, challenge, image:
        Names; that of the image without suffix.
    scan, marks:
        The scan and its landmarks.
    mesh, mesh_marks:
        The prediction, or None.
    """

    subject: str
    challenge: str
    image: str
    scan: Path
    marks: Path
    mesh: Path | None
    mesh_marks: Path | None


def items(folder: str | Path, predictions: str | Path | None = None) -> list[Item]:
    """List the pictures of the validation set, each with its files.

    Raises
    ------
    FileError
        If the list, a scan or its landmarks are missing, with the expected tree.
    """
    root = expanded(folder)
    listed = root / "imagepathsvalidation.txt"
    if not listed.is_file():
        raise FileError(_TREE, f"no {listed}", "give the folder of NoW's validation set")
    where = None if predictions is None else expanded(predictions)
    found = []
    for line in listed.read_text(encoding="utf-8").split():
        path = Path(line)
        if len(path.parts) < 3:
            raise FileError("lines <subject>/<challenge>/<image>.jpg", f"{line!r} in {listed}", "take NoW's own file")
        subject, challenge, image = path.parts[-3], path.parts[-2], path.stem
        scan, marks = (
            next(iter(sorted((root / part / subject).glob(f"*{suffix}"))), None)
            for part, suffix in (("scans", ".obj"), ("scans_lmks_onlypp", ".pp"))
        )
        if scan is None or marks is None:
            raise FileError(_TREE, f"neither or one for {subject}", "unpack all of NoW's validation set")
        mesh = mesh_marks = None
        if where is not None:
            stem = where / subject / challenge / image
            mesh = next((p for s in (".obj", ".ply") if (p := stem.with_name(image + s)).is_file()), None)
            mesh_marks = next((p for s in (".npy", ".txt") if (p := stem.with_name(image + s)).is_file()), None)
        found.append(Item(subject, challenge, image, scan, marks, mesh, mesh_marks))
    return found


def clips(folder: str | Path) -> list[Clip]:
    """Read the validation set, a clip per subject and challenge; pictures may be anywhere below the folder.

    ``numbers["scan"]`` is the file of the scan, the same for all frames.

    Raises
    ------
    FileError
        If a picture of the list is missing, too.
    """
    groups: dict[tuple[str, str], list[tuple[Item, Path]]] = {}
    for item, picture in pictures(folder, folder):
        groups.setdefault((item.subject, item.challenge), []).append((item, picture))
    return [
        Clip(
            "NoW",
            subject,
            f"{subject}/{challenge}",
            tuple(picture for _, picture in members),
            numbers={"scan": [item.scan for item, _ in members]},
            split="validation",
        )
        for (subject, challenge), members in groups.items()
    ]


def pictures(folder: str | Path, where: str | Path) -> list[tuple[Item, Path]]:
    """Return the items of :func:`items` with their pictures, which may be anywhere below ``where``.

    Raises
    ------
    FileError
        If a picture of the list is missing, too.
    """
    there = {(*path.parts[-3:-1], path.stem): path for path in files(where, PICTURES, _PICTURE, deep=True)}
    found = []
    for item in items(folder):
        path = there.get((item.subject, item.challenge, item.image))
        if path is None:
            place = f"{item.subject}/{item.challenge}/{item.image}.jpg"
            raise FileError(f"…/{place}", "none", "unpack all of NoW's validation set")
        found.append((item, path))
    return found


def prediction_path(predictions: Path, item: Item) -> Path:
    """Return the path of an item's predicted mesh."""
    return predictions / item.subject / item.challenge / f"{item.image}.obj"


def save_prediction(mesh: FaceMesh, path: Path) -> None:
    """Write one mesh in mm, and its seven landmarks beside it; the mesh last."""
    marks = mesh.verts[0, mesh.need("landmarks")[list(LANDMARKS)]].double().cpu().numpy()
    with atomic_write(path.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
        np.save(file, marks, allow_pickle=False)
    write_surface(mesh, path)


def read_picked_points(path: Path) -> np.ndarray:
    """Return the landmarks (7, 3) float64 of a MeshLab ``.pp`` file, in its order.

    Raises
    ------
    FileError
        If it is another file, or has another number of points.
    """
    try:
        points = [[float(p.attrib[axis]) for axis in "xyz"] for p in ET.parse(path).getroot().iter("point")]
    except (OSError, ET.ParseError, KeyError, ValueError) as error:
        raise FileError("a MeshLab file of picked points", f"{path}: {error}", "take NoW's own file") from error
    return _seven(np.array(points), path)


def read_landmarks(path: Path) -> np.ndarray:
    """Return the landmarks (7, 3) float64 of a prediction: ``.npy``, or ``.txt`` with three numbers per line.

    An array (1, 7, 3) is accepted, as the official tool does.
    """
    try:
        points = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path)
    except (OSError, ValueError) as error:
        raise FileError("seven points as .npy or .txt", f"{path}: {error}", "write (7, 3) numbers") from error
    return _seven(points[0] if points.shape[:1] == (1,) else points, path)


def _seven(points: np.ndarray, path: Path) -> np.ndarray:
    if points.shape != (len(LANDMARKS), 3) or not np.isfinite(points).all():
        raise FileError(f"{len(LANDMARKS)} points of x, y, z", f"{points.shape} in {path}", "see facekit.data.now")
    return points.astype(np.float64)
